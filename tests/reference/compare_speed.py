#!/usr/bin/env python3
"""Times the reference and thinkvla alternately on the same work, and prints the ratio.

    $(tests/reference/setup.sh) tests/reference/compare_speed.py --thinkvla target/release/thinkvla --compute bf16

The work: Qwen3-VL-2B's vision tower on 2 images of 256 x 256 px and its language model on 256 tokens, without the text
head. Both sides have random weights, read the same number of patches and tokens, and use the same number of threads.
Only one computes at a time. With --reload only one is in memory at a time, for machines that cannot hold both.
"""

import argparse
import contextlib
import gc
import json
import statistics
import subprocess
import time

import torch
from transformers import Qwen3VLConfig, Qwen3VLModel
from transformers.modeling_utils import no_init_weights

TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
IMAGE_TOKEN, START_TOKEN, END_TOKEN = 151655, 151652, 151653
TOKENS, TOKENS_OF_IMAGE, PATCHES = 256, 64, 256
WARM_UP = 2


def config_2b():
    """The released 2B size."""
    text = {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "rope_theta": 5_000_000,
        "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [24, 20, 20]},
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "deepstack_visual_indexes": [5, 11, 17],
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)


class Reference:
    """The model of the installed transformers, with its default attention (sdpa)."""

    def __init__(self, compute):
        torch.manual_seed(0)
        dtype = TYPES[compute]
        torch.set_default_dtype(dtype)
        with no_init_weights():
            self.model = Qwen3VLModel._from_config(config_2b(), attn_implementation="sdpa", dtype=dtype).eval()
        torch.set_default_dtype(torch.float32)
        block = torch.randn(1_000_003).mul_(0.02).to(dtype)
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                if "norm" in name and name.endswith("weight"):
                    weight.fill_(1.0)
                    continue
                for part in weight.view(-1).split(block.numel()):
                    part.copy_(block[: part.numel()])
        image = [START_TOKEN, *[IMAGE_TOKEN] * TOKENS_OF_IMAGE, END_TOKEN]
        ids = [151644, 872, 198, *image, *image]
        ids += list(range(1000, 1000 + TOKENS - len(ids)))
        self.inputs = {
            "input_ids": torch.tensor([ids]),
            "attention_mask": torch.ones(1, TOKENS, dtype=torch.long),
            "pixel_values": torch.rand(2 * PATCHES, 1536).mul_(2).sub_(1).to(dtype),
            "image_grid_thw": torch.tensor([[1, 16, 16]] * 2),
            "use_cache": False,
        }
        for _ in range(WARM_UP):
            self.run()

    @torch.inference_mode()
    def run(self):
        """Runs one pass; returns its duration (ms)."""
        start = time.perf_counter()
        self.model(**self.inputs)
        return (time.perf_counter() - start) * 1e3


class Ours:
    """`thinkvla bench`, controlled pass by pass."""

    def __init__(self, program, compute, threads):
        arguments = [program, "bench", "--size", "2b", "--compute", compute, "--threads", str(threads), "--alternate"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"compare_speed: {' '.join(arguments)} did not start")

    def run(self):
        """Runs one pass of vision and language; returns its duration (ms)."""
        print("pass", file=self.process.stdin, flush=True)
        times = json.loads(self.process.stdout.readline())
        return times["vision_ms"] + times["language_ms"]

    def close(self):
        """Ends the program; returns its own measurements, including the floor."""
        print("end", file=self.process.stdin, flush=True)
        figures = json.loads(self.process.stdout.readline())
        self.process.wait()
        return figures


def alternating(options):
    """Times single passes of both alternately, with both in memory."""
    with contextlib.ExitStack() as stack:
        ours = Ours(options.thinkvla, options.compute, options.threads)
        stack.callback(ours.process.kill)
        reference = Reference(options.compute)
        ours.run()
        pairs = [(ours.run(), reference.run()) for _ in range(options.rounds)]
        del reference
        gc.collect()
        return *map(list, zip(*pairs, strict=True)), ours.close()


def reloaded(options):
    """Times several passes of each alternately, with one in memory at a time."""
    all_ours, all_theirs = [], []
    for _ in range(2):
        ours = Ours(options.thinkvla, options.compute, options.threads)
        ours.run()
        all_ours += [ours.run() for _ in range(options.rounds // 2)]
        figures = ours.close()
        reference = Reference(options.compute)
        all_theirs += [reference.run() for _ in range(options.rounds // 2)]
        del reference
        gc.collect()
    return all_ours, all_theirs, figures


def percentile(values, p):
    """Percentile by nearest rank."""
    return sorted(values)[max(0, -(-len(values) * p // 100) - 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--thinkvla", required=True, help="the program, built for release")
    parser.add_argument("--compute", choices=TYPES, default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--reload", action="store_true", help="never hold both in memory")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ours, theirs, figures = (reloaded if options.reload else alternating)(options)
    floor = figures["parts"]["vision + language"]["floor_ms"]
    machine = figures["machine"]
    print(f"{machine['cpu']}, {options.threads} threads, {options.compute}, {len(ours)} alternating passes\n")
    print("| vision + language | p50 [ms] | p95 [ms] | least [ms] |\n|---|---|---|---|")
    for name, times in (("thinkvla", ours), ("reference", theirs)):
        print(f"| {name} | {statistics.median(times):.0f} | {percentile(times, 95):.0f} | {min(times):.0f} |")
    print(f"\nthinkvla ÷ reference {statistics.median(ours) / statistics.median(theirs):.2f}")
    print(f"thinkvla ÷ floor of its matrix products ({floor:.0f} ms) {statistics.median(ours) / floor:.2f}")
    print(f"thinkvla p95 ÷ p50 {percentile(ours, 95) / statistics.median(ours):.2f}")
    print(f"thinkvla's peak memory {figures['peak_gb']:.2f} GB")


if __name__ == "__main__":
    main()
