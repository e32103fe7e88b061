"""Writer of reproducible safetensors files."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def save(tensors: dict[str, torch.Tensor], file: Path, metadata: dict[str, str]) -> None:
    """Writes tensors and metadata; sorts the metadata, because the library writes them in random order."""
    save_file(tensors, file, metadata)
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
