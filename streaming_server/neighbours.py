"""The web processes of one machine, as one of them sees the others.

A connection goes where its session is, not a session where its connection is: what an utterance has there (a coder in
the midst of a run, a text that is half cut, the engine's streams) stays as it is, and none of it needs another form.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from .handover import Offer, give, is_wanted
from .movable_socket import MovableSocket
from .turnstile import Turns

ANSWER_S = 1.0
"""So long the owner of a session may take to say that it takes a connection. One that is gone, or has no such session,
says so within a millisecond; one that is merely busy is worth the wait, since without it a session would be lost."""

MAX_IN_FLIGHT = 32
"""Connections on their way to one process at a time. More wait, `ANSWER_S` at most."""

_TURNS = "turns"
_NAME = re.compile(r"(0|[1-9][0-9]?)-[0-9a-f]{16}")


def name_session(number: int) -> str:
    """A new name for a session of web process `number`."""
    return f"{number}-{secrets.token_hex(8)}"


def owner_of(session: str) -> int | None:
    """The number of the web process that has that session, if there is one; None for what is no session's name."""
    match = _NAME.fullmatch(session)
    return None if match is None else int(match[1])


class Neighbours:
    """Those of web process `number`. `directory`: where `create` was told to put what they share."""

    def __init__(self, directory: Path, number: int) -> None:
        self._directory = directory
        self.number = number
        self.turns = Turns(directory / _TURNS, number)
        self._passages = [asyncio.Semaphore(MAX_IN_FLIGHT) for _ in range(self.turns.num_processes)]

    @classmethod
    def create(cls, directory: Path, num_processes: int) -> None:
        """Nobody is there yet."""
        Turns.create(directory / _TURNS, num_processes)

    @property
    def door(self) -> Path:
        """Where this one is handed connections."""
        return self._door_of(self.number)

    @property
    def others(self) -> Sequence[int]:
        """Their numbers, whether they are there or not."""
        return [number for number in range(self.turns.num_processes) if number != self.number]

    def answers_at(self, number: int) -> Path:
        """Where that one says what it has counted."""
        return self._directory / f"tally{number}"

    async def hand_over(self, session: str, connection: MovableSocket) -> bool:
        """Whether the process that has this session has the connection now; otherwise it goes on here."""
        number = owner_of(session)
        if number is None or number == self.number or number >= len(self._passages):
            return False
        try:
            async with asyncio.timeout(ANSWER_S), self._passages[number]:
                return await self._offer(self._door_of(number), session, connection)
        except OSError:  # a TimeoutError, too
            return False

    async def _offer(self, door: Path, session: str, connection: MovableSocket) -> bool:
        if connection.heard is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.setblocking(False)
            link.connect(str(door))
            async with connection.held():
                heard = connection.heard
                if heard is None or not await is_wanted(link, Offer(session=session, heard=heard)):
                    return False
                if connection.heard is None:  # lost meanwhile
                    return False
                give(link, connection.fileno())
                connection.let_go()  # nothing may come between these two
                return True

    def _door_of(self, number: int) -> Path:
        return self._directory / f"worker{number}"
