"""How often what befell an engine, over all its lives: counted in memory that all processes of the server share."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from models.engine import Fault

_KINDS = tuple(Fault)
_BYTES = 8 * len(_KINDS)


class FaultCounts:
    """Each kind is counted by one process only: the engine's own faults by it, its deaths by who watches it."""

    def __init__(self, path: Path) -> None:
        """Made if it is not there. Raises OSError."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, _BYTES)
            self._words = memoryview(mmap.mmap(file, _BYTES)).cast("B").cast("Q")
        finally:
            os.close(file)

    def count(self, kind: Fault) -> None:
        self._words[_KINDS.index(kind)] += 1

    def read(self) -> dict[Fault, int]:
        return dict(zip(_KINDS, self._words, strict=True))
