"""Decodes a manifest: UTF-8, with a byte order mark or without, and UTF-16 with one, as Windows writes it.

Anything else is an error that names the file, the encoding that it looks like, and the first byte that is wrong.
"""

from __future__ import annotations

import codecs
import os
from typing import BinaryIO

from unique_k8s_job.exceptions import InvalidManifestError

#: The largest manifest in bytes. The API server takes 3 MiB of JSON; comments may come on top.
LARGEST = 8 * 1024 * 1024

#: Byte order marks; that of UTF-32 begins like one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8", "utf-8"),
    (codecs.BOM_UTF32_LE, "UTF-32", None),
    (codecs.BOM_UTF32_BE, "UTF-32", None),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16-be"),
)
#: The first bytes of files that are no text.
_NO_TEXT = ((b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a zip archive"), (b"\x7fELF", "a program"), (b"%PDF", "PDF"))
_HINT = "save it as UTF-8"


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a manifest's file.

    :raises InvalidManifestError: if it cannot be read, is too large, or has an unknown encoding
    """
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            return read_stream(file, name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
    raise InvalidManifestError(f"The manifest ({name}) cannot be read", seen=[why], path="manifest")


def missing_file(what: str, path: str, argument: str) -> InvalidManifestError:
    """Make the error about a file that is not there, although its absolute path is known.

    :param what: what the error begins with
    :param argument: the argument that names the file
    """
    if os.path.isdir(path):
        seen, hint = "the path names a folder", "give the path of a file in it"
    else:
        seen = "the machine that runs the task has no such file"
        hint = "put the file there on each machine or image that runs tasks, or give the path that it has there"
    return InvalidManifestError(what, seen=[seen], hint=hint, path=argument)


def read_stream(stream: BinaryIO, name: str) -> str:
    """Read a manifest from a stream, to its end.

    :raises InvalidManifestError: as `read_text`
    """
    data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InvalidManifestError(
            f"The manifest ({name}) is larger than any Job",
            seen=[f"more than {LARGEST // 1024**2} MiB"],
            hint="the API server takes 3 MiB",
            path="manifest",
        )
    return decoded(data, name)


def decoded(data: bytes, name: str) -> str:
    """Decode bytes to text.

    :raises InvalidManifestError: if they are in another encoding, or in none
    """
    mark, word, codec = next((known for known in _MARKS if data.startswith(known[0])), (b"", "UTF-8", "utf-8"))
    if codec is None:
        raise _refused(name, word, f"the byte order mark of {word} at offset 0")
    if b"\0" in data and codec == "utf-8":
        at = data.index(0)
        raise _refused(name, _guess(data), f"the byte 0x00 at offset {at}, which no text of UTF-8 has")
    try:
        return data[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
    # Outside of the `except`: the error quotes the manifest.
    guess = word if mark else _guess(data)
    raise _refused(name, guess, f"the byte 0x{data[at]:02x} at offset {at} is no {word}")


def _refused(name: str, guess: str, seen: str) -> InvalidManifestError:
    return InvalidManifestError(
        f"The manifest ({name}) is neither UTF-8 nor UTF-16 with a byte order mark",
        seen=[seen, f"it looks like {guess}"],
        hint=_HINT,
        path="manifest",
    )


def _guess(data: bytes) -> str:
    for begin, kind in _NO_TEXT:
        if data.startswith(begin):
            return kind
    sample = data[:4096]
    zeros = sample.count(0)
    if zeros:
        if zeros * 3 > len(sample) and 0 not in sample[::2]:
            return "UTF-16 (little endian) without its byte order mark"
        if zeros * 3 > len(sample) and 0 not in sample[1::2]:
            return "UTF-16 (big endian) without its byte order mark"
        return "no text"
    if any(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in sample):
        return "no text"
    return "ISO 8859-1 or Windows-1252" if any(0x80 <= byte for byte in sample) else "UTF-8"
