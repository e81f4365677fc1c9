"""Utterances that wait for an engine: nobody is forgotten there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from models.base import History
from models.engine import PlaybackClock, Reading
from streaming_server.engine_face import Stream
from streaming_server.engine_lasting import KILLER, LastingStream, State
from streaming_server.engine_loss import Loss
from streaming_server.engine_ward import EngineWard

from .ears import Ear

RAISED = Loss(num_suspects=2)
ALONE = Loss(num_suspects=1, on_trial=True)


class _Taken:
    """An engine's stream, which takes all that it is told."""

    def speak(self, text: str) -> None: ...
    def expect(self, text: str) -> None: ...
    def finish(self) -> None: ...
    def pace(self, reading: Reading) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...


def opening(stream: LastingStream, history: History | None) -> Iterator[Stream]:
    yield _Taken()


async def test_who_waits_for_a_verdict_comes_back_when_the_killer_is_refused() -> None:
    """The engine only raised: nothing else would tell that it is there."""
    ward = EngineWard(patience_s=60.0, trial_s=60.0, courtroom=None)
    ears = [Ear(), Ear()]
    clock = asyncio.get_running_loop().time
    killer, other = [LastingStream(ear, opening, ward, PlaybackClock(1000), clock) for ear in ears]
    for each in (killer, other):
        each.speak("text")
    for _ in range(2):
        for each in (killer, other):
            each.on_lost(RAISED)
        await asyncio.sleep(0.01)
    assert (killer.state, other.state) == (State.OPEN, State.WAITS), "expected one of two to be tried alone"
    killer.on_lost(ALONE)
    assert ears[0].ends == [KILLER]
    await asyncio.sleep(0.01)
    assert other.state is State.OPEN
    other.cancel()
