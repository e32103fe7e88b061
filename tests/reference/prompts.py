"""Prompts of user text and images, and their processing by the reference's processor."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from transformers import BatchFeature, Qwen3VLProcessor

Size = tuple[int, int]
"""Height and width of an image [px]."""


@dataclass(frozen=True)
class Prompt:
    """One user message: images, then text."""

    text: str
    images: tuple[Size, ...] = ()


def picture(size: Size, seed: int) -> np.ndarray:
    """A smooth random image with noise, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    return np.clip(soft + rng.integers(-24, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def pictures(prompts: list[Prompt], seed: int) -> list[np.ndarray]:
    """All images of all prompts, in order."""
    sizes = [size for prompt in prompts for size in prompt.images]
    return [picture(size, 1000 * seed + i) for i, size in enumerate(sizes)]


def process(processor: Qwen3VLProcessor, prompts: list[Prompt], images: list[np.ndarray]) -> BatchFeature:
    """Returns the model's input, padded on the left."""
    texts = []
    for prompt in prompts:
        content = [{"type": "image"} for _ in prompt.images] + [{"type": "text", "text": prompt.text}]
        message = {"role": "user", "content": content}
        texts.append(processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True))
    frames = [Image.fromarray(image) for image in images]
    return processor(text=texts, images=frames or None, padding=True, return_tensors="pt")


def metadata_of(prompts: list[Prompt]) -> dict[str, str]:
    """Texts and numbers of images, in the form of the file's header."""
    if len(prompts) == 1:
        return {"text": prompts[0].text}
    texts = {f"text.{i}": prompt.text for i, prompt in enumerate(prompts)}
    return texts | {f"images.{i}": str(len(prompt.images)) for i, prompt in enumerate(prompts)}
