#!/usr/bin/env python3
"""Runs cargo. Where nobody would see its progress bar, prints a line every ten seconds on what is done and what is left.

    progress.py cargo build ...

The exit code is cargo's. Errors and warnings are passed on to standard error; the names of compiled crates are not. The
lines about progress go to standard output, which colcon does not repeat at the end.
"""
import os
import re
import subprocess
import sys
import time

EVERY_S = 10.0
BAR = re.compile(r"Building \[[^\]]*\] (\d+)/(\d+)(?:: (.*))?")
UNSEEN = re.compile(r"\s*(?:Compiling|Downloading|Downloaded|Fresh|Blocking waiting for file lock)\b")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def pieces(stream):
    """Yields what cargo writes, one line or state of the bar at a time."""
    text = ""
    while chunk := os.read(stream.fileno(), 65536):
        *whole, text = re.split(r"[\r\n]", text + chunk.decode(errors="replace"))
        yield from whole
    yield text


def main(command):
    """Returns the exit code of the command."""
    if sys.stderr.isatty():
        os.execvp(command[0], command)
    environment = {**os.environ, "CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": "120"}
    begun = reported = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as cargo:
        for piece in pieces(cargo.stderr):
            line = ESCAPES.sub("", piece).rstrip()
            now = time.monotonic()
            if bar := BAR.search(line):
                done, of = int(bar[1]), int(bar[2])
                if now - reported >= EVERY_S:
                    reported = now
                    compiling = f"; compiling {bar[3]}" if bar[3] else ""
                    print(f"build: {done} of {of} crates, {of - done} left, {now - begun:.0f} s{compiling}", flush=True)
            elif line and not UNSEEN.match(line):
                print(line, file=sys.stderr, flush=True)
    return cargo.returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
