"""What a text means as a manifest. That kubectl reads the same is for `tests/live/test_manifest_texts.py` to say."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from unique_k8s_job.exceptions import InvalidManifestError
from unique_k8s_job.manifest.encoding import LARGEST, decoded, read_text
from unique_k8s_job.manifest.read import read_manifest

TEXT = "kind: Job\nmetadata: {name: größe}\n"


def refusal(text: str) -> str:
    """Why a text is refused."""
    with pytest.raises(InvalidManifestError) as caught:
        read_manifest(text, "job.yaml")
    assert "(job.yaml" in caught.value.message and caught.value.path == "manifest"
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("10:30", "10:30"),
        ("8080:59", "8080:59"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T06:00:00Z", "2026-01-01T06:00:00Z"),
        ("010", 8),
        ("0o10", 8),
        ("08", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("120.0", 120),
        ("1e3", 1000),
        ("1.50", 1.5),
        ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709552000),
        ("y", True),
        ("off", False),
        ("oFF", "oFF"),
        ("~", None),
        ("", None),
        ("=", "="),
        ('"010"', "010"),
        ("!!str 010", "010"),
        ("! 010", "010"),
        ("!!binary aGFsbG8=", "hallo"),
        ("a\tb", "a\tb"),
    ],
)
def test_word_means_what_kubectl_takes_it_for(word: str, value: Any) -> None:
    read = read_manifest(f"a: {word}\t# a comment\n")["a"]
    assert (type(read), read) == (type(value), value)


def test_key_of_any_kind_is_a_text() -> None:
    assert read_manifest("{1: a, 0x10: b, yes: c, 1.10: d, 1e6: e, 2026-01-01: f}") == {
        "1": "a",
        "16": "b",
        "true": "c",
        "1.1": "d",
        "1e+06": "e",
        "2026-01-01": "f",
    }


def test_map_that_is_merged_gives_way_to_what_comes_later_alone() -> None:
    text = "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: {b: 3, <<: [*base, {a: 4}]}"
    read = read_manifest(text)
    assert read["one"] == {"a": 1, "b": 3}
    assert read["two"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "path", "lines"),
    [
        ("a: 1\nb: 2\na: 3", "a", "line 1, column 1 and line 3, column 1"),
        ("spec:\n  env: []\n  # more\n  env: []", "spec.env", "line 2, column 3 and line 4, column 3"),
        ("- x: {k: 1, k: 2}", "[0].x.k", "line 1, column 7 and line 1, column 13"),
        ("# first\n---\na: 1\n---\nb: {1: x,\n '1': y}", "b.1", "line 5, column 5 and line 6, column 2"),
        ("m: &m {k: 1}\no: {<<: *m, k: 2, k: 3}", "o.k", "line 2, column 13 and line 2, column 19"),
        ('{"a": {"b": 1,\n "b": 2}}', "a.b", "line 1, column 8 and line 2, column 2"),
        ('{"a": 1}\n{"b": "\\ud83d\\ude00",\n "b": 2}', "b", ""),
    ],
)
def test_key_that_stands_twice_is_refused_with_both_lines(text: str, path: str, lines: str) -> None:
    said = refusal(text)
    assert f"`{path}`: it stands twice" in said and lines in said


def test_key_that_may_be_a_secret_is_not_shown() -> None:
    said = refusal("a:\n  hunter2 hunter2: 1\n  hunter2 hunter2: 2")
    assert "hunter2" not in said and "a.(a key of 15 characters)" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n---\n", "is empty"),
        ("- a", "has to be one Job"),
        ("just text", "has to be one Job"),
        ("kind: Job\n---\n- a", "document 2) has to be one Job"),
        ("a: [", "line 2, column 1"),
        ("a: 1\n---\nb: {c: ]", "line 3, column 8"),
        ("a: .inf", "`a`: JSON has no infinity"),
        ("a: {b: [1, .NaN]}", "`a.b[1]`: JSON has no infinity"),
        ("a: 1\n...\nb: 2", "line 3, column 1: more text stands after the end of the document"),
        ("a: 1\n--- b: 2", "line 2, column 1: only a comment may stand behind `---`"),
        ("a: *b", "line 1, column 4: an alias names an anchor that is not there"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {<<: *a}", "contains itself"),
        ("<<: 1", "`<<` takes a map"),
        ("~: 1", "a key is null"),
        ("? [a]\n: 1", "a key is a map or a list"),
        ("a: !!int b", "the tag `!!int`"),
        ("a: !!binary \U0001f600", "the tag `!!binary`"),
        ("a: \x07", "line 1, column 4: a character that YAML does not allow, U+0007"),
        ("a: " + "[" * 101 + "]" * 101, "deeper than 100 levels"),
        ('{"a": ' + "[" * 101 + "]" * 101 + "}", "deeper than 100 levels"),
        ('{"a": ' + "[" * 100_000, "deeper than 100 levels"),
        ('{"a": 1} {"b": 2} c', "what follows the JSON before it is no JSON"),
    ],
)
def test_text_that_has_no_meaning_is_refused_with_its_place(text: str, words: str) -> None:
    assert words in refusal(text)


def test_aliases_do_not_make_a_small_text_endless() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
    assert "its aliases stand for too much" in refusal("\n".join(lines))


def test_documents_are_cut_as_kubectl_cuts_them_and_come_as_a_list() -> None:
    text = "# one\n---\na: |\n  text\n  ---- no end\n---   # two\n\n---\n\ufeffb: 1\r\nc: 2\r\n---\n# nothing"
    assert read_manifest(text) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"a": "text\n---- no end\n"}, {"b": 1, "c": 2}],
    }
    assert read_manifest('{"a": 1}\n{"b": "\\ud83d\\ude00"}')["items"] == [{"a": 1}, {"b": "\U0001f600"}]
    assert read_manifest('{"a": 1}\n---\nb: 2')["items"] == [{"a": 1}, {"b": 2}]
    assert read_manifest("---\na: 1\n---\n") == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF16_LE + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
    ],
)
def test_text_is_read_in_the_encodings_that_editors_write(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(data)
    assert read_manifest(read_text(tmp_path / "job.yaml"))["metadata"] == {"name": "größe"}


@pytest.mark.parametrize(
    ("data", "guess", "at"),
    [
        (TEXT.encode("latin-1"), "ISO 8859-1 or Windows-1252", "0xf6 at offset 29"),
        (TEXT.encode("utf-16-le"), "UTF-16 (little endian) without its byte order mark", "offset 1"),
        (TEXT.encode("utf-16-be"), "UTF-16 (big endian) without its byte order mark", "offset 0"),
        (TEXT.encode("utf-32"), "UTF-32", "offset 0"),
        (codecs.BOM_UTF16_LE + b"a\0b", "UTF-16", "0x62 at offset 4"),
        (codecs.BOM_UTF16_LE + b"a\0\0\xd8b\0", "UTF-16", "offset 4"),
        (codecs.BOM_UTF8 + b"a: \xff", "UTF-8", "0xff at offset 6"),
        (b"\x1f\x8b\x08\0\0", "gzip", "offset"),
        (b"a: \x01\0b", "no text", "0x00 at offset 4"),
    ],
)
def test_other_encoding_is_refused_with_the_file_the_guess_and_the_first_bad_byte(
    data: bytes, guess: str, at: str
) -> None:
    with pytest.raises(InvalidManifestError) as caught:
        decoded(data, "job.yaml")
    assert "(job.yaml)" in caught.value.message
    assert f"it looks like {guess}" in caught.value.seen and at in caught.value.seen[0]


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "absent", "No such file"), ("/dev/zero", "8 MiB")):
        with pytest.raises(InvalidManifestError) as caught:
            read_text(path)
        assert str(path) in caught.value.message and why in caught.value.seen[0]
    assert LARGEST == 8 * 1024**2
