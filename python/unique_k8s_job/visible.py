"""Makes texts of others safe to show: characters that are invisible, or would begin another line, become escapes.

The Rust core does the same in `src/text.rs` to all texts in its sentences. It is done here once more for everything
that is shown to people, and for texts that do not come from the core.
"""

from __future__ import annotations

import re

#: Characters that are letters or marks to Unicode, but show nothing or change how their neighbours look: joiners,
#: fillers, selectors. Source: Unicode `Default_Ignorable_Code_Point`, as far as it is not among the format characters
#: anyway.
_IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_HIDDEN = re.compile(f"[{_IGNORABLE}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: Spaces that a log may have: no-break and other wide ones.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def visible(text: str) -> str:
    """Return a text as one line: all but visible characters and plain spaces become escapes, as `\\n` or `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_visible(one) else _escaped(one) for one in text)


def visible_lines(text: str) -> str:
    """Do the same line by line; tabs and all kinds of spaces stay."""
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
