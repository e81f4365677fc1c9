"""Which of several web processes takes the next connection: the one that has fewest.

All of them wait at one listening socket, so that one that is gone or busy holds nobody up. Left to themselves they are
uneven: whoever wakes first takes what there is, and at four processes one had twice the listeners of another.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import socket
from array import array
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

HOLD_BACK_S = 0.003
"""So long one that has more connections than another leaves a new one to that, and then takes it all the same."""

TELL_EVERY_S = 1.0
"""At least so often the others learn how many connections are left."""

OUT_OF_FILES_S = 1.0
"""What cannot be accepted waits in the kernel; asyncio's own servers try again as late."""

_ABSENT = -1


class Turns:
    """How many connections and how many sessions each web process has, in a file that all of them map."""

    def __init__(self, path: Path, number: int) -> None:
        """As web process `number` of those that `create` was told."""
        with path.open("r+b") as file:
            numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("i")
        self.num_processes = len(numbers) // 2
        self._counts, self._sessions = numbers[: self.num_processes], numbers[self.num_processes :]
        self._number = number

    @classmethod
    def create(cls, path: Path, num_processes: int) -> None:
        """Nobody is there yet."""
        path.write_bytes(array("i", num_processes * [_ABSENT] + num_processes * [0]).tobytes())

    def tell(self, num_connections: int) -> None:
        self._counts[self._number] = num_connections

    def tell_sessions(self, num_sessions: int) -> None:
        """So many have a client, or wait for theirs to come back."""
        self._sessions[self._number] = num_sessions

    @property
    def has_sessions(self) -> bool:
        """Whether there is one in any of them."""
        return any(self._sessions)

    def leave(self, number: int) -> None:
        """Nobody waits for that one any more."""
        self._counts[number] = _ABSENT
        self._sessions[number] = 0

    def is_mine(self) -> bool:
        """Whether no other process has fewer connections."""
        return self._counts[self._number] <= min(count for count in self._counts if count != _ABSENT)


class Turnstile:
    """Accepts connections for one web process. `run` lasts until it is cancelled."""

    def __init__(
        self,
        listener: socket.socket,
        turns: Turns,
        *,
        num_connections: Callable[[], int],
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`protocol` makes one for each connection."""
        listener.setblocking(False)
        self._listener = listener
        self._turns = turns
        self._num_connections = num_connections
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        while True:
            self._turns.tell(self._num_connections())
            if not await self._somebody_is_there():
                continue
            self._turns.tell(self._num_connections())
            if not self._turns.is_mine():
                await asyncio.sleep(HOLD_BACK_S)
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # another one has taken it
            except OSError as error:
                log.error("a connection cannot be accepted: %s", error)
                await asyncio.sleep(OUT_OF_FILES_S)
                continue
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(self._protocol, connection)

    async def _somebody_is_there(self) -> bool:
        """Wait for that, though not for ever."""
        is_there = asyncio.Event()
        self._loop.add_reader(self._listener, is_there.set)
        try:
            async with asyncio.timeout(TELL_EVERY_S):
                await is_there.wait()
                return True
        except TimeoutError:
            return False
        finally:
            self._loop.remove_reader(self._listener)
