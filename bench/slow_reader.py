"""What a server keeps for a client that never reads: `python -m bench.slow_reader`.

The client says hello, asks for half a minute of speech and reads nothing. How much sound its socket takes is what
/metrics counts as sent, since none of it was received: the client's kernel, the server's kernel and the server itself.
After the server has cut it, a healthy connection resumes the session and hears all of it from the first sample.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from protocol.messages import AudioFormat, Codec, Start

from .goals import Goal, tell
from .metrics import metrics
from .report import table
from .rig import at_server, parser_of
from .server import Server
from .survivor import Survivor
from .texts import PACE_S, Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

MAX_QUEUED_S = 2.0
MAX_FREED_S = 5.0

SPEECH_S = 30.0
RECEIVE_BUFFER_BYTES = 4096
"""The least that the kernel gives, so that what is queued is queued by the server."""

MESSAGE_S = 0.16
LOOK_EVERY_S = 0.05
GIVE_UP_S = 60.0

WAYS: tuple[tuple[Codec, int], ...] = (("pcm_s16le", 4000), ("opus", 4000), ("opus", 60_000))
"""Codecs, and how far ahead of the listener the server is asked to work, in ms."""


@dataclass(slots=True, kw_only=True)
class Deaf:
    """What came of one client that does not read."""

    codec: Codec
    lead_ms: int
    queued_s: float = 0.0
    """Sound that its socket took."""
    bound_s: float = 0.0
    """From the start until its socket took no more."""
    freed_s: float | None = None
    """From then until the connection and its file were gone; None: never."""
    fault: str | None = None
    """Why not all of it was heard after that, by a healthy connection."""

    @property
    def row(self) -> dict[str, object]:
        return {
            "codec": self.codec,
            "lead_ms": self.lead_ms,
            "queued_s": round(self.queued_s, 2),
            "bound_s": round(self.bound_s, 2),
            "freed_s": None if self.freed_s is None else round(self.freed_s, 2),
            "fault": self.fault,
        }


def main(argv: Sequence[str] | None = None) -> int:
    """0: little is kept, not for long, and nothing is lost; 1: otherwise."""
    options = _parse(argv)
    ways = WAYS[-1:] if options.quick else WAYS

    async def go_deaf_in_all(server: Server) -> list[Deaf]:
        return [await go_deaf(server, codec, lead_ms) for codec, lead_ms in ways]

    if (found := at_server("slow_reader", go_deaf_in_all, options.server_flags)) is None:
        return 1
    rows = [each.row for each in found]
    print(table(rows), end="\n\n")
    return tell("slow-reader", goals(found), {"ways": rows}, options.output)


async def go_deaf(server: Server, codec: Codec, lead_ms: int) -> Deaf:
    """Raises ConnectionFailed if it cannot even be begun."""
    deaf = Deaf(codec=codec, lead_ms=lead_ms)
    survivor = Survivor(
        Address.of(server.url), bytearray(BUFFER_BYTES), lead_ms=lead_ms, audio=AudioFormat(codec=codec)
    )
    (pid,) = server.processes["web"]
    num_files = _num_files(pid)
    before = await metrics(server.url)
    await survivor.connect(receive_buffer_bytes=RECEIVE_BUFFER_BYTES)
    survivor.stop_reading()
    text = Texts("en", Random(1).randrange(100)).sentences(SPEECH_S / PACE_S)
    survivor.say(Start(utterance="u", seed=5, language="en", text=text, end=True))
    asked_at = now = time.monotonic()
    looks: list[tuple[float, float]] = []  # when, and how much was queued
    while now < asked_at + GIVE_UP_S:
        told = await metrics(server.url)
        now = time.monotonic()
        looks.append((now, told["voxwire_audio_seconds_total"] - before["voxwire_audio_seconds_total"]))
        if told["voxwire_sessions_parked"] > before["voxwire_sessions_parked"] and _num_files(pid) <= num_files:
            deaf.freed_s = now
            break
        await asyncio.sleep(LOOK_EVERY_S)
    # A message that waits for room counts as sent when the connection ends: it is no part of what was queued.
    deaf.queued_s = max(queued_s for _, queued_s in looks) - MESSAGE_S
    bound_at = next(at for at, queued_s in looks if queued_s >= deaf.queued_s - 0.001)
    deaf.bound_s = bound_at - asked_at
    deaf.freed_s = None if deaf.freed_s is None else deaf.freed_s - bound_at
    await _come_back(survivor, deaf)
    return deaf


async def _come_back(survivor: Survivor, deaf: Deaf) -> None:
    hearing = survivor.hearings["u"]
    survivor.reset()
    try:
        await survivor.connect()
        with survivor.playing():
            await survivor.until(lambda: hearing.is_over, wait_s=SPEECH_S + GIVE_UP_S)
    except (ConnectionFailed, TimeoutError) as error:
        deaf.fault = str(error) or "nothing came any more"
    else:
        deaf.fault = None if hearing.is_whole else f"{hearing.reason} {hearing.error} {hearing.proof.faults}"
    survivor.leave()


def _num_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def goals(found: Sequence[Deaf]) -> list[Goal]:
    queued_s = max(deaf.queued_s for deaf in found)
    freed = [deaf.freed_s for deaf in found if deaf.freed_s is not None]
    num_whole = sum(deaf.fault is None for deaf in found)
    return [
        Goal(
            what="a client that never reads: sound queued for it",
            goal=f"<= {MAX_QUEUED_S:g} s",
            measured=f"{queued_s:.2f} s",
            is_met=queued_s <= MAX_QUEUED_S,
        ),
        Goal(
            what="the same: cut and freed, after its socket took no more",
            goal=f"<= {MAX_FREED_S:g} s",
            measured=f"{max(freed):.2f} s" if len(freed) == len(found) else "not freed",
            is_met=len(freed) == len(found) and max(freed) <= MAX_FREED_S,
        ),
        Goal(
            what="the same: then heard whole by a healthy connection",
            goal=f"{len(found)} of {len(found)}",
            measured=f"{num_whole} of {len(found)}",
            is_met=num_whole == len(found),
        ),
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("slow_reader", __doc__)
    parser.add_argument("--quick", action="store_true", help="one way of three")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
