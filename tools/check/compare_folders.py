#!/usr/bin/env python3
"""Compares two folders that the same commands wrote, byte by byte, and names every file that differs.

    compare_folders.py A B

Left out are only the places listed below: times, rates that follow from them, and the machine. Exit code 1: something
differs.
"""
import fnmatch
import json
import pathlib
import re
import sys

# Scalars with the time of day, which metrics.jsonl has without; locks, which name a process.
SKIPPED = ("events.out.tfevents.*", ".lock")
# Fields of the outermost objects of a JSON file, or of each line of a .jsonl file, that are left out.
FIELDS = {
    "metrics.jsonl": ("seconds", "data_wait_s"),
    "eval.json": ("cost", "machine"),
    "eval/rows/eval.json": ("seconds", "machine"),
    "diagnosis.json": ("seconds", "machine"),
}
# Parts of printed text and reports that are left out.
TEXTS = ("printed/*.txt", "*.md")
PATTERNS = (
    (r"Machine: .*", "Machine: …"),
    (r"\d+(?:\.\d+)? (?:s|ms)\b", "… s"),
    (r"\d+(?:\.\d+)? a second", "… a second"),
    (r"\d+(?:\.\d+)? times real time", "… times real time"),
    (r"\d+(?:\.\d+)? GFLOP/s measured now", "… GFLOP/s measured now"),
)
# Lines of a difference that are shown.
SHOWN = 3


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name.rsplit("/", 1)[-1], pattern) for pattern in patterns)


def fields_of(name):
    """Returns the fields that are left out of a file; the longest name that fits counts."""
    fitting = [key for key in FIELDS if name == key or name.endswith("/" + key)]
    return FIELDS[max(fitting, key=len)] if fitting else ()


def without(value, fields):
    return {key: inner for key, inner in value.items() if key not in fields} if isinstance(value, dict) else value


def compared(name, content):
    """Returns a file's content without what is left out: bytes, or lines where something is."""
    fields = fields_of(name)
    if fields and name.endswith(".jsonl"):
        return [json.dumps(without(json.loads(line), fields)) for line in content.decode().splitlines()]
    if fields:
        return json.dumps(without(json.loads(content), fields), indent=1).splitlines()
    if matches(name, TEXTS):
        text = content.decode()
        for pattern, instead in PATTERNS:
            text = re.sub(pattern, instead, text)
        return text.splitlines()
    return content


def difference(a, b):
    """Returns lines that say where two contents differ."""
    if isinstance(a, bytes):
        first = next((at for at, (left, right) in enumerate(zip(a, b)) if left != right), min(len(a), len(b)))
        return [f"{len(a)} and {len(b)} bytes, the first difference at byte {first}"]
    if len(a) != len(b):
        lines = [f"{len(a)} and {len(b)} lines"]
    else:
        lines = []
    for number, (left, right) in enumerate(zip(a, b), 1):
        if left != right:
            lines += [f"line {number}: {left}", f"{'':{len(str(number)) + 6}} {right}"]
        if len(lines) >= 2 * SHOWN:
            break
    return lines


def files(folder):
    """Returns the files below a folder by their names, without those that are skipped."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not matches(name, SKIPPED)}


def main(a, b):
    """Prints every difference; returns the exit code."""
    a, b = (files(pathlib.Path(folder)) for folder in (a, b))
    differing = 0
    for name in sorted(a.keys() | b.keys()):
        if name not in a or name not in b:
            differing += 1
            print(f"{name}: only in the {'first' if name in a else 'second'}")
            continue
        left, right = (side[name].read_bytes() for side in (a, b))
        if left == right:
            continue
        left, right = compared(name, left), compared(name, right)
        if left != right:
            differing += 1
            print(f"{name}: " + "\n    ".join(["differs", *difference(left, right)]))
    print(f"{len(a.keys() | b.keys())} files compared, {differing} differ")
    return 1 if differing or not a else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
