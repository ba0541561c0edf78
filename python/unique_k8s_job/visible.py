"""Texts of others as they are shown: what cannot be seen, or would begin another line, is written as an escape.

The same as the Rust core does in `src/text.rs` to all that it puts into its sentences; here once more for what is shown to
people, and for texts that do not come from there.
"""

from __future__ import annotations

import re

#: Letters and marks by name that show nothing or change how their neighbours look: joiners, fillers, selectors.
#: Source: Unicode `Default_Ignorable_Code_Point`, as far as it is not among the format characters anyway.
_IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_HIDDEN = re.compile(f"[{_IGNORABLE}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: What a log may have: no-break and other wide spaces.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def visible(text: str) -> str:
    """One line of it: whatever is no visible character or plain space becomes its escape, as `\\n` or `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_visible(one) else _escaped(one) for one in text)


def visible_lines(text: str) -> str:
    """The same, line by line; tabs and all kinds of spaces stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    stays = "\n\t"
    return "".join(one if one in stays or _SPACES.match(one) or _is_visible(one) else _escaped(one) for one in text)


def _is_visible(one: str) -> bool:
    return one.isprintable() and not _HIDDEN.match(one)


def _escaped(one: str) -> str:
    if one in _SHORT:
        return _SHORT[one]
    number = ord(one)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
