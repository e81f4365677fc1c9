"""Stage: the same through the real server and WebSockets, with generators in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from typing import Any

import uvloop

from .conversation import Conversation, Utterance
from .gpu_arrivals import STAY_S, Arrivals, arrive
from .gpu_ladder import NEWCOMERS_PER_S, POISSON_ON
from .gpu_model import write_voices
from .gpu_stage import Keep, Plan
from .listener import Tally
from .report import percentiles
from .rung import JOINS_PER_S, SETTLE_S, SPAWN_S, Load, climb
from .server import Server, running_server
from .texts import Texts
from .websocket import BUFFER_BYTES, Address

NUM_UTTERANCES = 120
WARM_UP = 10
PAUSE_S = 0.02


def run(plan: Plan, keep: Keep) -> None:
    ends_at = time.monotonic() + plan.seconds
    passing = plan.found.get("ladder", {}).get("highest_passing") or (2 if plan.rehearse else 128)
    num_newcomers_on = min(POISSON_ON, passing)
    write_voices(plan.checkpoint, plan.cache)
    flags = server_flags(plan, num_slots=8 if plan.rehearse else passing + 64)
    with running_server(str(plan.checkpoint), flags, start_timeout_s=plan.seconds / 2) as server:
        keep("start_to_ready_s", round(plan.seconds - (ends_at - time.monotonic()), 2))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            num_utterances, warm_up = (4, 1) if plan.rehearse else (NUM_UTTERANCES, WARM_UP)
            keep("one_listener", runner.run(_one_listener(server, num_utterances, warm_up)))
            left_s = ends_at - time.monotonic()
            seconds = _seconds(plan, 0.35 * left_s, num_newcomers_on)
            if seconds > 0:
                keep("poisson", runner.run(_poisson(server, plan, num_newcomers_on, seconds)))
            seconds = _seconds(plan, ends_at - time.monotonic() - 5, passing)
            if seconds > 0 and not plan.rehearse:
                keep("rung", runner.run(climb(server, _load(plan, seconds), passing)))


def server_flags(plan: Plan, *, num_slots: int) -> list[str]:
    """What the benches start a server with."""
    cores = len(os.sched_getaffinity(0))
    flags = {
        "--device": plan.device,
        "--slots": num_slots,
        "--cache-dir": plan.cache,
        "--voices-dir": plan.folder / "voices",
        "--workers": 1 if plan.rehearse else max(1, min(4, cores // 4)),
        "--threads": 1 if plan.rehearse else 0,
        "--max-sessions": 4000,
        "--engine-start-timeout-ms": max(1000, int(500 * plan.seconds)),
    }
    return [str(part) for flag in flags.items() for part in flag]


async def _one_listener(server: Server, num_utterances: int, warm_up: int) -> dict[str, Any]:
    """Clauses one after the other, each written at once and cancelled after its first audio: random weights go on."""
    conversation = Conversation("en", 1, bytearray(BUFFER_BYTES))
    await conversation.meet(Address.of(server.url))
    texts = Texts("en", seed=1)
    measured: list[Utterance] = []
    for number in range(warm_up + num_utterances):
        utterance = conversation.start()
        await conversation.write(utterance, texts.clause(), at_once=True)
        await conversation.first_audio(utterance)
        conversation.cancel(utterance)
        await conversation.done(utterance)
        if number >= warm_up:
            measured.append(utterance)
        await asyncio.sleep(PAUSE_S)
    conversation.goodbye()
    return {"first_audio_ms": percentiles([utterance.first_audio_s for utterance in measured])}


def _load(plan: Plan, seconds: float) -> Load:
    return Load(model=str(plan.checkpoint), seconds=seconds, check_every=0, generators=2 if plan.rehearse else 4)


def _seconds(plan: Plan, room_s: float, num_listeners: int) -> float:
    """The window that fits: joining takes its time. 0: none does."""
    if plan.rehearse:
        return 1.0
    seconds = room_s - SPAWN_S - SETTLE_S - max(1.0, num_listeners / JOINS_PER_S) - STAY_S
    return min(60.0, seconds) if seconds >= 3.0 else 0.0


async def _poisson(server: Server, plan: Plan, num_live: int, seconds: float) -> dict[str, Any]:
    """Newcomers onto live listeners, both over WebSockets, from different processes."""
    opens_at = time.monotonic() + SPAWN_S + max(1.0, num_live / JOINS_PER_S) + SETTLE_S
    rate_per_s = 3.0 if plan.rehearse else NEWCOMERS_PER_S
    arrivals = Arrivals(
        address=Address.of(server.url), rate_per_s=rate_per_s, opens_at=opens_at, closes_at=opens_at + seconds
    )
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=arrive, args=(arrivals, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        rung = await climb(server, _load(plan, seconds), num_live)
        tally: Tally = await asyncio.to_thread(_received, ours, 10 + STAY_S)
    finally:
        process.kill()
        process.join()
    return {
        "live": num_live,
        "newcomers_per_s": rate_per_s,
        "newcomers_first_audio_ms": percentiles(tally.first_audio_s),
        "newcomers_faults": tally.faults,
        "live_verdict": rung["verdict"],
    }


def _received(end: Any, timeout_s: float) -> Tally:
    if not end.poll(timeout_s):
        raise TimeoutError("expected the arrivals' findings at the end of the window, none came")
    tally: Tally = end.recv()
    return tally
