"""A map that remembers the latest few keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """At most `bound` entries; the one added first goes first."""

    __slots__ = ("_entries", "bound")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._entries: dict[str, V] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def get(self, key: str) -> V | None:
        return self._entries.get(key)

    def values(self) -> Iterable[V]:
        return self._entries.values()

    def keep(self, key: str, value: V) -> V | None:
        """Remember as the latest; returns the value that had to go, if one had to."""
        self._entries.pop(key, None)
        self._entries[key] = value
        return self._entries.pop(next(iter(self._entries))) if len(self._entries) > self.bound else None

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)
