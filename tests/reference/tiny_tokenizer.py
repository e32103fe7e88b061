"""A small byte-level BPE tokenizer made from Qwen3's: every byte, the merges of highest rank, the control tokens."""

import json
from pathlib import Path
from typing import Any

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
QUERY = "ðŁĶį"  # the magnifying glass, U+1F50D, in byte-level BPE's alphabet


def prune(large: dict[str, Any], rows: int) -> dict[str, Any]:
    """Returns the tokenizer file with at most `rows` tokens; ids are renumbered without gaps, in the original order."""
    vocabulary: dict[str, int] = large["model"]["vocab"]
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in large["model"]["merges"]]
    tokens, kept = choose(vocabulary, merges, rows - len(CONTROL))
    ordered = sorted(tokens, key=vocabulary.__getitem__)
    small = json.loads(json.dumps({**large, "model": {**large["model"], "vocab": {}, "merges": []}}))
    small["model"]["vocab"] = {token: i for i, token in enumerate(ordered)}
    small["model"]["merges"] = [merges[rank] for rank in sorted(kept)]
    small["added_tokens"] = [added(content, len(ordered) + i) for i, content in enumerate(CONTROL)]
    return small


def choose(vocabulary: dict[str, int], merges: list[list[str]], limit: int) -> tuple[set[str], set[int]]:
    """Chooses tokens and ranks of merges to keep: first those that form the query token, then by rank."""
    rank_of = {left + right: rank for rank, (left, right) in reversed(list(enumerate(merges)))}
    tokens = {token for token in vocabulary if len(token) == 1}
    kept: set[int] = set()
    wanted = [QUERY]
    while wanted:
        token = wanted.pop()
        if token not in tokens:
            tokens.add(token)
            kept.add(rank_of[token])
            wanted.extend(merges[rank_of[token]])
    for rank, (left, right) in enumerate(merges):
        if len(tokens) >= limit:
            break
        if left in tokens and right in tokens:
            kept.add(rank)
            tokens.add(left + right)
    return tokens, kept


def added(content: str, token_id: int) -> dict[str, Any]:
    """Entry of a control token in tokenizer.json."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token_id, "content": content, **flags, "special": True}


def write_tiny(large: Path, out: Path, rows: int) -> None:
    """Reads Qwen3's tokenizer.json and writes the small one."""
    small = prune(json.loads(large.read_text(encoding="utf-8")), rows)
    out.write_text(json.dumps(small, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
