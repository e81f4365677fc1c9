"""One rung of the ladder: so many listeners at one server for so long, and what that cost whom."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from protocol.messages import Codec

from .crowd import listen
from .listener import ANSWER_TIMEOUT_S, Plan, Tally
from .processes import Usage, machine_busy_s, usage
from .report import percentiles
from .server import BenchFailed, Server
from .websocket import Address

SPAWN_S = 1.5
"""Generator processes import what they need before the first listener joins."""

SETTLE_S = 1.0
"""Between the last listener's arrival and the first frame that counts."""

JOINS_PER_S = 100.0
MAX_LATENESS_P99_MS = 20.0


class LoadFailed(BenchFailed):
    """A generator process did not come back; one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a rung consists of, save the number of listeners."""

    model: str = "tone"
    language: str = "en"
    codec: Codec = "pcm_s16le"
    frame_ms: int = 20
    lead_ms: int = 320
    seconds: float = 60.0
    playheads_per_s: float = 4.0
    check_every: int = 8
    generators: int = 2


@dataclass(frozen=True, slots=True)
class _Sample:
    """The CPU clocks at one instant."""

    at: float
    machine_s: float
    by_role: dict[str, Usage]
    web_each_s: dict[int, float]  # CPU seconds by process id


async def climb(server: Server, load: Load, num_listeners: int) -> dict[str, Any]:
    """Measure one rung. Raises LoadFailed; never takes much longer than ramp and window."""
    ramp_s = max(1.0, num_listeners / JOINS_PER_S)
    ramp_from = time.monotonic() + SPAWN_S
    window_from = ramp_from + ramp_s + SETTLE_S
    shares = [len(range(index, num_listeners, load.generators)) for index in range(load.generators)]
    plans = [
        Plan(
            address=Address.of(server.url),
            num_listeners=share,
            first_number=1 + sum(shares[:index]),
            tone=load.model == "tone",
            language=load.language,
            codec=load.codec,
            frame_ms=load.frame_ms,
            lead_ms=load.lead_ms,
            playheads_per_s=load.playheads_per_s,
            check_every=load.check_every,
            ramp_from=ramp_from,
            ramp_s=ramp_s,
            window_from=window_from,
            window_to=window_from + load.seconds,
        )
        for index, share in enumerate(shares)
        if share
    ]
    context = multiprocessing.get_context("spawn")  # a fork would inherit our event loop
    ends = [context.Pipe(duplex=False) for _ in plans]
    processes = [
        context.Process(target=listen, args=(plan, end), daemon=True)
        for plan, (_, end) in zip(plans, ends, strict=True)
    ]
    for process, (_, theirs) in zip(processes, ends, strict=True):
        process.start()
        theirs.close()
    try:
        await _sleep_until(window_from)
        before = _sample(server, processes)
        await _sleep_until(window_from + load.seconds)
        after = _sample(server, processes)
        tally = await asyncio.to_thread(_collect, [ours for ours, _ in ends])
    finally:
        for process in processes:
            process.kill()
            process.join()
    return _result(load, num_listeners, tally, before, after)


def _collect(results: Sequence[Connection]) -> Tally:
    ends_at = time.monotonic() + ANSWER_TIMEOUT_S + 10
    total = Tally()
    for result in results:
        if not result.poll(max(0.0, ends_at - time.monotonic())):
            raise LoadFailed("expected each generator's findings at the end of the window, one sent none")
        try:
            total.add(result.recv())
        except EOFError:
            raise LoadFailed("expected each generator's findings, one ended without; its traceback is above") from None
    return total


def _sample(server: Server, generators: Sequence[BaseProcess]) -> _Sample:
    pids = {**server.processes, "generator": [process.pid for process in generators if process.pid]}
    by_role = {role: usage(pids) for role, pids in pids.items() if pids}
    web_each_s = {pid: usage([pid]).cpu_s for pid in pids["web"]}
    return _Sample(time.monotonic(), machine_busy_s(), by_role, web_each_s)


def _result(load: Load, num_listeners: int, tally: Tally, before: _Sample, after: _Sample) -> dict[str, Any]:
    seconds = after.at - before.at
    num_frames = len(tally.lateness_s)
    spent_s = {role: after.by_role[role].cpu_s - before.by_role[role].cpu_s for role in after.by_role}
    machine_s = after.machine_s - before.machine_s
    lateness = percentiles(tally.lateness_s)
    result = {
        "listeners": num_listeners,
        "codec": load.codec,
        "frames": num_frames,
        "payload_kbit_per_s": round(8 * tally.num_payload_bytes / seconds / max(1, num_listeners) / 1000, 1),
        "late_frames": tally.num_late,
        "late_before_window": tally.num_late_before,
        "underruns": {
            "gaps": tally.num_late,
            "listeners": tally.num_listeners_stalled,
            "silence_ms": round(1000 * tally.stalled_s, 1),
        },
        "lateness_ms": lateness,
        "first_audio_ms": percentiles(tally.first_audio_s),
        "generator_lag_ms": percentiles(tally.loop_lag_s),
        "faults": tally.num_faults,
        "fault_examples": tally.faults,
        "listeners_done": tally.num_listeners_done,
        "frames_compared": tally.num_checked,
        "cpu_s": {role: round(spent, 2) for role, spent in spent_s.items()},
        "cpu_percent_of_a_core": {role: round(100 * spent / seconds, 1) for role, spent in spent_s.items()},
        "cpu_ms_per_1000_frames": {
            role: round(1e6 * spent / num_frames, 1) for role, spent in spent_s.items() if num_frames
        },
        "web_percent_of_a_core_each": [
            round(100 * (spent - before.web_each_s.get(pid, 0.0)) / seconds, 1)
            for pid, spent in after.web_each_s.items()
        ],
        "rss_mib": {role: round(used.rss_bytes / 2**20, 1) for role, used in after.by_role.items()},
        "machine": {
            "busy_percent": round(100 * machine_s / seconds / (os.cpu_count() or 1), 1),
            "others_percent_of_a_core": round(100 * (machine_s - sum(spent_s.values())) / seconds, 1),
        },
    }
    return result | {"verdict": _verdict(load, num_listeners, tally, lateness["p99"])}


def _verdict(load: Load, num_listeners: int, tally: Tally, lateness_p99_ms: float | None) -> str:
    """`ok`, or what is wrong, the gravest first."""
    patches = load.seconds * num_listeners / 0.16
    if tally.num_faults or tally.num_listeners_done < num_listeners:
        return f"{tally.num_faults} faults, {num_listeners - tally.num_listeners_done} listeners not served to the end"
    if lateness_p99_ms is None or len(tally.lateness_s) < 0.9 * patches:
        return f"{len(tally.lateness_s)} frames of {patches:.0f} came"
    if tally.num_late:
        return f"{tally.num_late} late"
    if lateness_p99_ms > MAX_LATENESS_P99_MS:
        return f"p99 over {MAX_LATENESS_P99_MS:g} ms"
    return "ok"


async def _sleep_until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.monotonic()))
