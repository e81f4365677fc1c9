"""Which constructs a character may open."""

from __future__ import annotations

from .characters import LINE_ENDS, is_ascii_alnum, is_speakable
from .glyphs import GlyphWriter
from .scanners import Bracketed, Entity, LabelEnd, Pair, Prefix, Scanner, Tag

_ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n")


class Address(Prefix):
    """`https://`, `www.`, or the `://` behind any other scheme: what follows is a URL."""


class Image(Prefix):
    """`![`: what follows is the alternative text."""

    def __init__(self) -> None:
        super().__init__("![")


class TaskBox(Prefix):
    """`[x]` behind a bullet."""

    def __init__(self) -> None:
        super().__init__("[ ]", "[x]")


class Footnote(Bracketed):
    """`[^1]`."""

    def __init__(self) -> None:
        super().__init__("^")


class Escape(Pair):
    """A backslash before punctuation or a line end."""

    def __init__(self) -> None:
        super().__init__(_ESCAPABLE)


class Bar(Pair):
    """A bar behind a space, between cells or at the end of a row without bars at its sides."""

    def __init__(self) -> None:
        super().__init__(LINE_ENDS | {" "})


def opening(char: str, out: GlyphWriter, bracket_depth: int) -> Scanner | None:
    """A scanner for what `char` may open behind what was put out; None if it opens nothing."""
    previous = out.previous
    match char:
        case "h" | "H" | "w" | "W" | "m" | "M" if not is_ascii_alnum(previous):
            return Address("http://", "https://", "www.", "mailto:")
        case ":" if is_ascii_alnum(previous):
            return Address("://")
        case "[":
            return Footnote()
        case "]" if bracket_depth:
            return LabelEnd()
        case "!" if not is_speakable(previous):
            return Image()
        case "<":
            return Tag()
        case "&":
            return Entity()
        case "\\":
            return Escape()
        case "|" if previous == " " and not out.in_row:
            return Bar()
        case _:
            return None
