#!/usr/bin/env python3
"""Writes random Qwen3-VL checkpoints, and the reference's results for images and text with them (see README.md)."""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from checkpoints import load_reference, write_checkpoint
from files import save
from prompts import Prompt, metadata_of, pictures, process
from specs import CASES, LARGE, SPECS
from transformers import Qwen3VLForConditionalGeneration

REFERENCE = f"transformers {transformers.__version__}, torch {torch.__version__}"


def tap_block(model: Qwen3VLForConditionalGeneration) -> int:
    """The last tapped block of the tower; without taps the last block."""
    taps = model.config.vision_config.deepstack_visual_indexes
    return taps[-1] if taps else model.config.vision_config.depth - 1


@torch.no_grad()
def states(model: Qwen3VLForConditionalGeneration, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Runs the reference once; returns states of the tower and the language model, and the logits."""
    seen: dict[str, torch.Tensor] = {}
    inner = model.model
    hooks = [
        inner.visual.blocks[tap_block(model)].register_forward_hook(
            lambda _module, _inputs, output: seen.update(layer18=output.clone())
        ),
        inner.language_model.norm.register_forward_hook(
            lambda _module, inputs, output: seen.update(hidden_pre_norm=inputs[0].clone(), hidden_post_norm=output)
        ),
    ]
    output = model(**inputs, use_cache=False, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    if not torch.equal(output.hidden_states[-1], seen["hidden_pre_norm"]):
        raise RuntimeError("hidden_states[-1] of this version is not the last layer's output")
    return seen | {"logits": output.logits}


def case_of(
    model: Qwen3VLForConditionalGeneration, processor: Any, prompts: list[Prompt], seed: int
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Returns tensors and metadata of one case file."""
    images = pictures(prompts, seed)
    inputs = process(processor, prompts, images)
    mask = inputs["attention_mask"]
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"], inputs.get("image_grid_thw"), attention_mask=mask
    )
    expected: dict[str, torch.Tensor] = dict(inputs) | {"position_ids": positions}
    for name, value in states(model, dict(inputs)).items():
        is_of_text = name != "layer18"
        expected[name] = value * mask[..., None] if is_of_text else value
    tensors = {f"input.image.{i}": torch.from_numpy(image) for i, image in enumerate(images)}
    tensors |= {f"expected.{name}": value.contiguous() for name, value in expected.items()}
    return tensors, metadata_of(prompts) | {"layer18_block": str(tap_block(model)), "reference": REFERENCE}


def describe(name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Prints statistics that show whether the states are worth comparing."""
    real = tensors["expected.attention_mask"].bool()
    hidden, logits = tensors["expected.hidden_pre_norm"][real], tensors["expected.logits"][real]
    best = logits.argmax(-1)
    print(
        f"{name}: {len(real)} x {real.shape[1]} tokens, hidden std {hidden.std():.2f} (between tokens"
        f" {hidden.std(0).mean():.2f}), logits std {logits.std():.2f}, {len(best.unique())} best tokens"
    )


def make_set(name: str, large_tokenizer: Path, out: Path) -> None:
    """Writes one checkpoint with its cases, in place of an earlier one."""
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    write_checkpoint(SPECS[name], large_tokenizer, folder / "checkpoint")
    model, processor = load_reference(folder / "checkpoint")
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{name}: {len(list(model.parameters()))} tensors, {count} parameters")
    for i, (case, prompts) in enumerate(CASES[name].items()):
        tensors, metadata = case_of(model, processor, prompts, 100 * SPECS[name].seed + i)
        save(tensors, folder / f"{case}.safetensors", metadata)
        describe(f"{name}/{case}", tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="Qwen3's tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--only", nargs="+", choices=sorted(SPECS), help="sets to make; default: all small ones")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    for name in arguments.only or [name for name in SPECS if name not in LARGE]:
        make_set(name, arguments.tokenizer, arguments.out)


if __name__ == "__main__":
    main()
