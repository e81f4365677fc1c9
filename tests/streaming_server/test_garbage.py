"""Garbage is looked for in silence, or when it is overdue."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from websockets.server import ServerProtocol

from streaming_server.conversation import Conversation
from streaming_server.garbage import ENDED, ENOUGH, collect_in_silence, collector_at_rest
from streaming_server.http_socket import HttpSocket
from streaming_server.runs import Runs
from streaming_server.script import Script
from streaming_server.stream_socket import StreamSocket
from streaming_server.text.cleaner import Cleaner
from streaming_server.utterance import Utterance

from .serving import connected, greeted, serving, until


class Knot:
    """Refers to itself, so that only the collector finds it."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def at_rest() -> Iterator[None]:
    with collector_at_rest():
        yield


@asynccontextmanager
async def collecting(
    *, silent: bool, overdue_s: float = 1000.0, num_over: Callable[[], int] = lambda: 0, num_sessions: int = 0
) -> AsyncIterator[None]:
    look = collect_in_silence(lambda: silent, num_over, lambda: num_sessions, every_s=0.01, overdue_s=overdue_s)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(look)
        yield
        task.cancel()


def dropped_knot() -> weakref.ref[Knot]:
    return weakref.ref(Knot())


def num_alive(*kinds: type) -> int:
    """Not by `isinstance`, which asks what a weak proxy stands for."""
    return sum(issubclass(type(one), kinds) for one in gc.get_objects())


async def test_in_silence_garbage_is_found_once_there_is_enough() -> None:
    knot = dropped_knot()
    async with collecting(silent=True):
        await asyncio.sleep(0.05)
        assert knot() is not None
        allocated: list[list[int]] = [[] for _ in range(ENOUGH + 1)]
        async with asyncio.timeout(20):
            while knot() is not None:  # noqa: ASYNC110 - nothing tells of a collection
                await asyncio.sleep(0.01)
        assert len(allocated) > ENOUGH


async def test_while_somebody_speaks_it_is_left_alone() -> None:
    knot = dropped_knot()
    allocated: list[list[int]] = [[] for _ in range(ENOUGH + 1)]
    async with collecting(silent=False):
        await asyncio.sleep(0.1)
    assert knot() is not None
    assert len(allocated) > ENOUGH


async def test_but_not_for_ever() -> None:
    knot = dropped_knot()
    async with collecting(silent=False, overdue_s=0.05), asyncio.timeout(20):
        while knot() is not None:  # noqa: ASYNC110 - nothing tells of a collection
            await asyncio.sleep(0.01)


async def test_what_is_free_is_given_back_in_the_silence_after_a_look() -> None:
    silent, num_times = False, 0

    def give_back() -> None:
        nonlocal num_times
        num_times += 1

    knot = dropped_knot()
    look = collect_in_silence(lambda: silent, give_back=give_back, every_s=0.01, overdue_s=0.05)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(look)
        await until(lambda: knot() is None)
        assert not num_times
        silent = True
        await until(lambda: num_times > 0)
        task.cancel()


def test_the_collector_works_again_afterwards() -> None:
    with collector_at_rest():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    gc.disable()  # as the fixture found it


async def test_it_is_looked_for_after_many_sessions_though_somebody_speaks() -> None:
    ended = count(step=ENDED // 2)
    knot = dropped_knot()
    async with collecting(silent=False, num_over=lambda: next(ended)):
        await until(lambda: knot() is None)


async def test_what_connections_leave_is_found_though_somebody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a message that is too large, its parser holds an exception that holds it."""
    monkeypatch.setattr("streaming_server.garbage.ENDED", 10)
    async with serving(resume_ms=0, message_bytes=1_024) as server, greeted(server) as neighbour:
        await neighbour.send("start", utterance="n", text="It is a long way. " * 20)
        for _ in range(20):
            async with await connected(server) as wire:
                await wire.send_raw(bytes(1_025))
                assert await wire.close_code() == 1009
        await until(lambda: num_alive(ServerProtocol) <= 10)
        neighbour.socket.transport.abort()  # it has not read what it was told


async def test_a_connection_that_is_over_leaves_nothing_to_collect() -> None:
    """Whether it never became a session, took leave, or was ended for what it sent."""
    async with serving() as server:
        async with await connected(server) as wire:
            await wire.send("no hello")
            assert await wire.close_code() == 4400
        async with greeted(server) as wire:
            await wire.send("close")
            assert await wire.close_code() == 1000
        async with greeted(server) as wire:
            for _ in range(17):
                await wire.send_raw(b"\xc1")
            assert await wire.close_code() == 1008
        await until(lambda: not num_alive(HttpSocket, StreamSocket, Conversation))


async def test_a_crowd_waits_for_a_look_only_when_twice_as_many_have_left() -> None:
    num_over = 0
    knot = dropped_knot()
    async with collecting(silent=False, num_over=lambda: num_over, num_sessions=ENDED):
        await asyncio.sleep(0.02)
        num_over = 2 * ENDED - 1
        await asyncio.sleep(0.05)
        assert knot() is not None
        num_over += 1
        await until(lambda: knot() is None)


async def test_speech_that_is_over_leaves_nothing_to_collect() -> None:
    """Whether it was heard out, cancelled or left; what a finder of words or a coder holds goes at once."""
    kinds = (Utterance, Script, Cleaner, Runs)
    async with serving(resume_ms=200) as server:
        async with greeted(server, lead_ms=None) as wire:
            await wire.speak("heard", "Hello there. This is the 2nd sentence.", audio={"sample_rate": 16_000})
            await wire.send("start", utterance="cancelled", text="It is a long way. " * 20)
            await wire.until("audio", "cancelled")
            await wire.send("cancel", utterance="cancelled")
            await wire.until("done", "cancelled")
            await until(lambda: not num_alive(*kinds))
            await wire.send("start", utterance="left", text="It is a long way. " * 20)
            await wire.until("audio", "left")
            wire.socket.transport.abort()
        await until(lambda: not num_alive(*kinds))
