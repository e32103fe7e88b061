#!/usr/bin/env python3
"""Times a training step in PyTorch and in thinkvla alternately, on the same sizes, threads and type (see README.md).

The network is that of benches/training.json or of a checkpoint's config.json, with random weights. The stream of
questions is left out, and geometry targets are given, as if cached. PyTorch runs the recipe literally, with the teacher
as a second pass.
"""

import argparse
import json
import math
import statistics
import subprocess
import time
from pathlib import Path

import torch
from make_training import Policy, cosine
from torch import nn

BATCH, VIEWS, TASK, TOLD, ACTION = 4, 2, 12, 44, 14
"""As in benches/training.rs."""


class Sizes:
    """Tokens and image sizes of a configuration's prompts."""

    def __init__(self, settings: dict) -> None:
        ours, vision = settings["thinkvla"], settings["vision_config"]
        self.image, self.query = settings["image_token_id"], ours["action_token_id"]
        self.frame = settings["vision_start_token_id"], settings["vision_end_token_id"]
        self.anchor = ours["reasoning"]["anchors"][0]["id"]
        self.side = math.isqrt(ours["min_pixels"]) // vision["patch_size"]
        self.tokens = (self.side // vision["spatial_merge_size"]) ** 2
        self.values = vision["in_channels"] * vision["temporal_patch_size"] * vision["patch_size"] ** 2


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def batches(policy: Policy, settings: dict, whole: bool) -> dict[str, dict[str, torch.Tensor]]:
    ours, sizes = settings["thinkvla"], Sizes(settings)
    begin, end = sizes.frame
    image = [begin, *[sizes.image] * sizes.tokens, end]
    tasks = [[1, 2, 3, *image * VIEWS, *range(10 + i, 10 + TASK)] for i in range(BATCH)]
    anchor = [sizes.anchor] * whole
    student = [t + [*anchor, *range(100, 100 + ACTION), *[sizes.query] * ours["chunk_len"], 5, 6, 7] for t in tasks]
    teacher = [t + [*range(200, 200 + TOLD), sizes.anchor, 5, 6, 7] for t in tasks]
    grids = torch.tensor([[1, sizes.side, sizes.side]]).repeat(BATCH * VIEWS, 1)
    pixels = torch.rand((BATCH * VIEWS * sizes.side**2, sizes.values)) * 2 - 1

    def of(rows: list[list[int]]) -> dict[str, torch.Tensor]:
        ids, mask = padded(rows)
        positions, _ = policy.qwen.model.get_rope_index(ids, grids, attention_mask=mask)
        return {"ids": ids, "mask": mask, "positions": positions, "grids": grids, "pixels": pixels}

    actions = torch.rand((BATCH, ours["chunk_len"], ours["action_dim"]))
    geometry = torch.randn((len(pixels), ours["geometry"]["width"]))
    return {"student": of(student) | {"actions": actions, "geometry": geometry}, "teacher": of(teacher)}


def loss(trainee: "Trainee") -> torch.Tensor:
    policy, sizes = trainee.policy, trainee.sizes
    student, teacher = trainee.data["student"], trainee.data["teacher"]
    states = policy.think(student)
    queries = states[student["ids"] == sizes.query].reshape(BATCH, -1, states.shape[-1])
    if not trainee.whole:
        return (policy.action_model["model"](queries) - student["actions"]).abs().mean()
    latents = policy.geo_adapter(policy.tap)
    with torch.no_grad():
        taught = policy.think(teacher)[teacher["ids"] == sizes.anchor][:, None]
    thought = policy.reason_adapter(states[student["ids"] == sizes.anchor][:, None])
    pooled = latents.reshape(BATCH, -1, latents.shape[-1]).mean(1, keepdim=True)
    actions = policy.action_model["model"](queries + policy.geo_proj(pooled) + policy.reason_proj(thought))
    action = (actions - student["actions"]).abs().mean()
    return action + 0.5 * cosine(student["geometry"], latents) + 0.5 * cosine(taught, thought)


class Trainee:
    """A network, its optimiser and its batch."""

    def __init__(self, settings: dict, whole: bool) -> None:
        torch.manual_seed(0)
        self.whole, self.policy = whole, Policy(settings)
        self.sizes, self.data = Sizes(settings), batches(self.policy, settings, whole)
        self.optimiser = torch.optim.AdamW(
            self.policy.parameters(), lr=1e-5, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-8, fused=True
        )

    def step(self) -> float:
        start = time.perf_counter()
        loss(self).backward()
        nn.utils.clip_grad_norm_([p for p in self.policy.parameters() if p.grad is not None], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=Path, required=True, help="the bench `training`, built")
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[2] / "benches" / "training.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="steps of each kind in a round")
    arguments = parser.parse_args()
    settings = json.loads(arguments.config.read_text())
    full, plain = Trainee(settings, True), Trainee(settings, False)
    times: dict[str, list[float]] = {name: [] for name in ("full", "plain", "our full", "our plain")}
    for trainee in (full, plain):
        trainee.step()
    for _ in range(arguments.rounds):
        for _ in range(arguments.steps):
            times["full"].append(full.step())
            times["plain"].append(plain.step())
        command = [arguments.ours, str(arguments.steps), arguments.config]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(output.stdout)
        if found["threads"] != torch.get_num_threads():
            raise RuntimeError(f"{found['threads']} threads there, {torch.get_num_threads()} here")
        times["our full"].append(found["full_s"])
        times["our plain"].append(found["plain_s"])
    medians = {name: statistics.median(values) for name, values in times.items()}
    count = sum(value.numel() for value in full.policy.parameters())
    print(f"{count} parameters, {torch.get_num_threads()} threads, float32, batch {BATCH}, {VIEWS} views of {full.sizes.tokens} tokens")
    for name, median in medians.items():
        print(f"{name:10} {median:.3f} s (shortest {min(times[name]):.3f})")
    print(f"our full / our plain: {medians['our full'] / medians['our plain']:.3f}")
    print(f"our full / PyTorch's full: {medians['our full'] / medians['full']:.3f}")
    print(f"our plain / PyTorch's plain: {medians['our plain'] / medians['plain']:.3f}")


if __name__ == "__main__":
    main()
