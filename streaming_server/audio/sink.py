"""Where a container's bytes go: a path, a file object or a pipe."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

Target = str | Path | BinaryIO


class Sink:
    """An output file that knows whether its beginning can still be corrected at the end.

    It cannot in a pipe, nor where the shell opened the file to append (`>> out.wav`: there every write goes to the
    end). Offsets count from where writing began. A path is opened here and closed by `close`; a file object is flushed
    and stays open. Raises OSError.
    """

    def __init__(self, target: Target) -> None:
        self._owned = isinstance(target, str | Path)
        self._file: BinaryIO = open(target, "wb") if isinstance(target, str | Path) else target  # noqa: SIM115
        self.rewritable = _rewritable(self._file)
        self._start = self._file.tell() if self.rewritable else 0
        self._num_bytes = 0

    def append(self, data: bytes) -> None:
        """Write at the end, and let a reader of the pipe have it now."""
        self._file.write(data)
        self._file.flush()
        self._num_bytes += len(data)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Correct bytes already written; only where `rewritable`."""
        self._file.seek(self._start + offset)
        self._file.write(data)
        self._file.seek(self._start + self._num_bytes)

    def close(self) -> None:
        if self._owned:
            self._file.close()
        else:
            self._file.flush()


def _rewritable(file: BinaryIO) -> bool:
    if not file.seekable():
        return False
    try:
        descriptor = file.fileno()
    except OSError:  # in memory
        return True
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
