#!/usr/bin/env python3
"""Refuses sentences that a reader cannot understand without knowing the code, in documentation and doc comments.

    tools/check/prose.py [FILE...]        without files: all that are checked

A doc comment begins with a noun or a third-person verb and says what its item is or does. A page begins by saying what
it is for. Neither uses metaphors of the body or the household.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
# Folders whose doc comments are checked; .rs files below them.
SOURCES = ["benches", "examples", "fuzz/fuzz_targets", "src", "tests"]
# Page with exceptions for some words: the record of decisions.
OWN_WORDS = {"decisions.md"}

# Patterns refused in any sentence, each with what to write instead.
SENTENCES = [
    (r"(?:^|[.!?] )No\.(?: |$)", "say what does not happen, and why"),
    (r"\bsees? and thinks?\b", "runs inference"),
    (r"\bteach(?:es)? where things are\b", "name the data that is generated"),
    (r"\b(?:brains?|heart|helm|eyes|ears?)\b(?! of (?:the )?user)", "name the component by its function"),
]
# Patterns refused in documentation pages in addition, except in those with exceptions.
WORDS = [
    (r"\b(?:is|are|was|were) told\b", "gets, receives, or is reported"),
    (r"\bgo(?:es|ne)? on with\b", "continue"),
    (r"\bever after\b", "from then on"),
    (r"\bfor want of\b", "for lack of"),
    (r"\bby turns\b", "alternating"),
    (r"\bwhat is to be had\b", "say what is possible"),
    (r"\b[Tt]he way of a\b", "the pipeline, the path or the course of"),
    (r"\bstrangers?\b", "say which node, file or person"),
]
# Patterns refused at the beginning of a doc comment.
BEGINNINGS = [
    (r"(?:Who|Whose|Why)\b", "a noun or a third-person verb"),
    (r"(?:What|Which|When|Where|How)(?: to| from| it is| of)?\.$", "a noun with what a reader needs to know"),
]


def prose(page):
    """Numbered lines of a page without code, targets of links, and tables that a test writes."""
    fenced = made = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        made = line.endswith(".py -->") or made and line != "<!-- end -->"
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not made and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)


def comments(source):
    """Numbered lines of doc comments, each with whether it is the first of its comment."""
    before = ""
    for number, line in enumerate(source.read_text().splitlines(), 1):
        found = re.match(r"\s*(//[/!])(?!/) ?(.*)", line)
        if found:
            yield number, found[2], found[1] != before
        before = found[1] if found else ""


def faults(path):
    """Complaints about a file."""
    if path.suffix == ".md":
        text = path.read_text()
        rules = SENTENCES + (WORDS if path.name not in OWN_WORDS else [])
        first = text.split("\n\n", 2)[1:2]
        if path.parent.name == "docs" and path.name not in OWN_WORDS and not first[0].startswith("This page"):
            yield 3, first[0][:60], "a first sentence that says what the page is for: This page ..."
        lines = ((number, line, False) for number, line in prose(path))
    else:
        rules, lines = SENTENCES, comments(path)
    for number, line, begins in lines:
        for pattern, better in rules:
            if re.search(pattern, line):
                yield number, line.strip(), better
        for pattern, better in BEGINNINGS if begins else []:
            if re.match(pattern, line):
                yield number, line.strip(), better


def main(arguments):
    """Prints every complaint; the exit code is 1 when there is one."""
    sources = [file for folder in SOURCES for file in sorted((ROOT / folder).rglob("*.rs"))]
    paths = [pathlib.Path(argument).resolve() for argument in arguments] or [*PAGES, *sources]
    found = 0
    for path in paths:
        for number, line, better in faults(path):
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{shown}:{number}: {line}\n    expected: {better}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
