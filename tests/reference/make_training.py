#!/usr/bin/env python3
"""Writes a tiny network, two batches, and the results of five training steps of the recipe in PyTorch (see README.md).

Everything is computed in 64 bits; parts in which the reference rounds to 32 bits are replaced.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from files import save
from oft_head import Head
from torch import nn
from torch.nn import functional
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl import modeling_qwen3_vl

SEED, STEPS, RATE = 11, 5, 1e-3
CHUNK, ACTION, GEOMETRY, HEAD = 3, 7, 12, 24
START, IMAGE, END, VIDEO, QUERY, ANCHOR = 40, 41, 42, 43, 45, 46
WEIGHTS = {"geometry": 0.5, "reasoning": 0.5, "text": 0.1}
SIDE = 4
"""Patches along each side of an image."""


def config() -> dict:
    """Configuration of the network; its tokens are numbers without a text."""
    text = {
        "model_type": "qwen3_vl_text", "hidden_act": "silu", "vocab_size": 48, "hidden_size": 16, "intermediate_size": 20,
        "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "rms_norm_eps": 1e-6,
        "rope_theta": 5_000_000.0, "max_position_embeddings": 512, "tie_word_embeddings": True, "attention_bias": False,
        "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [2, 1, 1]},
    }
    vision = {
        "model_type": "qwen3_vl", "hidden_act": "gelu_pytorch_tanh", "depth": 3, "hidden_size": 16, "intermediate_size": 20,
        "num_heads": 2, "in_channels": 3, "patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2,
        "out_hidden_size": 16, "num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1],
    }
    ours = {
        "prompt_style": "thinkvla", "action_token": "?", "action_token_id": QUERY,
        "prompt": "{instruction}{anchor}{queries}", "chunk_len": CHUNK, "action_dim": ACTION, "head_hidden": HEAD,
        "head_blocks": 2, "min_pixels": 256, "max_pixels": 65536, "compute": "float32",
        "geometry": {"tap_block": 1, "width": GEOMETRY},
        "reasoning": {"anchors": [{"token": "!", "id": ANCHOR}]},
    }
    return {
        "model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"], "image_token_id": IMAGE,
        "video_token_id": VIDEO, "vision_start_token_id": START, "vision_end_token_id": END, "tie_word_embeddings": True,
        "text_config": text, "vision_config": vision, "thinkvla": ours,
    }


def keep_64_bits() -> None:
    """Replaces the reference's norms and rotary embedding by versions that stay in 64 bits."""

    def norm(self: nn.Module, states: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * (states * scale)

    def turn(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        rotate = modeling_qwen3_vl.rotate_half
        return q * cos + rotate(q) * sin, k * cos + rotate(k) * sin

    modeling_qwen3_vl.Qwen3VLTextRMSNorm.forward = norm
    modeling_qwen3_vl.apply_rotary_pos_emb_vision = turn


class Adapter(nn.Module):
    """Linear, GELU, linear, LayerNorm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2, self.norm = nn.Linear(inputs, width), nn.Linear(width, width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.fc2(functional.gelu(self.fc1(x))))


class Projector(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Policy(nn.Module):
    """The reference's Qwen3-VL with the additions of 3DThinkVLA; parameters are named as in thinkvla's checkpoints."""

    def __init__(self, settings: dict) -> None:
        super().__init__()
        sizes, ours = settings["text_config"], settings["thinkvla"]
        hugging_face = Qwen3VLConfig(**{k: v for k, v in settings.items() if k not in {"thinkvla", "architectures"}})
        self.qwen = Qwen3VLForConditionalGeneration._from_config(hugging_face, attn_implementation="sdpa")
        width, geometry = sizes["hidden_size"], ours["geometry"]["width"]
        self.geo_adapter = Adapter(settings["vision_config"]["hidden_size"], geometry)
        self.geo_proj = Projector(geometry, width)
        self.reason_adapter = Adapter(width, width)
        self.reason_proj = Projector(width, width)
        self.action_model = nn.ModuleDict({"model": Head(width, ours["head_hidden"], ours["head_blocks"], ours["action_dim"])})
        self.tap, self.last = None, None
        tapped = self.qwen.model.visual.blocks[ours["geometry"]["tap_block"]]
        tapped.register_forward_hook(lambda _module, _inputs, output: setattr(self, "tap", output))
        # The last layer's output is read before the final norm.
        self.qwen.model.language_model.norm.register_forward_pre_hook(
            lambda _module, inputs: setattr(self, "last", inputs[0])
        )

    def named(self) -> dict[str, nn.Parameter]:
        """Every parameter once, by checkpoint path."""
        return {name.removeprefix("qwen."): value for name, value in self.named_parameters()}

    def think(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        self.qwen.model(
            input_ids=batch["ids"], attention_mask=batch["mask"], position_ids=batch["positions"],
            pixel_values=batch["pixels"], image_grid_thw=batch["grids"], use_cache=False,
        )
        return self.last


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (1 - functional.cosine_similarity(a, b, dim=-1)).mean()


def raster(views: int) -> torch.Tensor:
    """Row indices that sort merge-block order into raster order in each view."""
    blocks = torch.arange(views * SIDE * SIDE).reshape(views, SIDE // 2, SIDE // 2, 2, 2)
    return blocks.permute(0, 1, 3, 2, 4).reshape(-1)


def losses(policy: Policy, data: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The losses of one step, unweighted."""
    student, teacher, answers = data["student"], data["teacher"], data["answers"]
    states = policy.think(student)
    batch = len(student["ids"])
    latents = policy.geo_adapter(policy.tap)[raster(len(student["grids"]))]
    queries = states[student["ids"] == QUERY].reshape(batch, CHUNK, -1)
    anchor = states[student["ids"] == ANCHOR].reshape(batch, 1, -1)
    with torch.no_grad():
        taught = policy.think(teacher)[teacher["ids"] == ANCHOR].reshape(batch, 1, -1)
    thought = policy.reason_adapter(anchor)
    pooled = latents.reshape(batch, -1, GEOMETRY).mean(1, keepdim=True)
    geometry = policy.geo_proj(pooled) * student["shown_geometry"][:, None, None]
    reasoning = policy.reason_proj(thought) * student["shown_reasoning"][:, None, None]
    actions = policy.action_model["model"](queries + geometry + reasoning)
    valid = student["valid"][..., None].expand_as(actions)
    spoken = policy.qwen.lm_head(policy.qwen.model.language_model.norm(policy.think(answers)))
    return {
        "action": ((actions - student["actions"]).abs() * valid).sum() / valid.sum(),
        "geometry": cosine(student["geometry"].reshape(-1, GEOMETRY), latents),
        "reasoning": cosine(taught, thought),
        "text": functional.cross_entropy(spoken[:, :-1].flatten(0, 1), answers["labels"][:, 1:].flatten()),
    }


def total(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return parts["action"] + sum(weight * parts[name] for name, weight in WEIGHTS.items())


def padded(rows: list[list[int]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    fill = [[0] * (length - len(row)) for row in rows]
    ids = [f + row if left else row + f for f, row in zip(fill, rows)]
    mask = [[0] * len(f) + [1] * len(row) if left else [1] * len(row) + [0] * len(f) for f, row in zip(fill, rows)]
    return torch.tensor(ids), torch.tensor(mask)


def batches(policy: Policy) -> dict[str, dict[str, torch.Tensor]]:
    """Two demonstrations with two views and tasks of different lengths, and two questions."""
    draw = torch.Generator().manual_seed(SEED)
    image = [START, *[IMAGE] * (SIDE * SIDE // 4), END]
    tasks = [[1, 2, 3, *image, *image, 5, 6, 7, 8], [1, 2, 3, *image, *image, 9, 4]]
    extra = [10, 11, 12, 13, 14]
    student = [task + [ANCHOR, 15, 16, *[QUERY] * CHUNK, 17] for task in tasks]
    teacher = [task + extra + [ANCHOR, 18, 19] for task in tasks]
    # A question with an image and one without; the first answer begins with the anchor.
    asked = [[1, 2, *image, 20, 21, 22], [1, 2, 23, 24]]
    answer = [[ANCHOR, 25, 26, 27, 28, 29], [30, 31, 29]]
    grid = torch.tensor([[1, SIDE, SIDE]])

    def of(rows: list[list[int]], images: int, left: bool) -> dict[str, torch.Tensor]:
        ids, mask = padded(rows, left)
        grids = grid.repeat(images, 1)
        positions, _ = policy.qwen.model.get_rope_index(ids, grids, attention_mask=mask)
        pixels = torch.rand((images * SIDE * SIDE, 3 * 2 * 4 * 4), generator=draw).double() * 2 - 1
        return {"ids": ids, "mask": mask, "positions": positions, "grids": grids, "pixels": pixels}

    data = {"student": of(student, 4, True), "teacher": of(teacher, 4, True)}
    data["teacher"]["pixels"] = data["student"]["pixels"]
    data["student"] |= {
        "actions": (torch.rand((2, CHUNK, ACTION), generator=draw) * 2 - 1).double(),
        "valid": torch.tensor([[1, 1, 1], [1, 1, 0]]).double(),
        "shown_geometry": torch.tensor([1.0, 0.0]).double(),
        "shown_reasoning": torch.tensor([1.0, 1.0]).double(),
        "geometry": torch.randn((4, SIDE * SIDE, GEOMETRY), generator=draw).double(),
    }
    data["answers"] = of([q + a for q, a in zip(asked, answer)], 1, False)
    labels = data["answers"]["ids"].clone()
    for row, (question, reply) in zip(labels, zip(asked, answer)):
        row[: len(question)] = -100
        row[len(question) + len(reply) :] = -100
    data["answers"]["labels"] = labels
    return data


def tiny() -> Policy:
    """Network with random weights with which every part has an effect; values fit 32 bits, so that the file is
    small."""
    torch.manual_seed(SEED)
    policy = Policy(config()).double()
    rotary = policy.qwen.model.visual.rotary_pos_emb
    rotary.inv_freq = rotary.inv_freq.float()
    for name, value in policy.named().items():
        with torch.no_grad():
            drawn = torch.randn(value.shape, dtype=torch.float32)
            scale = 0.3 if value.dim() == 1 else value[0].numel() ** -0.5
            value.copy_(drawn * scale + (1.0 if value.dim() == 1 and "norm" in name and "weight" in name else 0.0))
    return policy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the case")
    arguments = parser.parse_args()
    keep_64_bits()
    policy = tiny()
    data = batches(policy)
    tensors = {f"weight.{name}": value.detach().float() for name, value in policy.named().items()}
    for part, batch in data.items():
        for name, value in batch.items():
            tensors[f"{part}.{name}"] = value.float() if value.dtype == torch.float64 else value
    # Computes with the values as stored, rounded to 32 bits.
    for part, batch in data.items():
        for name, value in batch.items():
            batch[name] = tensors[f"{part}.{name}"].double() if value.dtype == torch.float64 else value
    start = {name: value.detach().clone() for name, value in policy.named().items()}
    optimiser = torch.optim.AdamW(policy.parameters(), lr=RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-8)
    zero = []
    for step in range(STEPS):
        parts = losses(policy, data)
        optimiser.zero_grad()
        total(parts).backward()
        if step == 0:
            for name, value in policy.named().items():
                tensors[f"gradient.{name}"] = value.grad.clone()
                if value.grad.abs().max() == 0:
                    zero.append(name)
        norm = nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        tensors |= {f"loss.{name}.{step}": value.detach().reshape(1) for name, value in parts.items()}
        tensors[f"norm.{step}"] = norm.detach().reshape(1)
        optimiser.step()
        print(f"step {step}: norm {norm:.4f}", {name: f"{value:.5f}" for name, value in parts.items()})
    for name, value in policy.named().items():
        tensors[f"moved.{name}"] = (value.detach() - start[name]).float()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "config.json").write_text(json.dumps(config(), indent=2) + "\n")
    reference = f"transformers {transformers.__version__}, torch {torch.__version__}"
    metadata = {"reference": reference, "steps": str(STEPS), "rate": str(RATE), "zero": json.dumps(zero)}
    contiguous = {name: value.contiguous().clone() for name, value in tensors.items()}
    save(contiguous, arguments.out / "recipe.safetensors", metadata)
    print(f"{sum(value.numel() for value in start.values())} parameters in {len(start)} tensors, zero gradients: {zero}")


if __name__ == "__main__":
    main()
