"""Decides what a plain word of YAML means to kubectl, and how a number is written for the API server. Pure.

The rules are those of `sigs.k8s.io/yaml` (go.yaml.in/yaml v2, `resolve.go`), through which kubectl reads every
manifest: YAML 1.1 without its numbers of base 60, and without dates.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

#: A value that a word can stand for.
Value = bool | int | float | str | None

_WORDS: dict[str, Value] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))", re.ASCII)
#: Go's parser of binary numbers also takes the sign behind the prefix.
_SIGNED_BINARY = re.compile(r"0b([-+][01]+)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
#: A number that begins with a dot may have underscores only between digits; in other numbers they may be anywhere.
_DOTTED = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?", re.ASCII)


def resolved(word: str) -> Value:
    """Return what an unquoted word stands for."""
    if word in _WORDS:
        return _WORDS[word]
    if word[0] == ".":
        number = _float(word) if _DOTTED.fullmatch(word) else None
        return word if number is None else number
    if word[0] not in "+-0123456789":
        return word
    digits = word.replace("_", "")
    integer = _integer(digits)
    if integer is not None:
        return integer
    number = _float(digits) if _FLOAT.fullmatch(digits) else None
    return word if number is None else number


def whole(number: float) -> int | float:
    """Return a finite number as kubectl sends it: of 64 bits, and without a fraction if the fraction is zero.

    kubectl writes 120.0 as 120, so the API server accepts it for a whole number.
    """
    if isinstance(number, int):
        if -(2**63) <= number < 2**63:
            return number
        number = float(number)
    if number.is_integer() and abs(number) < 1e21:
        return int(Decimal(repr(number)))
    return number


def joined(text: str) -> str:
    """Join the two halves of characters that JSON spells as UTF-16; a half without the other is no character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def key_text(key: Value) -> str | None:
    """Return the text of a key, because JSON has no other keys; None if kubectl has none for it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int):
        return str(key) if -(2**63) <= key < 2**63 else None
    return _short(key) if isinstance(key, float) else key


def _integer(digits: str) -> int | None:
    if signed := _SIGNED_BINARY.fullmatch(digits):
        number = int(signed[1], 2)
        return number if -(2**63) <= number < 2**63 else None
    found = _INTEGER.fullmatch(digits)
    if found is None:
        return None
    sign, *texts = found.groups()
    base, text = next((base, text) for base, text in zip((16, 2, 8, 10), texts, strict=True) if text is not None)
    if base == 10 and len(text) > 20:
        return None
    number = int(text, base)
    if sign == "-":
        number = -number
    return number if -(2**63) <= number < (2**63 if sign else 2**64) else None


def _float(digits: str) -> float | None:
    """Return a float; None if it is too large for 64 bits."""
    number = float(digits)
    return None if math.isinf(number) else number


def _short(number: float) -> str:
    """Write a number as Go does, with the fewest digits that distinguish 32-bit numbers."""
    if math.isnan(number):
        return ".nan"
    try:
        packed = struct.pack("f", number)
    except OverflowError:
        packed = struct.pack("f", math.copysign(math.inf, number))
    (narrow,) = struct.unpack("f", packed)
    if math.isinf(narrow):
        return ".inf" if narrow > 0 else "-.inf"
    shortest = next(
        text for text in (f"{narrow:.{digits}e}" for digits in range(17)) if struct.pack("f", float(text)) == packed
    )
    mantissa, _, exponent = shortest.partition("e")
    if -4 <= int(exponent) < 6:
        return f"{Decimal(shortest):f}"
    return f"{mantissa}e{exponent}"
