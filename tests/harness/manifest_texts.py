"""Texts of YAML and JSON with every quirk that people bring, drawn from a source of choices.

Most are well formed; where a fragment was thrown into one, it may be broken in any way.
"""

from __future__ import annotations

import json
from random import Random

#: Words that mean something to one reader of YAML or another.
WORDS = [
    "10:30",
    "8080:59",
    "190:20:30.15",
    "1:2",
    "2026-01-01",
    "2026-1-1",
    "2026-01-01T06:00:00Z",
    "2026-13-45",
    "010",
    "0o17",
    "0O17",
    "08",
    "0778",
    "0x1F",
    "0X1f",
    "-0x1F",
    "0b101",
    "-0b101",
    "0b-1",
    "0b2",
    "0x",
    "1_000",
    "_1",
    "1_",
    "1__0",
    "0x_1",
    "+_1",
    "1_0.5_0",
    ".5",
    ".5_0",
    "._5",
    "-.5",
    "1.",
    "1.50",
    "120.0",
    "-0",
    "-0.0",
    "+12",
    "1e3",
    "1E-7",
    "1e21",
    "1e20",
    "1e400",
    ".5e3",
    "1e",
    "5e-324",
    "123456789012345678901234567890",
    "18446744073709551615",
    "9223372036854775807",
    "-9223372036854775809",
    "0777777777777777777777777",
    "0xFFFFFFFFFFFFFFFF",
    "yes",
    "Yes",
    "YES",
    "yEs",
    "no",
    "n",
    "N",
    "y",
    "on",
    "Off",
    "oFF",
    "true",
    "TRUE",
    "tRue",
    "False",
    "~",
    "null",
    "Null",
    "nUll",
    "NaN",
    "Infinity",
    "=",
    "+",
    ".",
    "..",
    "-a",
    "a",
    "b.c",
    "a-b",
    "a_b",
    "x/y:z",
    "http://x:80/y#w",
    "a:b",
    "a#b",
    "$(A)",
    '""',
    "''",
    '"yes"',
    "'010'",
    "größe",
    "東京",
    "a",
    "b",
    "🙂",
    "16777217",
    "3.14159265358979",
    "0.00001",
    "1000000.0",
    "100000.0",
    "1e39",
    "1.1",
    "1.10",
]
#: Words that are wrong in most places, or everywhere.
_ODD_WORDS = [
    ".inf",
    "-.INF",
    "+.Inf",
    ".nan",
    ".NaN",
    "<<",
    "-",
    "?",
    "...",
    "---a",
    "@a",
    "%a",
    "`a`",
    "!a",
    "&a",
    "*a",
    "a:",
    ":a",
    "a,b",
    "a[b",
    "{{ds}}",
    "x?y",
    '"\\ud83d"',
    '"\\ud83d\\ude42"',
]
_TAGS = ("!!str", "!!map", "!!set", "!", "!own")
_STRICT_TAGS = ("!!int", "!!float", "!!bool", "!!null", "!!binary", "!!timestamp", "!<tag:yaml.org,2002:int>")
#: What is thrown into a text.
FRAGMENTS = (
    *(
        "\n",
        " ",
        "  ",
        "\t",
        ":",
        ": ",
        "- ",
        "? ",
        "\n---\n",
        "\n...\n",
        " # c",
        "#",
        "'",
        '"',
        "|",
        "|-",
        ">",
        "|2",
        "&a ",
        "*a",
    ),
    *(
        "<<: *a",
        "<<:",
        "!!str ",
        "! ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\\",
        "\\x41",
        "\\u00e9",
        "é",
        "\x85",
        "\u2028",
        "\ufeff",
        "🙂",
    ),
    *(
        "%",
        "@",
        "`",
        "~",
        "null",
        "010",
        "-",
        "?",
        "\r",
        "\r\n",
        "\x07",
        "\x00",
        "=",
        "''",
        '""',
        "\n\n",
        "\n\t",
        "\x7f",
        "\u00a0",
    ),
)
_LETTERS = "abcxyz019 -_.:,#/'\"\\é"


class Texts:
    """A writer of texts. Each call of `text` makes another."""

    def __init__(self, random: Random) -> None:
        self._random = random
        #: What an alias may name, and whether it is a map.
        self._anchors: dict[str, bool] = {}

    def text(self) -> str:
        """One text, of one or several documents."""
        kind = self._random.random()
        if kind < 0.01:
            text = self._deep()
        elif kind < 0.1:
            text = self._json()
        else:
            separators = ("---\n", "---\n", "--- # next\n", "---\n# nothing\n---\n", "...\n---\n", "---\r\n")
            documents = [self._document() for _ in range(1 if self._chance(0.8) else self._random.randint(2, 3))]
            text = documents[0]
            for document in documents[1:]:
                text += self._random.choice(separators) + document
            if self._chance(0.2):
                text = (
                    self._random.choice(("---\n", "# c\n---\n", "\n", "\ufeff", "\ufeff---\n", "# c\n", "--- \t\n"))
                    + text
                )
        if self._chance(0.1):
            text = text.replace("\n", "\r\n")
        if self._chance(0.2):
            text = text.rstrip("\n")
        if self._chance(0.2):
            text = self._thrown_at(text)
        return text

    def job(self, name: str) -> str:
        """A text of one Job, well formed, whose `spec` is anything."""
        head = f"apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n"
        return head + self._map(2, 1)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _thrown_at(self, text: str) -> str:
        for _ in range(self._random.randint(1, 2)):
            at = self._random.randint(0, len(text))
            gone = self._random.choice((0, 0, 0, 1, 3))
            text = text[:at] + self._random.choice(FRAGMENTS) + text[at + gone :]
        return text

    def _deep(self) -> str:
        """One value, some levels below or above the deepest that we read."""
        levels = self._random.randint(1, 130)
        if self._chance(0.3):
            return "".join(f"{' ' * level}{self._random.choice('ab')}:\n" for level in range(levels))
        before, after = self._random.choice((("[", "]"), ("{a: ", "}"), ('{"a":', "}"), ("- ", "")))
        return f"{before * levels}1{after * levels}\n"

    # --- YAML ------------------------------------------------------------------------------------------------------

    def _document(self) -> str:
        self._anchors = {}
        if self._chance(0.1):
            return self._flow(0) + "\n"
        return self._map(0, 0)

    def _map(self, indent: int, deep: int) -> str:
        lines = []
        for _ in range(self._random.randint(1, 4)):
            if self._anchors and self._chance(0.1):
                lines.append(f"{' ' * indent}<<: {self._merged()}\n")
                continue
            key = self._key()
            lines.append(f"{' ' * indent}{key}:{self._value(indent, deep)}")
        return self._noise(indent).join(["", *lines])

    def _list(self, indent: int, deep: int) -> str:
        return "".join(
            f"{' ' * indent}-{self._value(indent, deep, of_list=True)}" for _ in range(self._random.randint(1, 3))
        )

    def _noise(self, indent: int) -> str:
        if not self._chance(0.15):
            return ""
        return self._random.choice(("# c\n", "\n", f"{' ' * indent}# c: d\n", "   \n", " # 'c\n"))

    def _value(self, indent: int, deep: int, *, of_list: bool = False) -> str:
        """What follows `key:` or `-`, to the end of its last line."""
        blank = self._random.choice((" ", " ", " ", " ", "  ", "\t", " \t"))
        if of_list and not self._chance(0.02):
            blank = " "
        anchor = self._random.choice("abcd") if self._chance(0.15) else ""
        is_map, value = self._anything(indent, deep)
        if anchor and not value.startswith("*"):
            value = f"&{anchor} {value}"
            self._anchors[anchor] = is_map
        return f"{blank}{value}"

    def _anything(self, indent: int, deep: int) -> tuple[bool, str]:
        """A value, and whether it is a map."""
        end = self._random.choice(("\n", "\n", "\n", "\n", " # c\n", "\t# c\n", " \n", "\t\n"))
        kind = self._random.random()
        if deep < 5 and kind < 0.2:
            return True, f"\n{self._map(indent + self._random.choice((1, 2, 4)), deep + 1)}"
        if deep < 5 and kind < 0.35:
            return False, f"\n{self._list(indent + self._random.choice((1, 2)), deep + 1)}"
        if kind < 0.45:
            return False, self._block(indent)
        if kind < 0.5:
            return False, end
        if kind < 0.6:
            flow = self._flow(deep)
            return flow.startswith("{"), flow + end
        if kind < 0.65 and self._anchors:
            return False, f"*{self._random.choice(list(self._anchors))}{end}"
        return False, f"{self._tag()}{self._scalar(indent)}{end}"

    def _merged(self) -> str:
        maps = [name for name, is_map in self._anchors.items() if is_map or self._chance(0.02)]
        aliases = [f"*{self._random.choice(maps)}" if maps else "{a: 1}" for _ in range(2)]
        return self._random.choice((aliases[0], f"[{', '.join(aliases)}]", "{a: 1, b: 2}", f"[{{a: 1}}, {aliases[0]}]"))

    def _tag(self) -> str:
        if self._chance(0.005):
            return f"{self._random.choice(_STRICT_TAGS)} "
        return f"{self._random.choice(_TAGS)} " if self._chance(0.05) else ""

    def _key(self) -> str:
        if self._chance(0.6):
            return self._random.choice("abcdefghij") + self._random.choice(("", "b", "Key", "/x.y"))
        return self._random.choice((self._word, self._quoted, self._number))()

    def _word(self) -> str:
        return self._random.choice(_ODD_WORDS if self._chance(0.01) else WORDS)

    def _number(self) -> str:
        digits = "".join(self._random.choice("0123456789_") for _ in range(self._random.randint(1, 20)))
        shape = self._random.choice(
            ("{}", "-{}", "+{}", "0{}", "0x{}", "0b{}", "0o{}", "{}.5", ".{}", "{}e2", "{}:30", "1.{}e-3", "{}:{}")
        )
        return shape.format(digits, digits)

    def _quoted(self) -> str:
        text = "".join(self._random.choice(_LETTERS) for _ in range(self._random.randint(0, 8)))
        if self._chance(0.5):
            return "'" + text.replace("'", "''") + "'"
        escapes = ("\\n", "\\t", "\\x41", "\\u00e9", "\\U0001F600", "\\0", "\\ ", "\\'", "\\a")
        return (
            '"'
            + json.dumps(text, ensure_ascii=False)[1:-1]
            + (self._random.choice(escapes) if self._chance(0.3) else "")
            + '"'
        )

    def _scalar(self, indent: int) -> str:
        kind = self._random.random()
        if kind < 0.5:
            return self._word()
        if kind < 0.65:
            return self._number()
        if kind < 0.85:
            return self._quoted()
        inner = "\n" + " " * (indent + 1)
        more = f"{self._word()}{self._random.choice((inner, f'{inner}{inner}', f' {inner} ', f'{inner}	'))}{self._word()}"
        return self._random.choice((more, f'"{more}"', f"'{more}'")).replace("''", "x")

    def _block(self, indent: int) -> str:
        inner = indent + self._random.choice((1, 2, 3))
        header = (
            self._random.choice("|>")
            + self._random.choice(("", "", "-", "+"))
            + self._random.choice(("", " # c", " ", "\t"))
        )
        lines = []
        for _ in range(self._random.randint(0, 4)):
            text = self._random.choice((self._word(), "", "  more", "# no comment", "a\tb", "---", "x  "))
            lines.append(f"{' ' * inner}{text}" if text else self._random.choice(("", " " * inner)))
        return header + "\n" + "".join(f"{line}\n" for line in lines)

    def _flow(self, deep: int) -> str:
        if deep > 6 or self._chance(0.4):
            return self._random.choice((self._word, self._number, self._quoted))()
        items = [self._flow(deep + 1) for _ in range(self._random.randint(0, 3))]
        comma = self._random.choice((", ", ",", " , ", ",\n  ", ",\t"))
        if self._chance(0.5):
            return f"[{comma.join(items)}]"
        colon = self._random.choice((": ", ": ", ": ", ": ", ":", ":\t"))
        return "{" + comma.join(f"{self._key()}{colon}{item}" for item in items) + "}"

    # --- JSON ------------------------------------------------------------------------------------------------------

    def _json(self) -> str:
        indent = self._random.choice((None, 2))
        objects = [
            json.dumps(self._json_object(0), indent=indent, ensure_ascii=self._chance(0.5))
            for _ in range(self._random.choice((1, 1, 1, 2, 3)))
        ]
        return self._random.choice(("\n", "", " ", "\n---\n")).join(objects) + self._random.choice(("\n", "", "\n\n"))

    def _json_object(self, deep: int) -> object:
        if deep == 0 or (deep < 4 and self._chance(0.3)):
            return {
                self._random.choice(("a", "b", "é", "10:30", "")): self._json_object(deep + 1)
                for _ in range(self._random.randint(0, 3))
            }
        if deep < 4 and self._chance(0.3):
            return [self._json_object(deep + 1) for _ in range(self._random.randint(0, 3))]
        return self._random.choice(
            (None, True, 1.0, 1.5, -0.0, 1e21, 1e-7, 2**63, 2**53 + 1, 0, -5, "10:30", "🙂", "a\nb", "é/")
        )
