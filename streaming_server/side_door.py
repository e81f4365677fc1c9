"""Where a web process is handed connections that ask for its sessions, and that another one has accepted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from .handover import Heard, read_offer, take
from .movable_socket import MovableSocket

log = logging.getLogger(__name__)

BACKLOG = 1024

TAKE_S = 1.0
"""So long another process may take to hand over what it has offered."""

OUT_OF_FILES_S = 1.0


class SideDoor:
    """At `path`, which only processes of this user reach. `run` lasts until it is cancelled."""

    def __init__(
        self, path: Path, *, admits: Callable[[str], bool], protocol: Callable[[Heard], MovableSocket]
    ) -> None:
        """`admits`: whether that session is here. `protocol` makes one for each connection."""
        self._path = path
        self._admits = admits
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        with self._listen() as listener:
            async with asyncio.TaskGroup() as tasks:  # as many as other processes have in flight
                while True:
                    try:
                        link, _ = await self._loop.sock_accept(listener)
                    except OSError as error:
                        log.error("a connection cannot be handed over: %s", error)
                        await asyncio.sleep(OUT_OF_FILES_S)
                        continue
                    tasks.create_task(self._answer(link))

    def _listen(self) -> socket.socket:
        self._path.unlink(missing_ok=True)  # of one that died
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(str(self._path))
        self._path.chmod(0o600)
        listener.listen(BACKLOG)
        return listener

    async def _answer(self, link: socket.socket) -> None:
        with link:
            try:
                async with asyncio.timeout(TAKE_S):
                    offer = await read_offer(link)
                    if not self._admits(offer.session):
                        return
                    connection = await take(link)
            except (OSError, ValueError) as error:  # a TimeoutError, too
                log.warning("a connection was not handed over: %s", error or "it took too long")
                return
        connection.setblocking(False)
        if _is_lost(connection):  # its client may have come back by now, and is not to lose its place to this
            connection.close()
            return
        protocol = self._protocol(offer.heard)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # lost on the way
            connection.close()
            return
        protocol.settle()


def _is_lost(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
