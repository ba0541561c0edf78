#!/usr/bin/env python3
"""Checks the words of all texts that a user can meet: messages, findings, errors and help, in `src` and in `python`.

A text is a string of the code with a space in it; tests and comments do not count. The rules:

- no word of the old vocabulary (`BANNED`): each has a plain one;
- no sentence of more than `LONGEST` words.

Needs nothing but Python. Usage: `python3 tests/structure/words.py [CHECKOUT]`; with `--texts` it prints all texts by folder, to
be read in one sitting.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import rust_source

#: A sentence with more words is two sentences.
LONGEST = 36
#: What is not to be written, and what says it.
BANNED = {
    r"mends?": "repair",
    r"(?:is|are|was|were) (?:said|told)": "say who says what: the log has, the error names",
    r"as is meant": "this is normal",
    r"on (?:its|their) way out": "is being deleted",
    r"looked at": "read, checked",
    r"stands? still": "does not change",
    r"in vain": "without result",
    r"dealt with": "acknowledged or deleted",
    r"deeds?": "action, result",
    r"fates?": "outcome",
    r"hitherto|thereof|whereof|lest": "leave it out",
}


def texts_of_python(source: str) -> Iterator[str]:
    """The strings of a file, and the docstrings of its classes and functions: editors and Airflow show them."""
    module = ast.parse(source)
    header = ast.get_docstring(module, clean=False)
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != header:
            yield node.value


def texts(checkout: Path) -> Iterator[tuple[str, str]]:
    """Each text with the file that it is in."""
    for folder, pattern, read in (("src", "*.rs", rust_source.texts), ("python", "*.py", texts_of_python)):
        for file in sorted((checkout / folder).rglob(pattern)):
            if file.name == "tests.rs" or "testdata" in file.parts:
                continue
            for text in read(file.read_text()):
                if " " in text.strip():
                    yield str(file.relative_to(checkout)), text


def faults(text: str) -> Iterator[str]:
    """What is wrong with a text, in words."""
    for word, plain in BANNED.items():
        found = re.search(rf"\b(?:{word})\b", text, re.IGNORECASE)
        if found:
            yield f"{found[0]!r} is not a word of ours ({plain})"
    for sentence in re.split(r"(?<=[.:;!?)])\s|\n\s*\n|\n\s*[-:|]", text):
        words = len(re.findall(r"[^\s\"'`(){}<>|=*]{2,}", sentence))
        if words > LONGEST:
            yield f"a sentence of {words} words, and {LONGEST} are enough: {' '.join(sentence.split())[:80]}..."


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--texts"]
    checkout = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    all_texts = list(texts(checkout))
    if "--texts" in sys.argv:
        for file, text in all_texts:
            print(f"{file}: {' '.join(text.split())}")
        return 0
    wrong = [f"{file}: {fault}" for file, text in all_texts for fault in faults(text)]
    print(f"words: {len(all_texts)} texts, {len(wrong)} faults")
    for line in wrong:
        print(f"  {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
