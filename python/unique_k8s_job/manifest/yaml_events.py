"""Makes PyYAML's parser a source of events that reads like libyaml, of which kubectl's parser is a port.

Three things differ in PyYAML. libyaml reads a tab as a space wherever it is not an indentation; in `{a:}` and `[a:]` it
reads the colon as a part of the word; and it knows the escape `\\'`.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from yaml.events import Event, StreamEndEvent
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner, ScannerError
from yaml.tokens import ScalarToken

from unique_k8s_job.manifest.problem import Location

_BREAKS = "\r\n\x85\u2028\u2029"
_BLANKS = f"\0 \t{_BREAKS}"
_TAG = re.compile(r"![^\s\0]*([ \t]+)")
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*([ \t]+)")


class Events(Reader, Scanner, Parser):
    """The events of one text, without PyYAML's own constructors."""

    # The type stubs of PyYAML declare it as a constant, and lack the methods that are called here.
    ESCAPE_REPLACEMENTS: ClassVar[dict[str, str]] = {**Scanner.ESCAPE_REPLACEMENTS, "'": "'"}  # type: ignore[misc]

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def next_event(self) -> Event:
        """Return the next event, and go on."""
        event: Event = self.get_event()  # type: ignore[no-untyped-call]
        return event

    def ends(self) -> bool:
        """Return whether only the end of the text follows."""
        return self.check_event(StreamEndEvent)

    def location(self) -> Location:
        """Return where the next event begins."""
        return Location.of(self.peek_event().start_mark)  # type: ignore[no-untyped-call]

    def scan_to_next_token(self) -> None:
        """Skip blanks, comments and line breaks; where a key may begin, a tab is no blank."""
        while True:
            if self.index == 0 and self.peek() == "\ufeff":
                self.forward()
            while self.peek() == " " or (self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in f"\0{_BREAKS}":
                    self.forward()
            if not self._line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_tag(self) -> Any:
        """Read a tag, which a tab may end."""
        self._tabs_to_spaces(_TAG)
        return super().scan_tag()

    def scan_block_scalar(self, style: str) -> Any:
        """Read the text below `|` or `>`, behind which tabs may stand."""
        self._tabs_to_spaces(_BLOCK_HEADER)
        return super().scan_block_scalar(style)

    def _tabs_to_spaces(self, pattern: re.Pattern[str]) -> None:
        if found := pattern.match(self.buffer, self.pointer):
            self.buffer = f"{self.buffer[: found.start(1)]}{' ' * len(found[1])}{self.buffer[found.end(1) :]}"

    def scan_plain(self) -> Any:
        """Read a word that is not quoted, with the blanks and line breaks inside of it."""
        chunks: list[str] = []
        start = end = self.get_mark()
        indent = self.indent + 1
        blanks: list[str] = []
        while self.peek() != "#" and (length := self._word_length()):
            self.allow_simple_key = False
            chunks += [*blanks, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            blanks = self.scan_plain_spaces(indent, start)
            if not blanks or (not self.flow_level and self.column < indent):
                break
        return ScalarToken("".join(chunks), True, start, end)

    def _word_length(self) -> int:
        length = 0
        while (character := self.peek(length)) not in _BLANKS:
            if character == ":" and self.peek(length + 1) in _BLANKS:
                break
            if self.flow_level and character in ",?[]{}":
                break
            length += 1
        return length

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str]:
        """Read the space between two words: blanks as they are, line breaks folded. An empty result ends the text."""
        blanks = self._blanks()
        if self.peek() not in _BREAKS:
            return [blanks] if blanks else []
        first = self._line_break()
        self.allow_simple_key = True
        breaks: list[str] = []
        while not self._at_document_marker():
            while self.peek() in " \t":
                if self.peek() == "\t" and self.column < indent:
                    raise ScannerError(
                        "while scanning a plain scalar", start_mark, "found a tab in an indentation", self.get_mark()
                    )
                self.forward()
            if self.peek() not in _BREAKS:
                return [*([] if first == "\n" else [first]), *(breaks or ([" "] if first == "\n" else []))]
            breaks.append(self._line_break())
        return []

    def _line_break(self) -> str:
        line_break: str = self.scan_line_break()  # type: ignore[no-untyped-call]
        return line_break

    def _blanks(self) -> str:
        length = 0
        while self.peek(length) in " \t":
            length += 1
        blanks: str = self.prefix(length)
        self.forward(length)
        return blanks

    def _at_document_marker(self) -> bool:
        return self.column == 0 and self.prefix(3) in ("---", "...") and self.peek(3) in _BLANKS
