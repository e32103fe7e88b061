"""Random Qwen3-VL checkpoints in the Hugging Face layout, written by the reference implementation itself."""

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tiny_tokenizer import CONTROL, write_tiny
from transformers import (
    Qwen2TokenizerFast,
    Qwen2VLImageProcessorFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.modeling_utils import no_init_weights

# Equals the released template for user and assistant turns without tools: no default system message.
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for item in message.content -%}
{%- if item.type == 'image' -%}
{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif item.type == 'text' -%}
{{ item.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""


@dataclass(frozen=True)
class Text:
    """Sizes of the language model."""

    width: int = 64
    inner: int = 128
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head: int = 16
    sections: tuple[int, int, int] = (4, 2, 2)
    vocabulary: int = 320
    tied: bool = True
    longest: int = 4096


@dataclass(frozen=True)
class Vision:
    """Sizes of the vision tower and of its input."""

    width: int = 32
    inner: int = 64
    depth: int = 3
    heads: int = 2
    taps: tuple[int, ...] = (0, 1, 2)
    patch: int = 16
    merge: int = 2
    positions: int = 36
    min_pixels: int = 64 * 64
    max_pixels: int = 192 * 192


@dataclass(frozen=True)
class Spec:
    """One checkpoint."""

    seed: int
    text: Text = field(default_factory=Text)
    vision: Vision = field(default_factory=Vision)
    dtype: torch.dtype = torch.bfloat16
    shard_size: str = "50GB"
    embedding_std: float = 0.2
    """Of the text head's rows too: how far the logits lie apart."""
    sharpness: float = 1.0
    """Of the language model's attention; where it is blunt, greedy writing soon repeats itself."""


def config_of(spec: Spec, tokenizer: Qwen2TokenizerFast) -> Qwen3VLConfig:
    """The reference's configuration, with the tokenizer's ids."""
    text, vision = spec.text, spec.vision
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    text_config = {
        "vocab_size": text.vocabulary,
        "hidden_size": text.width,
        "intermediate_size": text.inner,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "head_dim": text.head,
        "max_position_embeddings": text.longest,
        "rope_theta": 5_000_000,
        "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": list(text.sections)},
        "tie_word_embeddings": text.tied,
    }
    vision_config = {
        "depth": vision.depth,
        "hidden_size": vision.width,
        "intermediate_size": vision.inner,
        "num_heads": vision.heads,
        "patch_size": vision.patch,
        "spatial_merge_size": vision.merge,
        "out_hidden_size": text.width,
        "num_position_embeddings": vision.positions,
        "deepstack_visual_indexes": list(vision.taps),
    }
    return Qwen3VLConfig(text_config=text_config, vision_config=vision_config, tie_word_embeddings=text.tied, **ids)


def processor_of(spec: Spec, large_tokenizer: Path) -> Qwen3VLProcessor:
    """Processor with the released settings except sizes; the tokenizer is pruned unless the vocabulary is Qwen3's."""
    vision = spec.vision
    with tempfile.TemporaryDirectory() as folder:
        file = large_tokenizer
        if spec.text.vocabulary < 100_000:
            file = Path(folder) / "tokenizer.json"
            # as in the released checkpoints, some rows of the embedding belong to no token
            write_tiny(large_tokenizer, file, spec.text.vocabulary - 12)
        tokenizer = Qwen2TokenizerFast(
            tokenizer_file=str(file), eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None
        )
    sizes = {"patch_size": vision.patch, "temporal_patch_size": 2, "merge_size": vision.merge}
    edges = {"shortest_edge": vision.min_pixels, "longest_edge": vision.max_pixels}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessorFast(size=edges, **sizes, **half),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**sizes),
        chat_template=CHAT_TEMPLATE,
    )


@torch.no_grad()
def draw(model: Qwen3VLForConditionalGeneration, spec: Spec, control: list[int]) -> None:
    """Draws weights large enough for every tensor to have an effect: states vary, attention is neither flat nor
    one-hot."""
    generator = torch.Generator().manual_seed(spec.seed)
    for name, weight in model.named_parameters():
        values = torch.randn(weight.shape, generator=generator)
        if "embed_tokens" in name or "lm_head" in name:
            values *= spec.embedding_std
            # control tokens and spare rows must never be generated
            values[min(control) :] *= 0.05
        elif "pos_embed" in name:
            values *= 0.5
        elif weight.dim() > 1:
            values *= 1.0 / math.sqrt(weight[0].numel())
        elif name.endswith("bias"):
            values *= 0.1
        else:
            values = 1.0 + 0.2 * values
        if name.endswith("self_attn.q_norm.weight"):
            values *= spec.sharpness
        weight.copy_(values)


def write_checkpoint(spec: Spec, large_tokenizer: Path, out: Path) -> None:
    """Writes the directory `out`, as `save_pretrained` does."""
    processor = processor_of(spec, large_tokenizer)
    with no_init_weights():
        model = Qwen3VLForConditionalGeneration._from_config(
            config_of(spec, processor.tokenizer), dtype=spec.dtype
        )
    model.tie_weights()
    draw(model, spec, processor.tokenizer.convert_tokens_to_ids(list(CONTROL)))
    model.save_pretrained(out, max_shard_size=spec.shard_size)
    processor.save_pretrained(out)


def load_reference(checkpoint: Path) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """Loads a directory as a user of the reference does, to compute in float32."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True
    )
    processor = Qwen3VLProcessor.from_pretrained(checkpoint, local_files_only=True)
    processor.tokenizer.padding_side = "left"  # as StarVLA sets it; the file does not store it
    return model.eval(), processor
