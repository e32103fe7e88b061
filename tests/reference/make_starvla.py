#!/usr/bin/env python3
"""Writes a StarVLA Qwen3-VL-OFT run directory with random weights, and the normalised actions expected from it.

The head is OpenVLA-OFT's regression head (`oft_head.py`); keys and files are StarVLA's.
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import yaml
from checkpoints import Spec, Text, Vision, load_reference, write_checkpoint
from files import save
from make_cases import REFERENCE, case_of
from oft_head import Head
from prompts import Prompt
from safetensors.torch import save_file

NAME = "starvla"
SPEC = Spec(
    seed=20,
    text=Text(width=32, inner=64, layers=3, heads=4, kv_heads=2),
    vision=Vision(width=32, inner=64, depth=3, taps=(0, 1, 2), patch=8, min_pixels=48 * 48),
)
CHUNK, ACTION, SIDE = 8, 7, 48
QUERY = "🔍"
TEMPLATE = (
    "Your task is {instruction}. To identify the key objects for your task."
    " Locate their bounding boxes in [x1,y1,x2,y2] format."
)
TASKS = ("put the bowl on the plate", "open the top drawer and put the bowl inside")


@torch.no_grad()
def random_head() -> Head:
    """PyTorch's own initialisation, with norms that differ from the identity."""
    torch.manual_seed(SPEC.seed)
    head = Head(SPEC.text.width, 2 * SPEC.text.width, 2, ACTION)
    for name, weight in head.named_parameters():
        if weight.dim() == 1 and "norm" in name or name.endswith("ffn.0.weight"):
            weight.add_(0.2 * torch.randn(weight.shape))
    return head.eval()


def user_text(task: str) -> str:
    """The task followed by the queries, in the training template."""
    suffix = f" Please predict the next {CHUNK} robot actions: <action>{QUERY * CHUNK}<action>."
    return TEMPLATE.replace("{instruction}", task + suffix)


def run_config() -> dict[str, Any]:
    """The parts of a run's config.yaml that inference reads."""
    return {
        "run_id": NAME,
        "seed": 42,
        "framework": {
            "name": "QwenOFT",
            "qwenvl": {"base_vlm": "../base", "attn_implementation": "sdpa"},
            "action_model": {
                "action_model_type": "MLP",
                "action_dim": ACTION,
                "action_hidden_dim": SPEC.text.width,
                "future_action_window_size": CHUNK - 1,
                "past_action_window_size": 0,
                "action_horizon": CHUNK,
            },
        },
        "datasets": {
            "vla_data": {
                "dataset_py": "lerobot_datasets",
                "data_mix": "libero_goal",
                "CoT_prompt": TEMPLATE,
                "default_image_resolution": [3, SIDE, SIDE],
                "obs_image_size": [SIDE, SIDE],
            }
        },
        "trainer": {"max_train_steps": 1000},
    }


def statistics() -> dict[str, Any]:
    """Statistics of a tabletop task with LIBERO's tag; its gripper is open at 1 and not normalised."""
    low = [-0.9, -0.8, -0.7, -0.3, -0.4, -0.2, 0.0]
    high = [0.8, 0.9, 0.6, 0.3, 0.35, 0.25, 1.0]
    action = {
        "mean": [(a + b) / 2 for a, b in zip(low, high)],
        "std": [(b - a) / 4 for a, b in zip(low, high)],
        "min": low,
        "max": high,
        "q01": [0.9 * value for value in low],
        "q99": [0.9 * value for value in high[:-1]] + [1.0],
        "mask": [True] * ACTION,
    }
    state = {key: [0.5] * 8 for key in ("mean", "std", "min", "max", "q01", "q99")}
    return {"franka": {"action": action, "state": state, "num_transitions": 1000, "num_trajectories": 10}}


def write_run(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Writes the run directory."""
    (folder / "checkpoints").mkdir(parents=True)
    text = yaml.safe_dump(run_config(), sort_keys=False)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    (folder / "config.full.yaml").write_text(text, encoding="utf-8")
    (folder / "dataset_statistics.json").write_text(json.dumps(statistics(), indent=2), encoding="utf-8")
    (folder / "summary.jsonl").write_text('{"steps": 1000}\n', encoding="utf-8")
    save_file(weights, folder / "checkpoints" / "steps_1000_model.safetensors")


def flat_weights(backbone: Path, head: Head) -> dict[str, torch.Tensor]:
    """One flat state dict with StarVLA's prefixes; the text head is stored although it is tied."""
    model, _ = load_reference(backbone)
    state = {f"qwen_vl_interface.model.{key}": value.to(SPEC.dtype).clone() for key, value in model.state_dict().items()}
    return state | {f"action_model.model.{key}": value.clone() for key, value in head.state_dict().items()}


@torch.no_grad()
def write_case(file: Path, backbone: Path, head: Head) -> None:
    """Writes two observations as a batch, with the actions expected for each."""
    model, processor = load_reference(backbone)
    prompts = [Prompt(user_text(task), ((SIDE, SIDE), (SIDE, SIDE))) for task in TASKS]
    tensors, metadata = case_of(model, processor, prompts, SPEC.seed)
    query = processor.tokenizer(QUERY, add_special_tokens=False)["input_ids"]
    rows = tensors["expected.input_ids"] == query[0]
    if len(query) != 1 or not torch.all(rows.sum(1) == CHUNK):
        raise RuntimeError("the query is not one token, or not all of them are in the prompt")
    queries = tensors["expected.hidden_pre_norm"][rows].reshape(len(prompts), CHUNK, -1)
    tensors["expected.actions"] = head(queries)
    for name in ("logits", "layer18", "hidden_post_norm"):
        del tensors[f"expected.{name}"]  # the other sets compare these; with long prompts they are large
    actions = tensors["expected.actions"]
    print(f"{NAME}: actions std {actions.std():.3f}, between steps {actions.std(1).mean():.3f}")
    save(tensors, file, metadata | {f"instruction.{i}": task for i, task in enumerate(TASKS)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True, help="Qwen3's tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder of the sets")
    arguments = parser.parse_args()
    folder = arguments.out / NAME
    shutil.rmtree(folder, ignore_errors=True)
    base = folder / "base"
    write_checkpoint(SPEC, arguments.tokenizer, base)
    head = random_head()
    write_run(folder / "run", flat_weights(base, head))
    write_case(folder / "actions.safetensors", base, head)
    # the run contains the weights; only the descriptions of the base model are needed
    (base / "model.safetensors").unlink()


if __name__ == "__main__":
    main()
