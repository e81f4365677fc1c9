"""Speech over ways that are long, that grow long, and that are thin with a deep queue: `python -m bench.long_links`.

The links are bench.packet_link's, so that TCP sees how long they are; it takes root. Listeners play from their first
packet on: all silence they have together is what a player would have had to hold back at the start.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass
from random import Random

from protocol.messages import AudioFormat, Cancel, Codec, Start

from .goals import Goal, tell
from .packet_link import Direction, PacketLink
from .rig import at_server, parser_of
from .server import Server
from .survivor import Hearing, Survivor
from .texts import PACE_S, Texts
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

RATE_HZ = 44_100
BITS_PER_S = 1e6
"""Of a link that carries PCM, and Opus some twenty times as fast as it is played."""

LEAD_MS = 4000
"""What a server works ahead for clients that do not say otherwise."""

BACKGROUND_SPEECH_S = 3000.0
MIN_SHARE = 0.8
"""Of its link, that background work is to use."""

SETTLED = 2 / 3
"""After so much of the time TCP has found out what the link carries."""

SHORT_MS = 60.0

THIN_BITS_PER_S, THIN_MS, THIN_LEAD_MS = 64_000.0, 300.0, 60_000
THIN_AFTER_S = 8.0
MAX_BARGE_IN_S = 1.5


@dataclass(slots=True, kw_only=True)
class Heard:
    """What came over one link."""

    link: str
    round_trip_ms: float
    codec: Codec
    lead_ms: int | None
    first_audio_s: float | None = None
    silence_s: float | None = None
    """In all gaps."""
    late_silence_s: float | None = None
    """Of that, in the last third of the time."""
    speed: float | None = None
    """Seconds of sound that came a second, in that time."""
    share: float | None = None
    """Of what the link carries, in that time."""
    barge_in_s: float | None = None
    """From a cancel, with which the next utterance was asked for, to its first audio."""
    fault: str | None = None

    @property
    def row(self) -> dict[str, object]:
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def main(argv: Sequence[str] | None = None) -> int:
    """0: nobody starves on a long way, nobody waits behind a deep queue, and links are used; 1: otherwise."""
    options = _parse(argv)

    async def heard_at(server: Server) -> list[Heard]:
        port = Address.of(server.url).port
        found: list[Heard] = []
        for wave in _waves(port, options):
            found += await asyncio.gather(*wave)
        return found

    if (found := at_server("long_links", heard_at, options.server_flags)) is None:
        return 1
    settings = {"congestion_control": options.congestion_control, "bits_per_s": BITS_PER_S}
    return tell("long-links", goals(found), {**settings, "links": [heard.row for heard in found]}, options.output)


def _waves(port: int, options: argparse.Namespace) -> list[list[Coroutine[None, None, Heard]]]:
    """What is measured together: those who play do not compete with those who fill a file."""
    seconds, control = options.seconds, options.congestion_control

    def far(codec: Codec, lead_ms: int | None, round_trip_ms: float) -> Coroutine[None, None, Heard]:
        heard = Heard(link="long", round_trip_ms=round_trip_ms, codec=codec, lead_ms=lead_ms)
        return listen(port, heard, seconds, control)

    grown = Heard(
        link=f"{SHORT_MS:g} ms at first", round_trip_ms=max(options.round_trips), codec="opus", lead_ms=LEAD_MS
    )
    thin = Heard(link="thin, deep", round_trip_ms=THIN_MS, codec="opus", lead_ms=THIN_LEAD_MS)
    return [
        [
            *(far("opus", LEAD_MS, each) for each in options.round_trips),
            *(far("pcm_s16le", LEAD_MS, each) for each in options.round_trips),
            listen(port, grown, seconds, control, first_ms=SHORT_MS),
            barge_in(port, thin, control),
        ],
        [far("opus", None, each) for each in options.round_trips],
    ]


async def listen(
    port: int, heard: Heard, seconds: float, control: str | None, *, first_ms: float | None = None
) -> Heard:
    """`first_ms`: the round trip for the first third of the time. Raises BenchFailed."""
    up, down = (_half(heard.round_trip_ms if first_ms is None else first_ms, BITS_PER_S) for _ in range(2))
    async with PacketLink(port, up=up, down=down, congestion_control=control) as link:
        survivor = _survivor(link, heard)
        try:
            await survivor.connect()
            with survivor.playing():
                speech_s = 2 * seconds if heard.lead_ms is not None else BACKGROUND_SPEECH_S
                hearing = await _ask(survivor, "u", heard, speech_s)
                if first_ms is not None:
                    await asyncio.sleep((1 - SETTLED) * seconds)
                    up.delay_ms = down.delay_ms = heard.round_trip_ms / 2
                    seconds *= SETTLED
                await asyncio.sleep(SETTLED * seconds)
                at, num_ticks, num_bytes = time.monotonic(), hearing.playout.num_ticks, link.down.num_bytes
                early_s = hearing.playout.stalled_s
                await asyncio.sleep((1 - SETTLED) * seconds)
                took_s = time.monotonic() - at
        except (ConnectionFailed, TimeoutError) as error:
            heard.fault = str(error) or "nothing came any more"
            return heard
        playout = hearing.playout
        assert playout.started_at is not None
        # Who has got nothing for a while is silent, though no frame has come late yet.
        silence_s = max(playout.stalled_s, time.monotonic() - playout.started_at - playout.num_ticks / RATE_HZ)
        heard.silence_s, heard.late_silence_s = silence_s, silence_s - early_s
        heard.speed = (playout.num_ticks - num_ticks) / RATE_HZ / took_s
        heard.share = 8 * (link.down.num_bytes - num_bytes) / took_s / BITS_PER_S
        heard.fault = "; ".join(hearing.proof.faults) or survivor.fault
        survivor.leave()
        await asyncio.sleep(2 * heard.round_trip_ms / 1000)  # else both ends go on asking where the link has gone
        return heard


async def barge_in(port: int, heard: Heard, control: str | None) -> Heard:
    """A listener who is sent far more than he plays interrupts. Raises BenchFailed."""
    up, down = (_half(heard.round_trip_ms, THIN_BITS_PER_S) for _ in range(2))
    async with PacketLink(port, up=up, down=down, congestion_control=control) as link:
        survivor = _survivor(link, heard)
        try:
            await survivor.connect()
            with survivor.playing():
                first = await _ask(survivor, "u", heard, THIN_LEAD_MS / 1000)
                await asyncio.sleep(THIN_AFTER_S)
                heard.silence_s = first.playout.stalled_s
                survivor.say(Cancel(utterance="u"))
                second = Heard(link="", round_trip_ms=0, codec=heard.codec, lead_ms=heard.lead_ms)
                hearing = await _ask(survivor, "v", second, 5.0)
        except (ConnectionFailed, TimeoutError) as error:
            heard.fault = str(error) or "nothing came any more"
            return heard
        heard.barge_in_s = second.first_audio_s
        heard.fault = "; ".join(first.proof.faults + hearing.proof.faults) or None
        survivor.leave()
        await asyncio.sleep(2 * heard.round_trip_ms / 1000)  # else both ends go on asking where the link has gone
        return heard


async def _ask(survivor: Survivor, utterance: str, heard: Heard, speech_s: float) -> Hearing:
    text = Texts("en", Random(1).randrange(100)).sentences(speech_s / PACE_S)
    at = time.monotonic()
    hearing = await survivor.hear(Start(utterance=utterance, seed=3, language="en", text=text, end=True))
    if hearing.playout.started_at is None:
        raise ConnectionFailed(f"expected speech, it was refused: {hearing.error}")
    heard.first_audio_s = hearing.playout.started_at - at
    return hearing


def _survivor(link: PacketLink, heard: Heard) -> Survivor:
    address, audio = Address(link.far, link.port), AudioFormat(codec=heard.codec)
    return Survivor(address, bytearray(BUFFER_BYTES), lead_ms=heard.lead_ms, audio=audio)


def _half(round_trip_ms: float, bits_per_s: float) -> Direction:
    return Direction(delay_ms=round_trip_ms / 2, bits_per_s=bits_per_s)


def goals(found: Sequence[Heard]) -> list[Goal]:
    return [goal for heard in found for goal in _goals_of(heard)]


def _goals_of(heard: Heard) -> list[Goal]:
    trip_s = heard.round_trip_ms / 1000
    what = f"{heard.link}, {trip_s:g} s there and back, {'Opus' if heard.codec == 'opus' else 'PCM'}"
    if heard.barge_in_s is not None:
        return [_at_most(f"{what}: barge-in", MAX_BARGE_IN_S, heard.barge_in_s)]
    if heard.fault is not None or heard.silence_s is None or heard.late_silence_s is None or heard.share is None:
        return [Goal(what=what, goal="speech", measured=heard.fault or "none", is_met=False)]
    if heard.lead_ms is None:
        goal, measured = f">= {MIN_SHARE:.0%} of the link", f"{heard.share:.0%}, {heard.speed:.0f} x real time"
        return [
            Goal(what=f"{what}, background", goal=goal, measured=measured, is_met=heard.share >= MIN_SHARE),
        ]
    late = _at_most(f"{what}: silence, once TCP knows the link", 0.0, heard.late_silence_s)
    if heard.codec != "opus":  # PCM waits for TCP, which begins with 14 kB in a round trip
        return [late]
    return [_at_most(f"{what}: silence in all", trip_s, heard.silence_s), late]


def _at_most(what: str, most_s: float, found_s: float) -> Goal:
    found_s = round(found_s, 2)
    return Goal(what=what, goal=f"<= {most_s:g} s", measured=f"{found_s:.2f} s", is_met=found_s <= most_s)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("long_links", __doc__)
    parser.add_argument("--round-trips", type=float, nargs="+", default=[600.0, 1500.0, 3000.0], help="in ms")
    parser.add_argument("--seconds", type=float, default=60.0, help="that each is listened to")
    parser.add_argument("--congestion-control", default="cubic", help="of TCP, as the kernel calls it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
