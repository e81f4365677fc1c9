"""Log lines on their way to standard error, which nobody waits for: whoever reads it may be slow, full or gone."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import queue
import threading
import time
from logging.handlers import QueueHandler
from typing import Any, Final, TextIO

MAX_LINES: Final = 4096
"""More are lost, and counted."""

FLUSH_S: Final = 1.0
"""So long the end of the process waits for the last lines to be taken."""


class LogQueue(QueueHandler):
    """Formats a record where it is logged, and writes it from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(MAX_LINES)
        self._num_lost = 0
        super().__init__(self._lines)
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: Any) -> None:
        """What `prepare` made of one."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._num_lost += 1

    def flush(self) -> None:
        """Wait for what there is to be written, though not for ever."""
        ends_at = time.monotonic() + FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < ends_at:
            time.sleep(0.001)

    def _write_all(self) -> None:
        while True:
            line = self._lines.get()
            with contextlib.suppress(OSError, ValueError):  # full, gone or closed: there is nobody to tell
                self._write(line)
            self._lines.task_done()
            if self._num_lost and self._lines.empty():
                num_lost, self._num_lost = self._num_lost, 0
                level, text = logging.WARNING, "%d lines of this log were lost: nobody took them in time"
                self.emit(logging.LogRecord(__name__, level, __file__, 0, text, (num_lost,), None))

    def _write(self, line: str) -> None:
        """Past the stream's buffer, whose lock the end of the process would wait for."""
        try:
            fd = self._stream.fileno()
        except (io.UnsupportedOperation, ValueError):
            self._stream.write(line + "\n")
            return
        data = memoryview((line + "\n").encode(errors="backslashreplace"))
        while data:
            data = data[os.write(fd, data) :]
