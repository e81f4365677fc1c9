"""Recognisers of short markup: each reads one construct a character at a time and says when it knows.

A scanner is shown the opening character first. While it answers MORE the cleaner holds the text back; ACCEPT means
that all of it, the last character included, is the construct; REJECT means that it is ordinary text after all.
Every scanner rejects by itself after a bounded number of characters, so nothing is held for ever.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto
from html import unescape
from typing import Protocol

from .characters import LINE_ENDS, is_ascii_alnum, is_space

MAX_LINK_CHARS = 2048
MAX_TAG_CHARS = 1024
MAX_REFERENCE_CHARS = 64
MAX_ENTITY_CHARS = 10
MAX_INFO_CHARS = 120

_INLINE_TAGS = """
a abbr acronym b bdi bdo big cite code data del dfn em emphasis font i img ins kbd label mark math phoneme prosody q rp
rt ruby s samp say-as small span strike strong sub sup svg think time tt u var voice wbr
"""
_BLOCK_TAGS = """
article aside audio blockquote body br break button center details dd div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 head header hr html iframe input li main nav ol option p pre section select source speak summary table
tbody td textarea tfoot th thead title tr ul video
"""
_BLOCK_NAMES = frozenset(_BLOCK_TAGS.split())
_NAMES = _BLOCK_NAMES | frozenset(_INLINE_TAGS.split())
_FLAGS = frozenset(("open", "checked", "disabled", "controls", "autoplay", "loop", "muted", "hidden", "required"))


class Verdict(Enum):
    MORE = auto()
    ACCEPT = auto()
    REJECT = auto()


class Scanner(Protocol):
    def take(self, char: str) -> Verdict:
        """Look at the next character."""


class Prefix:
    """One of a few fixed strings, in any case: `http://`."""

    def __init__(self, *choices: str) -> None:
        self._choices = choices
        self.text = ""

    def take(self, char: str) -> Verdict:
        self.text += char.lower() if char.isascii() else char
        if self.text in self._choices:
            return Verdict.ACCEPT
        return Verdict.MORE if any(choice.startswith(self.text) for choice in self._choices) else Verdict.REJECT


class Bracketed:
    """`[ref]` and `[^1]`: no space, no line end, and its own closing bracket. `second` may fix the second character."""

    def __init__(self, second: str = "") -> None:
        self._second = second
        self._num_chars = 0

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if self._num_chars == 1:
            return Verdict.MORE
        if self._num_chars == 2 and self._second and char != self._second:
            return Verdict.REJECT
        if char == "]":
            return Verdict.ACCEPT
        if char in LINE_ENDS or char == "[" or self._num_chars > MAX_REFERENCE_CHARS:
            return Verdict.REJECT
        return Verdict.MORE


class Pair:
    """Two characters, the second out of a set; it is `second` afterwards."""

    def __init__(self, choices: Collection[str]) -> None:
        self._choices = choices
        self._num_chars = 0
        self.second = ""

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if self._num_chars == 1:
            return Verdict.MORE
        self.second = char
        return Verdict.ACCEPT if char in self._choices else Verdict.REJECT


class LabelEnd:
    """What makes `[label]` a link: its bracket, and `(url)` or `[ref]` right behind it."""

    def __init__(self) -> None:
        self._num_chars = 0
        self._target: Scanner = LinkTarget()

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if self._num_chars == 1:
            return Verdict.MORE
        if self._num_chars == 2:
            if char not in "([":
                return Verdict.REJECT
            if char == "[":
                self._target = Bracketed()
        return self._target.take(char)


class FenceInfo:
    """The rest of the line that opens a code block. A second backtick makes the line inline code instead."""

    def __init__(self, mark: str, num_marks: int) -> None:
        self.mark = mark
        self.num_marks = num_marks
        self._num_chars = 0
        self.at_line_end = False

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if char == self.mark == "`":
            return Verdict.REJECT
        self.at_line_end = char in LINE_ENDS
        return Verdict.ACCEPT if self.at_line_end or self._num_chars >= MAX_INFO_CHARS else Verdict.MORE


class LinkTarget:
    """`(url "title")` after a label's bracket, with balanced parentheses, on one line."""

    def __init__(self) -> None:
        self._num_chars = 0
        self._depth = 0

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if char in LINE_ENDS or self._num_chars > MAX_LINK_CHARS:
            return Verdict.REJECT
        if char == "(":
            self._depth += 1
        elif char == ")":
            self._depth -= 1
        return Verdict.MORE if self._depth else Verdict.ACCEPT


class Entity:
    """`&amp;` `&#8212;` `&#x2014;`; `value` is the character it stands for."""

    def __init__(self) -> None:
        self._text = ""
        self.value = ""

    def take(self, char: str) -> Verdict:
        self._text += char
        if char == ";":
            value = unescape(self._text)
            self.value = value if len(value) == 1 else ""
            return Verdict.ACCEPT if self.value else Verdict.REJECT
        if len(self._text) > MAX_ENTITY_CHARS:
            return Verdict.REJECT
        number = char == "#" and len(self._text) == 2
        return Verdict.MORE if len(self._text) == 1 or number or is_ascii_alnum(char) else Verdict.REJECT


class Tag:
    """An HTML or SSML tag with a known name: `<br/>`, `</b>`, `<a href="x">`.

    A name alone would take `a<b and c>d` for a tag; so what follows the name must be an attribute with a value, or one
    of HTML's bare flags.
    """

    def __init__(self) -> None:
        self._num_chars = 0
        self._name = ""
        self._attribute = ""
        self._quote = ""
        self._refused = ""
        self._state = self._start
        self.closes = False
        self.opens_comment = False

    @property
    def is_address(self) -> bool:
        """After a rejection: it was the beginning of `<https://...>` or `<name@host>`."""
        return self._refused in (":", "@", ".")

    @property
    def is_block(self) -> bool:
        return self._name.lower() in _BLOCK_NAMES

    def take(self, char: str) -> Verdict:
        self._num_chars += 1
        if self._num_chars > MAX_TAG_CHARS:
            return Verdict.REJECT
        return Verdict.MORE if self._num_chars == 1 else self._state(char)

    def _start(self, char: str) -> Verdict:
        if char == "/" and not self.closes:
            self.closes = True
            return Verdict.MORE
        if char == "!" and not self.closes:
            self.opens_comment = True
            self._state = self._in_comment_start
            return Verdict.MORE
        if not (char.isascii() and char.isalpha()):
            return Verdict.REJECT
        self._name = char
        self._state = self._in_name
        return Verdict.MORE

    def _in_comment_start(self, char: str) -> Verdict:
        if char != "-":
            return Verdict.REJECT
        return Verdict.ACCEPT if self._num_chars == len("<!--") else Verdict.MORE

    def _in_name(self, char: str) -> Verdict:
        if is_ascii_alnum(char) or char == "-":
            self._name += char
            return Verdict.MORE if len(self._name) <= 10 else Verdict.REJECT
        if self._name.lower() not in _NAMES:
            self._refused = char
            return Verdict.REJECT
        self._state = self._before_attribute
        return self._before_attribute(char)

    def _before_attribute(self, char: str) -> Verdict:
        if char == ">":
            return Verdict.ACCEPT
        if char == "/" or is_space(char) or char in LINE_ENDS:
            return Verdict.MORE
        if self.closes or not (char.isascii() and char.isalpha()):
            return Verdict.REJECT
        self._attribute = char
        self._state = self._in_attribute
        return Verdict.MORE

    def _in_attribute(self, char: str) -> Verdict:
        if char == "=":
            self._state = self._in_value
            return Verdict.MORE
        if is_ascii_alnum(char) or char in "-:_":
            self._attribute += char
            return Verdict.MORE
        if self._attribute.lower() not in _FLAGS:
            return Verdict.REJECT
        self._state = self._before_attribute
        return self._before_attribute(char)

    def _in_value(self, char: str) -> Verdict:
        if self._quote:
            if char == self._quote:
                self._quote = ""
                self._state = self._before_attribute
        elif char in "\"'":
            self._quote = char
        elif char == ">":
            return Verdict.ACCEPT
        elif is_space(char):
            self._state = self._before_attribute
        return Verdict.MORE
