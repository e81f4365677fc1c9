"""One web process at a time tries an utterance that may have killed the engine which all of them share."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Courtroom:
    """A lock on a file: it opens when its holder ends, however that comes about."""

    def __init__(self, path: Path | None) -> None:
        """None: there is only this web process."""
        self._path = path
        self._file: int | None = None

    def enter(self) -> bool:
        """False while another is in it. Never waits."""
        if self._path is None or self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
