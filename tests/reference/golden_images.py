#!/usr/bin/env python3
"""Writes tests/data/images.json: outputs of the reference libraries for images that the Rust tests compute, too.

Needs pillow 11.3.0, opencv-python-headless 5.0.0, torch 2.11.0, torchvision 0.26.0 and transformers 4.57.6.
Pillow 13.0.0 filters along y first for some pairs of sizes, though not for 640x480 to 224x224.
Images are not stored: both sides compute them, and the outputs are compared by hash.
"""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional
from transformers import Qwen2VLImageProcessorFast

OUT = Path(__file__).resolve().parents[1] / "data" / "images.json"


def noise(count):
    """The high byte of Knuth's 64-bit linear congruential generator, from state 1."""
    out, state = bytearray(count), 1
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        out[i] = state >> 56
    return np.frombuffer(bytes(out), np.uint8)


def image(kind, width, height):
    """`noise`, or `steps`: the same noise reduced to 0 and 255, with which bicubic filters overshoot."""
    data = noise(width * height * 3)
    if kind == "steps":
        data = np.where(data >= 128, 255, 0).astype(np.uint8)
    return data.reshape(height, width, 3)


def resized(reference, source, size):
    if reference == "pillow_bicubic":
        return np.asarray(Image.fromarray(source).resize(size, Image.BICUBIC))
    if reference == "pillow_bilinear":
        return np.asarray(Image.fromarray(source).resize(size, Image.BILINEAR))
    if reference == "opencv_area":
        return cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    if reference == "torchvision_bicubic":
        channels_first = torch.from_numpy(source.copy()).permute(2, 0, 1).contiguous()
        out = functional.resize(channels_first, size[::-1], InterpolationMode.BICUBIC, antialias=True)
        return out.permute(1, 2, 0).contiguous().numpy()
    raise ValueError(reference)


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def main():
    shrinks = [
        ((640, 480), (224, 224)),
        ((640, 480), (320, 240)),
        ((640, 480), (160, 160)),
        ((640, 480), (128, 96)),
        ((256, 256), (224, 224)),
        ((97, 61), (32, 40)),
        ((97, 61), (97, 30)),
        ((97, 61), (50, 61)),
    ]
    enlarges = [((224, 224), (256, 256)), ((97, 61), (131, 200)), ((97, 61), (200, 30)), ((1, 1), (32, 32)), ((2, 300), (3, 7))]
    resizes = []
    for reference in ["pillow_bicubic", "pillow_bilinear", "torchvision_bicubic", "opencv_area"]:
        for kind in ["noise", "steps"]:
            for source, target in shrinks + ([] if reference == "opencv_area" else enlarges):
                out = resized(reference, image(kind, *source), target)
                head = out.reshape(-1)[:24].tolist()
                resizes.append(dict(reference=reference, kind=kind, source=source, target=target, head=head, sha256=sha256(out)))

    processor = Qwen2VLImageProcessorFast(
        size={"shortest_edge": 65536, "longest_edge": 16777216},
        patch_size=16,
        temporal_patch_size=2,
        merge_size=2,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processed = []
    for source in [(640, 480), (256, 256), (320, 240)]:
        recorded = resized("pillow_bicubic", image("noise", *source), (224, 224))
        for label, frame in [("as_is", image("noise", *source)), ("to_224", recorded)]:
            made = processor(images=[Image.fromarray(frame)], return_tensors="pt")
            values, grid = made["pixel_values"].numpy().astype("<f4"), made["image_grid_thw"][0].tolist()
            head = values.reshape(-1)[:8].tolist()
            processed.append(dict(input=label, source=source, grid=grid, head=head, sha256=sha256(values)))

    yuyv = noise(64 * 48 * 2).reshape(48, 64, 2)
    rgb = cv2.cvtColor(yuyv, cv2.COLOR_YUV2RGB_YUY2)
    golden = dict(
        resizes=resizes,
        processed=processed,
        yuyv=dict(width=64, height=48, head=rgb.reshape(-1)[:24].tolist(), sha256=sha256(rgb)),
    )
    OUT.parent.mkdir(exist_ok=True)
    lines = [f'"{key}": [\n' + ",\n".join(json.dumps(v) for v in golden[key]) + "\n]" for key in ["resizes", "processed"]]
    OUT.write_text("{\n" + ",\n".join([*lines, f'"yuyv": {json.dumps(golden["yuyv"])}']) + "\n}\n")


if __name__ == "__main__":
    sys.exit(main())
