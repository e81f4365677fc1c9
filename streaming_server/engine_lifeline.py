"""A pipe that breaks in the moment an engine is killed.

A process' connections close only when its memory has been freed: 0.1 to 0.2 s for each gigabyte. But of a process with
several threads only the last one frees the memory, and one with a table of files of its own closes those files when it
ends. So a thread of the host does nothing but hold this pipe, and no other file.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_CLOSE_RANGE_UNSHARE = 2  # linux/close_range.h
_LAST_FILE = 0xFFFF_FFFF
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7)


def hold_lifeline(path: Path) -> None:
    """The host's side, until it ends: first of all, so that whoever connects finds it. Raises OSError.

    Where the kernel or the C library knows no such tables (before Linux 5.9 and glibc 2.34) nobody holds the pipe, and
    the end of a connection is what tells.
    """
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    close_range = getattr(ctypes.CDLL(None), "close_range", None)
    if close_range is not None:
        close_range.argtypes = (ctypes.c_uint, ctypes.c_uint, ctypes.c_int)
        threading.Thread(target=_hold, args=(path, close_range), name="lifeline", daemon=True).start()


def _hold(path: Path, close_range: Callable[[int, int, int], int]) -> None:
    if close_range(0, _LAST_FILE, _CLOSE_RANGE_UNSHARE) == 0:
        with suppress(OSError):
            pipe = os.open(path, os.O_RDWR)
            while True:
                os.read(pipe, 1)  # nobody writes


class Lifeline:
    """The side of who wants to know. `on_broken` is called once, on this loop, unless it is let go before."""

    def __init__(self, path: Path, on_broken: Callable[[], None]) -> None:
        """Raises OSError where that engine has none."""
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop.add_reader(self._pipe, self._break)

    def let_go(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1

    def _break(self) -> None:
        self.let_go()
        self._on_broken()


def peer_pid(transport: asyncio.BaseTransport) -> int:
    """Of the process that listens at the other end of a Unix socket."""
    connection = transport.get_extra_info("socket")
    pid: int = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    return pid
