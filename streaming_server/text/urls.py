"""Reads a URL a character at a time and keeps what can be said of it: the host."""

from __future__ import annotations

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_HOST_CHARS = frozenset(_LETTERS + "-")
_URL_CHARS = frozenset(_LETTERS + "-_~/#@$&+=%()")
_PUNCTUATION = frozenset(".,:;!?'")  # part of the URL only if more of it follows
_MAX_HOST_CHARS = 253  # RFC 1035
_MAX_PUNCTUATION = 8

Placed = tuple[str, int]
"""A character and its position in the original text."""


class Url:
    """What follows `https://` or `www.`.

    `host` is without `www.` and port; `tail` is the punctuation behind the URL, which belongs to the sentence.
    """

    def __init__(self, start: int) -> None:
        self.host: list[Placed] = []
        self.tail: list[Placed] = []
        self.end = start
        self._in_authority = True
        self._in_host = True
        self._depth = 0

    def take(self, char: str, at: int) -> bool:
        """False: the URL ended before this character."""
        if char in _PUNCTUATION:
            if len(self.tail) == _MAX_PUNCTUATION:
                self._absorb_tail(at)
            self.tail.append((char, at))
            return True
        if char not in _URL_CHARS or (char == ")" and not self._depth):
            return False
        self._absorb_tail(at)
        self.end = at + 1
        if char in "()":
            self._depth += 1 if char == "(" else -1
        if char in "/#":
            self._in_authority = False
        if char == "@" and self._in_authority:  # what stood before was a user's name
            self.host.clear()
            self._in_host = True
        elif self._in_host and char in _HOST_CHARS and len(self.host) < _MAX_HOST_CHARS:
            self.host.append((char, at))
        else:
            self._in_host = False
        return True

    def _absorb_tail(self, end: int) -> None:
        """More of the URL follows, so the punctuation was part of it."""
        if self.tail and self._in_host:
            if len(self.tail) == 1 and self.tail[0][0] == "." and self.host:
                self.host.append(self.tail[0])
                if "".join(char for char, _ in self.host).lower() == "www.":
                    self.host.clear()
            else:
                self._in_host = False
        self.tail.clear()
        self.end = end
