"""A generator process: many listeners in one event loop."""

from __future__ import annotations

import asyncio
import gc
import time
from multiprocessing.connection import Connection

import uvloop

from .listener import Listener, Plan, Tally
from .websocket import BUFFER_BYTES, ConnectionFailed

LAG_EVERY_S = 0.02


def listen(plan: Plan, result: Connection) -> None:
    """The process' main function: sends one Tally and ends."""
    gc.disable()  # it lives for a minute, makes no cycles worth collecting, and a collection would look like lateness
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result.send(runner.run(_listen(plan)))


async def _listen(plan: Plan) -> Tally:
    tally = Tally()
    buffer = bytearray(BUFFER_BYTES)
    listeners = [Listener(plan, plan.first_number + index, buffer, tally) for index in range(plan.num_listeners)]
    async with asyncio.TaskGroup() as tasks:
        for index, listener in enumerate(listeners):
            join_at = plan.ramp_from + plan.ramp_s * index / plan.num_listeners
            tasks.create_task(_attend(plan, listener, join_at))
        tasks.create_task(_measure_lag(plan, tally))
    for listener in listeners:
        listener.account()
    return tally


async def _attend(plan: Plan, listener: Listener, join_at: float) -> None:
    """One listener's evening. What goes wrong is a fault, and the others stay."""
    await _until(join_at)
    try:
        await listener.meet()
        listener.listen()
        await _until(plan.window_to)
        await listener.leave()
    except (ConnectionFailed, ConnectionError, TimeoutError) as error:
        listener.fail(error)


async def _measure_lag(plan: Plan, tally: Tally) -> None:
    """How late this process itself is: what it sees late is late by so much less."""
    await _until(plan.window_from)
    while (due_at := time.monotonic() + LAG_EVERY_S) < plan.window_to:
        await _until(due_at)
        tally.loop_lag_s.append(time.monotonic() - due_at)


async def _until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.monotonic()))
