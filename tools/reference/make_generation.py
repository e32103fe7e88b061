#!/usr/bin/env python3
"""Writes what the reference generates greedily, with the logits at every step (see README.md)."""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from checkpoints import load_reference
from make_cases import REFERENCE
from prompts import Prompt, Size, metadata_of, pictures, process
from safetensors.torch import save_file
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
)
# every fourth prompt has no image, the others one, two or three
VIEWS: tuple[tuple[Size, ...], ...] = ((), ((30, 40),), ((32, 40), (24, 24)), ((32, 32), (25, 30), (16, 48)))


def prompts() -> list[Prompt]:
    """Twenty questions."""
    return [Prompt(text, VIEWS[i % len(VIEWS)]) for i, text in enumerate(QUESTIONS)]


@torch.no_grad()
def answer(model: Qwen3VLForConditionalGeneration, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Greedy tokens and what the rows of logits behind them say."""
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


def generation_of(
    model: Qwen3VLForConditionalGeneration, processor: Any, seed: int
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of one generation file."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    asked = prompts()
    images = pictures(asked, seed)
    answers, first = [], 0
    for prompt in asked:
        last = first + len(prompt.images)
        answers.append(answer(model, dict(process(processor, [prompt], images[first:last]))))
        first = last
    tensors = {f"input.image.{i}": torch.from_numpy(image) for i, image in enumerate(images)}
    tensors |= {f"expected.{name}": torch.stack([a[name] for a in answers]).contiguous() for name in answers[0]}
    return tensors, metadata_of(asked) | {"reference": REFERENCE}


def describe(name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Prints, and refuses answers too dull to tell two implementations apart."""
    distinct = [len(row.unique()) for row in tensors["expected.tokens"]]
    best = tensors["expected.top_values"]
    gap = (best[..., 0] - best[..., 1]).min()
    print(f"{name}: {min(distinct)} to {max(distinct)} distinct tokens of {STEPS}, smallest lead {gap:.1e}")
    if min(distinct) < 10 or gap < 2e-4:
        raise RuntimeError(f"{name}: expected at least 10 distinct tokens and leads above 2e-4; change the seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path, required=True, help="folder that make_cases.py wrote")
    folder = parser.parse_args().sets
    for name in SETS:
        model, processor = load_reference(folder / name / "checkpoint")
        tensors, metadata = generation_of(model, processor, 1000 + SPECS[name].seed)
        describe(name, tensors)
        save_file(tensors, folder / name / "generation.safetensors", metadata)


if __name__ == "__main__":
    main()
