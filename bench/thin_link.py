"""Speech over a link of 64 kbit/s with a round trip of 300 ms, and over its failure: `python -m bench.thin_link`.

The link is bench.fault_proxy's, both ways; what TCP and IP add to each packet is not counted. A listener hears Opus for
a while, playing from his first packet on; then nothing goes through for ten seconds, and then everything again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from random import Random

from protocol.messages import AudioFormat, Start

from .fault_proxy import Conditions, FaultProxy
from .goals import Goal, tell
from .rig import at_server, parser_of
from .server import Server
from .survivor import Survivor
from .texts import PACE_S, Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

MAX_FIRST_AUDIO_S = 1.0
LEAD_MS = 4000
"""What a server works ahead for clients that do not say otherwise."""

AFTERWARDS_S = 2.0
BACK_OFF_S = 0.5


@dataclass(slots=True)
class Heard:
    """What came of it."""

    first_audio_s: float | None = None
    """From handing the text over."""
    silence_s: float = 0.0
    """In gaps, before the outage."""
    outage_silence_s: float = 0.0
    """In gaps, from the outage on."""
    num_resumes: int = 0
    is_whole: bool = False
    """Every packet came once, in its order, and they cover every tick."""
    seconds: float = 0.0
    """Of speech."""
    faults: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """0: first audio is there soon, without a gap before the outage, and nothing is lost in it; 1: otherwise."""
    options = _parse(argv)
    half_ms = options.round_trip_ms / 2
    link = Conditions(delay_ms=half_ms, bits_per_s=options.bits_per_s)
    audio = AudioFormat(codec="opus", bitrate=options.bitrate)

    async def heard_over_it(server: Server) -> Heard:
        return await listen(Address.of(server.url), link, audio, options.seconds, options.outage)

    if (heard := at_server("thin_link", heard_over_it, options.server_flags)) is None:
        return 1
    settings = {
        "bits_per_s": options.bits_per_s,
        "round_trip_ms": options.round_trip_ms,
        "opus_bitrate": options.bitrate,
        "lead_ms": LEAD_MS,
        "outage_s": options.outage,
    }
    return tell("thin-link", goals(heard, options.outage), settings | asdict(heard), options.output)


async def listen(address: Address, link: Conditions, audio: AudioFormat, seconds: float, outage_s: float) -> Heard:
    """Raises ConnectionFailed if the link does not even carry a hello."""
    async with FaultProxy(address.host, address.port, up=link, down=link) as proxy:
        survivor = Survivor(Address(address.host, proxy.port), bytearray(BUFFER_BYTES), lead_ms=LEAD_MS, audio=audio)
        await survivor.connect()
        heard = Heard()
        try:
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(_keep(survivor, heard))
                with survivor.playing():
                    await _hear(survivor, proxy, heard, seconds, outage_s)
                keeping.cancel()
        except* (TimeoutError, ConnectionFailed):
            heard.faults.append("nothing came any more")
        survivor.leave()
        return heard


async def _hear(survivor: Survivor, proxy: FaultProxy, heard: Heard, seconds: float, outage_s: float) -> None:
    text = Texts("en", Random(1).randrange(100)).sentences((seconds + outage_s + AFTERWARDS_S) / PACE_S)
    at = time.monotonic()
    hearing = await survivor.hear(Start(utterance="u", seed=3, language="en", text=text, end=True))
    assert hearing.playout.started_at is not None, "expected speech, it was refused"
    heard.first_audio_s = hearing.playout.started_at - at
    await asyncio.sleep(seconds)
    heard.silence_s = hearing.playout.stalled_s
    proxy.hold()
    await asyncio.sleep(outage_s)
    proxy.release()
    while not hearing.is_over:
        await survivor.connected()
        try:
            await survivor.until(lambda: hearing.is_over)
        except ConnectionFailed:
            continue
    heard.outage_silence_s = hearing.playout.stalled_s - heard.silence_s
    heard.is_whole, heard.faults = hearing.is_whole, hearing.proof.faults
    heard.seconds = hearing.playout.num_ticks / 44_100


async def _keep(survivor: Survivor, heard: Heard) -> None:
    """Connect again whenever the connection is lost. Until it is cancelled."""
    while True:
        try:
            await survivor.until(lambda: False, wait_s=3600)
        except ConnectionFailed:
            heard.num_resumes += 1
        while not survivor.is_connected:
            try:
                await survivor.connect()
            except (ConnectionFailed, TimeoutError):
                await asyncio.sleep(BACK_OFF_S)


def goals(heard: Heard, outage_s: float) -> list[Goal]:
    first_s = heard.first_audio_s
    return [
        Goal(
            what="a link of 64 kbit/s, 300 ms there and back: first audio, in Opus",
            goal=f"<= {1000 * MAX_FIRST_AUDIO_S:g} ms",
            measured="none" if first_s is None else f"{1000 * first_s:.0f} ms",
            is_met=first_s is not None and first_s <= MAX_FIRST_AUDIO_S,
        ),
        Goal(
            what="the same: silence in gaps",
            goal="0 ms",
            measured=f"{1000 * heard.silence_s:.0f} ms",
            is_met=first_s is not None and heard.silence_s == 0,
        ),
        Goal(
            what=f"the same, nothing going through for {outage_s:g} s: lost, repeated or out of order",
            goal="nothing",
            measured="nothing" if heard.is_whole else "; ".join(heard.faults) or "the end",
            is_met=heard.is_whole,
        ),
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("thin_link", __doc__)
    parser.add_argument("--bits-per-s", type=float, default=64_000, help="of the link, in each direction")
    parser.add_argument("--round-trip-ms", type=float, default=300)
    parser.add_argument("--bitrate", type=int, default=32_000, help="of the Opus")
    parser.add_argument("--seconds", type=float, default=30.0, help="before the outage")
    parser.add_argument("--outage", type=float, default=10.0, help="seconds in which nothing goes through")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
