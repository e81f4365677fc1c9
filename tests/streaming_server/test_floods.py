"""One listener floods the server; the others are answered as if it were not there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.streaming_server.flooder import FLOODS
from tests.streaming_server.serving import Wire
from tests.streaming_server.test_drain import session
from tests.streaming_server.test_serve import ROOT, voxwire_serve

EVERY_S = 0.005


@contextmanager
def flooded(kind: str, port: int, seconds: float) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.streaming_server.flooder", kind, str(port), str(seconds)]
    with subprocess.Popen(command, cwd=ROOT) as flooder:
        try:
            yield
            assert flooder.poll() is None, "expected the flood to last as long as is measured"
        finally:
            flooder.terminate()


async def answer_ms(wire: Wire, num_questions: int, share: float) -> float:
    """The time within which the server gives this share of its answers."""
    clock = asyncio.get_running_loop().time
    times = []
    for number in range(num_questions):
        asked_at = clock()
        await wire.send("ping", nonce=number)
        await wire.until("pong")
        times.append(1000 * (clock() - asked_at))
        await asyncio.sleep(EVERY_S)
    return sorted(times)[int(share * num_questions)]


async def test_floods_are_read_slowly_and_leave_others_nearly_as_they_were() -> None:
    """The bound is loose, and for the median only: others share the machine with the flooder."""
    grown = await lateness_under(*FLOODS, num_questions=50, share=0.5)
    assert max(grown.values()) < 100, grown


@pytest.mark.full
@pytest.mark.parametrize("kind", FLOODS)
async def test_under_a_flood_the_p99_of_others_grows_by_less_than_20_ms(kind: str) -> None:
    assert min([(await lateness_under(kind, num_questions=600, share=0.99))[kind] for _ in range(3)]) < 20


async def lateness_under(*kinds: str, num_questions: int, share: float) -> dict[str, float]:
    """How much later another listener has this share of its answers under each flood, in ms."""
    flags = ("--limit-loopback", "--handshake-burst", "100")
    with voxwire_serve(*flags) as (_, port):
        async with session(port) as wire:
            await answer_ms(wire, 20, share)
            quiet = await answer_ms(wire, num_questions, share)
            grown = {}
            for kind in kinds:
                with flooded(kind, port, 60):
                    await asyncio.sleep(0.7)  # it has begun by then
                    grown[kind] = await answer_ms(wire, num_questions, share) - quiet
            return grown
