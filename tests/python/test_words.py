"""The script that checks the words of all texts, over made-up texts: it finds what it is there for, and nothing else."""

from __future__ import annotations

import pytest
import rust_source
import words


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Correct the name, or mend the image", "repair"),
        ("What it costs is said in the log", "say who says what"),
        ("Job `a` is on its way out", "is being deleted"),
        ("word " * 40, "a sentence of 40 words"),
    ],
)
def test_text_that_breaks_a_rule_is_found(text: str, fault: str) -> None:
    assert any(fault in found for found in words.faults(text))


@pytest.mark.parametrize(
    "text", ["Pod `a` cannot start: correct the image", "word " * 30, f"{'word ' * 30}. {'word ' * 30}"]
)
def test_text_that_is_well_is_not(text: str) -> None:
    assert list(words.faults(text)) == []


def test_strings_are_read_and_comments_tests_and_headers_are_not() -> None:
    rust = """//! mend a header
    fn a() -> char { let b = "one text \\
        on two lines"; '"' } // mend "a comment"
    #[cfg(test)]
    mod tests { const C: &str = "mend a test"; }"""
    assert list(rust_source.texts(rust)) == ["one text on two lines"]
    python = '"""mend a header"""\ndef a(): \n    """Say so."""\n    return "b c"  # mend\n'
    assert list(words.texts_of_python(python)) == ["Say so.", "b c"]
