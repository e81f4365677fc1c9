"""What a listener hears of a connection that is reset: `python -m bench.resets --trials 200`. Nothing, it is hoped.

He keeps 320 ms at most: what the server sends ahead of his loudspeaker. In each trial his socket is reset at a random
moment of the speech (what is under way is lost, in both directions), and he resumes at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from protocol.messages import End, Start, Text

from .goals import Goal, tell
from .report import percentiles
from .rig import a_few_at_a_time, at_server, parser_of
from .server import Server
from .survivor import Survivor
from .texts import PACE_S, Texts, deltas
from .websocket import BUFFER_BYTES, Address, ConnectionFailed

LEAD_MS = 320
"""The least that there is: two patches. When one is played, and the next under way, half of it is left."""

SPEECH_S = 3.0
MAX_GAPS_PERCENT = 5.0
UTTERANCE = "u"


@dataclass(slots=True, kw_only=True)
class Trial:
    """What came of one. `wrong`: samples lost, repeated or changed, or no end; one sentence."""

    reset_after_s: float = 0.0
    resumed_s: float = 0.0
    """From the reset to `ready`."""
    audio_s: float = 0.0
    """From the reset to the first audio that was news."""
    silence_s: float = 0.0
    num_samples: int = 0
    wrong: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """0: every sample came once, and hardly anybody heard a gap; 1: otherwise."""
    options = _parse(argv)

    async def tried(server: Server) -> list[Trial]:
        return await try_all(Address.of(server.url), options.trials, options.together, options.seed)

    if (trials := at_server("resets", tried, options.server_flags)) is None:
        return 1
    found = {"lead_ms": LEAD_MS, "seed": options.seed, "together": options.together, **summary(trials)}
    return tell("resets", goals(trials), found, options.output)


async def try_all(address: Address, num_trials: int, num_together: int, seed: int) -> list[Trial]:
    """`num_together` listeners at a time."""
    buffer = bytearray(BUFFER_BYTES)
    trials: list[Trial] = []

    async def try_number(number: int) -> None:
        trials.append(await try_once(address, Random(1000 * seed + number), buffer))

    await a_few_at_a_time(try_number, range(num_trials), num_together)
    return trials


async def try_once(address: Address, random: Random, buffer: bytearray) -> Trial:
    """Half of them have it written to them while it is spoken, so that text is under way at the reset, too."""
    trial, survivor = Trial(), Survivor(address, buffer, lead_ms=LEAD_MS)
    text = _text(random)
    try:
        await survivor.connect()
        writing = asyncio.create_task(_write(survivor, text, random.randrange(1 << 32), random.random() < 0.5))
        try:
            with survivor.playing():
                await survivor.until(lambda: _is_heard(survivor))
                await asyncio.sleep(random.uniform(0.0, SPEECH_S - 0.5))
                await _reset(survivor, trial)
                await writing
                await survivor.until(lambda: survivor.hearings[UTTERANCE].is_over)
        finally:
            writing.cancel()
    except (ConnectionFailed, TimeoutError) as error:
        trial.wrong = str(error) or "nothing came any more"
    else:
        _judge(survivor, trial, len(text))
    survivor.leave()
    return trial


async def _write(survivor: Survivor, text: str, seed: int, at_once: bool) -> None:
    pieces = [text] if at_once else list(deltas(text))
    survivor.say(Start(utterance=UTTERANCE, seed=seed, language="en"))
    for piece in pieces:
        await survivor.connected()
        survivor.say(Text(utterance=UTTERANCE, text=piece))
        await asyncio.sleep(0 if at_once else 0.7 * SPEECH_S / len(pieces))
    await survivor.connected()
    survivor.say(End(utterance=UTTERANCE))


async def _reset(survivor: Survivor, trial: Trial) -> None:
    hearing = survivor.hearings[UTTERANCE]
    silence_before_s, at = hearing.playout.stalled_s, time.monotonic()
    trial.reset_after_s = at - hearing.asked_at
    survivor.reset()
    await survivor.connect()
    trial.resumed_s = time.monotonic() - at
    await survivor.until(lambda: hearing.news_at > at or hearing.is_over)
    trial.audio_s = max(hearing.news_at, at) - at
    await survivor.until(lambda: hearing.is_over)
    trial.silence_s = hearing.playout.stalled_s - silence_before_s


def _judge(survivor: Survivor, trial: Trial, num_chars: int) -> None:
    hearing = survivor.hearings[UTTERANCE]
    assert survivor.ready is not None
    trial.num_samples = hearing.proof.num_ticks
    if not survivor.ready.resumed:
        trial.wrong = "the session was not resumed"
    elif hearing.proof.faults:
        trial.wrong = hearing.proof.faults[0]
    elif not hearing.is_whole:
        trial.wrong = f"it ended with {hearing.reason}, {hearing.error}"
    elif hearing.num_chars != num_chars:
        trial.wrong = f"expected {num_chars} characters to be spoken, got {hearing.num_chars}"


def _is_heard(survivor: Survivor) -> bool:
    hearing = survivor.hearings.get(UTTERANCE)
    return hearing is not None and hearing.playout.started_at is not None


def _text(random: Random) -> str:
    texts, text = Texts("en", random.randrange(1 << 30)), ""
    while PACE_S * len(text) < SPEECH_S:
        text += texts.clause()
    return text


def goals(trials: Sequence[Trial]) -> list[Goal]:
    num_wrong = sum(trial.wrong is not None for trial in trials)
    num_gaps = sum(trial.silence_s > 0 for trial in trials)
    percent = 100 * num_gaps / len(trials)
    return [
        Goal(
            what="reset during speech: trials with a sample lost, repeated or changed",
            goal=f"0 of {len(trials)}",
            measured=f"{num_wrong} of {len(trials)}",
            is_met=num_wrong == 0,
        ),
        Goal(
            what="the same: trials with a gap to be heard",
            goal=f"<= {MAX_GAPS_PERCENT:g} %",
            measured=f"{percent:.1f} %",
            is_met=percent <= MAX_GAPS_PERCENT,
        ),
    ]


def summary(trials: Sequence[Trial]) -> dict[str, Any]:
    silences = [trial.silence_s for trial in trials if trial.silence_s > 0]
    return {
        "trials": len(trials),
        "wrong": dict(Counter(trial.wrong for trial in trials if trial.wrong)),
        "samples_checked": sum(trial.num_samples for trial in trials),
        "reset_after_ms": percentiles([trial.reset_after_s for trial in trials]),
        "resumed_ms": percentiles([trial.resumed_s for trial in trials if not trial.wrong]),
        "next_audio_ms": percentiles([trial.audio_s for trial in trials if not trial.wrong]),
        "gaps_ms": percentiles(silences),
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("resets", __doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--together", type=int, default=8, help="listeners at a time")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
