#!/usr/bin/env python3
"""Writes greedy answers of the reference, with the logits of every step (see README.md)."""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from checkpoints import load_reference
from files import save
from make_cases import REFERENCE
from prompts import Prompt, Size, metadata_of, pictures, process
from specs import SPECS
from transformers import Qwen3VLForConditionalGeneration

SETS = ("grouped", "ungrouped", "every_layer")
STEPS = 40
KEPT = 8

QUESTIONS = (
    "What do you see?",
    "Where is the red cube?",
    "Is the gripper open or closed?",
    "Name every object on the table.",
    "Which object is closest to the robot?",
    "How far is the bowl from the plate?",
    "Describe the scene in one sentence.",
    "What should the robot do next?",
    "Count the blocks.",
    "把红色方块放进盒子里。",
    "Is it safe to move left?",
    "Why did the robot stop?",
    "What is behind the cup?",
    "Say hello.",
    "Which drawer is open?",
    "Compare the two views.",
    "Größe des Würfels in cm?",
    "What changed since the last picture?",
    "Plan: 1. reach 2. grasp 3. lift\nWhat is step 4?",
    "Can the spoon fit into the cup? 🔍",
    "How many cubes are there?",
    "Read the label.",
    "Is the light on?",
    "What colour is the plate?",
    "Turn the picture into a list.",
    "Who moved the box?",
    "Where will the ball roll?",
    "Which tool is missing?",
)
WANTED = 20
# every fourth prompt has no image, the others one, two or three
VIEWS: tuple[tuple[Size, ...], ...] = ((), ((30, 40),), ((32, 40), (24, 24)), ((32, 32), (25, 30), (16, 48)))


def pool() -> list[Prompt]:
    """Returns more questions than needed, because some answers do not distinguish two implementations."""
    return [Prompt(text, VIEWS[i % len(VIEWS)]) for i, text in enumerate(QUESTIONS)]


@torch.no_grad()
def answer(model: Qwen3VLForConditionalGeneration, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns greedy tokens, and for each the largest logits and the log-sum-exp of all."""
    output = model.generate(
        **inputs, do_sample=False, max_new_tokens=STEPS, return_dict_in_generate=True, output_logits=True
    )
    rows = torch.cat(output.logits)
    top = rows.topk(KEPT, dim=-1)
    return {
        "tokens": output.sequences[0, -STEPS:],
        "top_indices": top.indices,
        "top_values": top.values,
        "logsumexp": rows.logsumexp(-1),
    }


def tells(answered: dict[str, torch.Tensor]) -> bool:
    """Returns whether an answer is neither monotonous nor decided by rounding."""
    return bool(len(answered["tokens"].unique()) >= 10 and lead(answered["top_values"]) >= 2e-4)


def lead(top: torch.Tensor) -> torch.Tensor:
    """Smallest difference between the best and the second best logit."""
    return (top[..., 0] - top[..., 1]).min()


def generation_of(
    model: Qwen3VLForConditionalGeneration, processor: Any, seed: int
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Returns tensors and metadata of one generation file."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    asked, images, answers = [], [], []
    for i, prompt in enumerate(pool()):
        frames = pictures([prompt], 100 * seed + i)
        answered = answer(model, dict(process(processor, [prompt], frames)))
        if tells(answered) and len(asked) < WANTED:
            asked.append(prompt)
            images.extend(frames)
            answers.append(answered)
    if len(asked) < WANTED:
        raise RuntimeError(f"only {len(asked)} answers of {WANTED} tell implementations apart; sharpen the attention")
    tensors = {f"input.image.{i}": torch.from_numpy(image) for i, image in enumerate(images)}
    tensors |= {f"expected.{name}": torch.stack([a[name] for a in answers]).contiguous() for name in answers[0]}
    return tensors, metadata_of(asked) | {"reference": REFERENCE}


def describe(name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Prints how varied the answers are."""
    distinct = [len(row.unique()) for row in tensors["expected.tokens"]]
    smallest = lead(tensors["expected.top_values"])
    print(f"{name}: {min(distinct)} to {max(distinct)} distinct tokens of {STEPS}, smallest lead {smallest:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path, required=True, help="folder that make_cases.py wrote")
    folder = parser.parse_args().sets
    for name in SETS:
        model, processor = load_reference(folder / name / "checkpoint")
        tensors, metadata = generation_of(model, processor, 1000 + SPECS[name].seed)
        describe(name, tensors)
        save(tensors, folder / name / "generation.safetensors", metadata)


if __name__ == "__main__":
    main()
