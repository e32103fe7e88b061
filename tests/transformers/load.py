"""load.py DIR …: loads each directory with transformers, as a user does; prints a line of JSON with the unused and the
missing weights, and digests of ids, patches and logits for a picture and a text."""

import hashlib
import json
import sys

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor


@torch.no_grad()
def answer(checkpoint: str) -> dict:
    model, loading = AutoModelForImageTextToText.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True, output_loading_info=True
    )
    processor = AutoProcessor.from_pretrained(checkpoint, local_files_only=True)
    picture = np.random.default_rng(5).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    content = [{"type": "image", "image": picture}, {"type": "text", "text": "Where is it?"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    made = {
        "ids": inputs["input_ids"],
        "patches": inputs["pixel_values"],
        "logits": model.eval()(**inputs).logits,
    }
    hashes = {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in made.items()}
    return {"model": type(model).__name__, "wrong": sorted(kind for kind, keys in loading.items() if keys), **hashes}


for directory in sys.argv[1:]:
    print(json.dumps(answer(directory)))
