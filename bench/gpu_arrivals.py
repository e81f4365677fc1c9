"""A generator process: listeners who come at Poisson instants, hear a little, and leave."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random

import uvloop

from .listener import Listener, Plan, Tally
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

STAY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """`rate_per_s` of them from `opens_at` to `closes_at`, CLOCK_MONOTONIC seconds."""

    address: Address
    rate_per_s: float
    opens_at: float
    closes_at: float
    seed: int = 1
    lead_ms: int = 320


def arrive(arrivals: Arrivals, result: Connection) -> None:
    """The process' main function: sends one Tally and ends."""
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result.send(runner.run(_arrive(arrivals)))


async def _arrive(arrivals: Arrivals) -> Tally:
    tally, buffer, random = Tally(), bytearray(BUFFER_BYTES), Random(arrivals.seed)
    at, number = arrivals.opens_at, 1_000_000
    async with asyncio.TaskGroup() as tasks:
        while (at := at + random.expovariate(arrivals.rate_per_s)) < arrivals.closes_at:
            number += 1
            tasks.create_task(_visit(_plan(arrivals, number), at, buffer, tally))
    return tally


async def _visit(plan: Plan, at: float, buffer: bytearray, tally: Tally) -> None:
    """Connects before its time, so that only speech is waited for. What goes wrong is a fault, and others come."""
    await asyncio.sleep(max(0.0, at - 0.5 - time.monotonic()))
    listener = Listener(plan, plan.first_number, buffer, tally)
    try:
        await listener.meet()
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        listener.listen()
        await asyncio.sleep(STAY_S)
        await listener.leave()
    except (ConnectionFailed, ConnectionError, TimeoutError) as error:
        listener.fail(error)
    listener.account()


def _plan(arrivals: Arrivals, number: int) -> Plan:
    return Plan(
        address=arrivals.address,
        num_listeners=1,
        first_number=number,
        tone=False,
        language="en",
        codec="pcm_s16le",
        frame_ms=20,
        lead_ms=arrivals.lead_ms,
        playheads_per_s=4.0,
        check_every=0,
        ramp_from=arrivals.opens_at,
        ramp_s=0.0,
        window_from=arrivals.opens_at,
        window_to=arrivals.closes_at + STAY_S,
    )
