"""Listeners who have nothing to do with it, in a process of their own: every sample they hear is checked."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import uvloop

from .listener import ANSWER_TIMEOUT_S, Listener, Plan, Tally
from .server import BenchFailed
from .websocket import BUFFER_BYTES, Address

LEAD_MS = 1000


class NeighbourFailed(BenchFailed):
    """The process did not come back; one sentence."""


@asynccontextmanager
async def neighbours(address: Address, num_listeners: int) -> AsyncIterator[Tally]:
    """They listen while the block runs. The tally is filled when it ends. Raises NeighbourFailed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_listen, args=(address, num_listeners, theirs), daemon=True)
    process.start()
    theirs.close()
    tally = Tally()
    try:
        await asyncio.to_thread(_await_word, ours)
        yield tally
        ours.send(None)
        tally.add(await asyncio.to_thread(_await_word, ours))
    finally:
        process.kill()
        process.join()


def _await_word(ours: Connection) -> Tally:
    if not ours.poll(2 * ANSWER_TIMEOUT_S):
        raise NeighbourFailed("expected a word from the neighbours' process, none came")
    try:
        tally: Tally = ours.recv()
    except EOFError:
        raise NeighbourFailed("expected a word from the neighbours' process, it has ended") from None
    return tally


def _listen(address: Address, num_listeners: int, told: Connection) -> None:
    """The process' main function: a first word when all hear something, and at the end what was heard."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told.send(runner.run(_attend(address, num_listeners, told)))


async def _attend(address: Address, num_listeners: int, told: Connection) -> Tally:
    plan = Plan(
        address=address,
        num_listeners=num_listeners,
        first_number=1,
        tone=True,
        language="en",
        codec="pcm_s16le",
        frame_ms=20,
        lead_ms=LEAD_MS,
        playheads_per_s=4.0,
        check_every=1,
        ramp_from=0.0,
        ramp_s=0.0,
        window_from=time.monotonic(),
        window_to=float("inf"),
    )
    tally, buffer = Tally(), bytearray(BUFFER_BYTES)
    listeners = [Listener(plan, number, buffer, tally) for number in range(1, 1 + num_listeners)]
    for listener in listeners:
        await listener.meet()
        listener.listen()
    told.send(tally)
    await asyncio.to_thread(told.recv)
    for listener in listeners:
        try:
            await listener.leave()
        except (ConnectionError, TimeoutError) as error:
            listener.fail(error)
        listener.account()
    return tally
