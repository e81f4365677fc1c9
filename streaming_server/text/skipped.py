"""What is skipped up to its end, however far that is: code blocks and comments."""

from __future__ import annotations

from typing import Protocol

from .characters import LINE_ENDS, is_space

_MAX_COMMENT_CHARS = 4096  # after that it was no comment


class Skipped(Protocol):
    def take(self, char: str) -> bool:
        """True when this character was the last to skip."""


class CodeBlock:
    """Up to a line of at least `num_marks` fence marks and nothing else."""

    def __init__(self, mark: str, num_marks: int, *, in_line: bool) -> None:
        """`in_line`: the opening line is not over yet."""
        self._mark = mark
        self._num_marks = num_marks
        self._seen = -1 if in_line else 0  # marks on this line; -1: the line is code

    def take(self, char: str) -> bool:
        if char in LINE_ENDS:
            closed = self._seen >= self._num_marks
            self._seen = 0
            return closed
        if char == self._mark and self._seen >= 0:
            self._seen += 1
        elif not is_space(char):
            self._seen = -1
        return False


class Comment:
    """Up to `-->`."""

    def __init__(self) -> None:
        self._last = ""
        self._num_chars = 0

    def take(self, char: str) -> bool:
        self._last = (self._last + char)[-3:]
        self._num_chars += 1
        return self._last == "-->" or self._num_chars == _MAX_COMMENT_CHARS
