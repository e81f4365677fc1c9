"""Cleaned text on its way out: each character with its place, and spaces only where something visible follows."""

from __future__ import annotations

from .characters import (
    LINE_ENDS,
    PARAGRAPH,
    is_invisible,
    is_picture,
    is_space,
    is_speakable,
    is_unspaced,
)

Glyph = tuple[str, int, int]
"""A cleaned character and the range of original code points it stands for. The character `""` is markup that was
taken out: it has a place but no sound."""


class GlyphWriter:
    """Collects glyphs until `drain`, and remembers the last one beyond that."""

    def __init__(self) -> None:
        self._out: list[Glyph] = []
        self.previous = PARAGRAPH  # the last character that was put out
        self.in_row = False  # of a table
        self._cell_is_empty = False
        self._gap_at = -1  # something dropped, which may have parted two words
        self._space_at = -1  # a space in a table cell
        self._bar_at = -1  # the bar before a table cell

    @property
    def at_cell_start(self) -> bool:
        """In a table's row, before anything visible in the cell."""
        return self.in_row and self._cell_is_empty

    def drain(self) -> list[Glyph]:
        out, self._out = self._out, []
        return out

    def put(self, char: str, start: int, end: int) -> None:
        """A visible character, behind the comma or space that is still owed."""
        if self._bar_at >= 0:
            self._out.append((",", self._bar_at, self._bar_at + 1))
            self._out.append((" ", self._bar_at, self._bar_at + 1))
        elif self._space_at >= 0:
            self._out.append((" ", self._space_at, self._space_at + 1))
        elif self._gap_at >= 0 and _joins(self.previous) and _joins(char):
            self._out.append((" ", self._gap_at, self._gap_at + 1))
        self._forget_spaces()
        self._cell_is_empty = False
        self._out.append((char, start, end))
        self.previous = char

    def drop(self, start: int, end: int) -> None:
        self._out.append(("", start, end))

    def drop_between_words(self, start: int, end: int) -> None:
        """As `drop`, but the words on both sides stay two."""
        self.drop(start, end)
        if self._gap_at < 0:
            self._gap_at = start

    def put_break(self, kind: str, at: int) -> None:
        """A NEWLINE or PARAGRAPH; nothing is added to a paragraph's end."""
        self._forget_spaces()
        if self.previous == PARAGRAPH:
            self.drop(at, at + 1)
        else:
            self._out.append((kind, at, at + 1))
            self.previous = kind

    def put_space(self, at: int) -> None:
        if self.in_row and not self._cell_is_empty:
            self._space_at = at
        elif self.in_row or self.previous in " \n\u2029":
            self.drop(at, at + 1)
        else:
            self.put(" ", at, at + 1)

    def put_plain(self, char: str, start: int, end: int) -> None:
        """A character that is not markup, if it is one to be kept."""
        if is_space(char) or char in LINE_ENDS:
            self.put_space(start)
        elif is_picture(char):
            self.drop_between_words(start, end)
        elif is_invisible(char, self.previous):
            self.drop(start, end)
        else:
            self.put(char, start, end)

    def open_row(self) -> None:
        self.in_row = self._cell_is_empty = True

    def close_row(self) -> None:
        self.in_row = False

    def put_bar(self, at: int) -> None:
        """The bar between two cells: a comma, once the second proves not to be empty."""
        if not self._cell_is_empty:
            self._bar_at = at
        self._cell_is_empty = True
        self._space_at = -1
        self.drop(at, at + 1)

    def _forget_spaces(self) -> None:
        self._bar_at = self._space_at = self._gap_at = -1


def _joins(char: str) -> bool:
    """True for letters and digits that would run together with their like."""
    return is_speakable(char) and not is_unspaced(char)
