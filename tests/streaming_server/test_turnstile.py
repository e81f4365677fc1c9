"""Several web processes at one listening socket (here in one process): who takes whom."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from streaming_server.turnstile import Turns, Turnstile

from .ears import until


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


class Web:
    """A web process' connections."""

    def __init__(self, listener: socket.socket, path: Path, number: int) -> None:
        self.connections: set[Connection] = set()
        self.turns = Turns(path, number)
        self.listener = listener.dup()  # each process waits at a descriptor of its own
        self.turnstile = Turnstile(
            self.listener,
            self.turns,
            num_connections=lambda: len(self.connections),
            protocol=lambda: Connection(self.connections),
        )


class Connection(asyncio.Protocol):
    def __init__(self, connections: set[Connection]) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)


@asynccontextmanager
async def webs_of(listener: socket.socket, path: Path, num_running: int, num: int) -> AsyncIterator[list[Web]]:
    """`num` processes, of which the first ones let people in."""
    Turns.create(path, num)
    webs = [Web(listener, path, number) for number in range(num)]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(web.turnstile.run()) for web in webs[:num_running]]
        await asyncio.sleep(0)
        yield webs
        for task in running:
            task.cancel()
    for web in webs:
        web.listener.close()


def num_in(webs: list[Web]) -> list[int]:
    return [len(web.connections) for web in webs]


@contextmanager
def guests(listener: socket.socket, num: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(num)]


async def test_connections_are_shared_evenly_also_after_some_have_gone(listener: socket.socket, tmp_path: Path) -> None:
    async with webs_of(listener, tmp_path / "turns", 4, 4) as webs:
        with guests(listener, 22):
            with guests(listener, 20):
                await until(lambda: sum(num_in(webs)) == 42)
                assert sorted(num_in(webs)) == [10, 10, 11, 11]
            await until(lambda: sum(num_in(webs)) == 22)
            with guests(listener, 20):
                await until(lambda: sum(num_in(webs)) == 42)
                assert max(num_in(webs)) - min(num_in(webs)) <= 2
        await until(lambda: not sum(num_in(webs)))


async def test_nobody_waits_for_a_process_that_does_not_come(listener: socket.socket, tmp_path: Path) -> None:
    """It has fewest, and is stuck; then it is told to be gone."""
    async with webs_of(listener, tmp_path / "turns", 1, 2) as webs:
        working, stuck = webs
        stuck.turns.tell(0)
        with guests(listener, 5):
            await until(lambda: num_in(webs) == [5, 0])
            assert not working.turns.is_mine()
            working.turns.leave(1)
            assert working.turns.is_mine()
        await until(lambda: num_in(webs) == [0, 0])


async def test_one_alone_has_every_turn(tmp_path: Path) -> None:
    Turns.create(tmp_path / "turns", 3)
    turns = Turns(tmp_path / "turns", 2)
    for num_connections in (0, 7):
        turns.tell(num_connections)
        assert turns.is_mine()


def test_all_know_whether_there_is_a_session_somewhere(tmp_path: Path) -> None:
    Turns.create(tmp_path / "turns", 3)
    first, *_, last = [Turns(tmp_path / "turns", number) for number in range(3)]
    assert not first.has_sessions
    last.tell_sessions(2)
    assert first.has_sessions
    last.tell_sessions(0)
    assert not first.has_sessions
    last.tell_sessions(1)
    first.leave(2)
    assert not last.has_sessions


async def test_what_cannot_be_accepted_is_tried_again(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streaming_server.turnstile.OUT_OF_FILES_S", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with webs_of(listener, tmp_path / "turns", 1, 1) as webs:
        with guests(listener, 1):
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                await until(lambda: "cannot be accepted" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: num_in(webs) == [1])
        await until(lambda: num_in(webs) == [0])
