"""Utterances that wait for an engine, and how those that kill are found among them, with an engine of arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import pytest

from models.base import History
from models.engine import PlaybackClock, Reading, Spoke, Trial
from streaming_server.engine_face import Stream
from streaming_server.engine_lasting import KILLER, LastingStream, State
from streaming_server.engine_loss import Loss
from streaming_server.engine_ward import MAX_DEATHS, MAX_DEATHS_IN_ALL, NUM_DEATHS, EngineWard

from .ears import Ear


class _Taken:
    """An engine's stream, which takes all that it is told."""

    def speak(self, text: str) -> None: ...
    def expect(self, text: str) -> None: ...
    def finish(self) -> None: ...
    def pace(self, reading: Reading) -> None: ...
    def suspend(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...


class Court:
    """An engine that makes a patch for each stream and ends in a step with a killer; and a ward for its streams.

    `is_mortal` False: its steps raise, which loses their own rows alone. `num_together`: so many killers it takes.
    `is_broken`: whoever is in a step.
    """

    def __init__(
        self, num_streams: int, killers: Iterable[int], *, is_mortal: bool = True, num_together: int = 1
    ) -> None:
        self._is_mortal = is_mortal
        self._num_together = num_together
        self.is_broken = False
        self.is_there = True
        self.num_deaths = self.num_restarts = self.num_steps = self.num_patches = 0
        self.engine: dict[LastingStream, Trial | None] = {}
        self.ward = EngineWard(patience_s=60.0)
        self.ears = [Ear() for _ in range(num_streams)]
        clock = asyncio.get_running_loop().time
        self.streams = [LastingStream(ear, self._open, self.ward, PlaybackClock(1000), clock) for ear in self.ears]
        self._killers = {self.streams[number] for number in killers}
        for stream in self.streams:
            stream.speak("text")

    def step(self) -> None:
        """As the engine's scheduler has it: suspects together, then one alone, then all others."""
        tried = [stream for stream, trial in self.engine.items() if trial is not None and not stream.is_suspended]
        together = [stream for stream in tried if (trial := self.engine[stream]) is not None and not trial.is_alone]
        rows = together or tried[:1] or list(self.engine)
        self.num_steps += 1
        if self.is_broken or len(self._killers.intersection(rows)) >= self._num_together:
            self._die(rows, on_trial=bool(tried))
            return
        for stream in rows:
            self.engine[stream] = None
            self.num_patches += 1
            stream.on_patch(Spoke(1, 0, self.num_patches, bytes(2), (), b"", False, 0.0))
        if not tried:
            self.engine.clear()

    async def end(self) -> None:
        """Until everybody has had a patch, or is refused."""
        for _ in range(1000):
            if not self.engine and not self.ward.num_waiting:
                return
            if self.engine:
                self.step()
            self.ward.bring_back()
        raise AssertionError(f"expected an end, {self.ward.num_waiting} wait")

    @property
    def refused(self) -> set[int]:
        return {number for number, ear in enumerate(self.ears) if ear.ends == [KILLER]}

    def _open(self, stream: LastingStream, history: History | None) -> Iterator[Stream]:
        if self.is_there:
            self.engine[stream] = stream.trial
            stream.home = self
            yield _Taken()

    def _die(self, rows: Sequence[LastingStream], *, on_trial: bool) -> None:
        self.num_deaths += 1
        self.num_restarts += self._is_mortal
        suspect = Loss(num_suspects=len(rows), on_trial=on_trial)
        lost = list(self.engine) if self._is_mortal else rows
        for stream in lost:
            del self.engine[stream]
        for stream in lost:
            stream.on_lost(suspect if stream in rows else Loss())


@pytest.mark.parametrize("num_streams", [1, 20, 60, 112])
@pytest.mark.parametrize("num_killers", [1, 2, 4, 8])
async def test_so_many_killers_among_any_number_cost_two_more_deaths(num_streams: int, num_killers: int) -> None:
    """And a step for each other stream: nobody else dies of what another says."""
    every = max(1, num_streams // num_killers)
    killers = set(range(every // 2, num_streams, every)[:num_killers])
    court = Court(num_streams, killers)
    await court.end()
    assert court.refused == killers
    assert court.num_deaths == len(killers) + NUM_DEATHS - 1
    assert court.num_steps <= num_streams + len(killers) + NUM_DEATHS
    assert all(bool(ear.patches) == (number not in killers) for number, ear in enumerate(court.ears))


@pytest.mark.parametrize("num_streams", [1, 112])
async def test_after_a_death_by_chance_all_speak_again_after_one_step(num_streams: int) -> None:
    court = Court(num_streams, ())
    court.is_broken = True
    court.step()
    court.is_broken = False
    court.ward.bring_back()
    court.step()
    assert (court.num_deaths, court.num_steps, court.refused) == (1, 2, set())
    assert all(len(ear.patches) == 1 for ear in court.ears)


async def test_those_who_are_not_blamed_come_back_before_suspects() -> None:
    court = Court(4, ())
    first, second, *others = court.streams
    for stream in court.streams:
        del court.engine[stream]
        stream.on_lost(Loss(num_suspects=2, index=0) if stream in (first, second) else Loss())
    court.is_there = False
    court.ward.bring_back()
    assert court.ward.num_waiting == 4
    court.is_there = True
    court.ward.bring_back()
    assert list(court.engine) == [*others, first, second]
    assert [court.engine[stream] for stream in court.streams] == [Trial(1), Trial(1), None, None]


async def test_who_waits_for_its_own_listener_delays_no_verdict_on_another() -> None:
    """It is never tried meanwhile, and so never shows that the engine can speak."""
    court = Court(2, {0})
    court.step()
    court.streams[1].suspend()
    while not court.refused:
        court.ward.bring_back()
        court.step()
    assert (court.refused, court.num_deaths) == ({0}, NUM_DEATHS)


@pytest.mark.parametrize("is_mortal", [False, True])
async def test_nobody_is_refused_while_every_step_fails_for_a_while(is_mortal: bool) -> None:
    """No memory is left, say: nothing shows that anybody's text is why."""
    court = Court(5, (), is_mortal=is_mortal)
    court.is_broken = True
    for _ in range(2 + 5 * (MAX_DEATHS - NUM_DEATHS)):
        court.step()
        court.ward.bring_back()
    assert court.refused == set()
    court.is_broken = False
    await court.end()
    assert court.refused == set()
    assert all(ear.patches for ear in court.ears)


async def test_who_is_tried_first_and_kills_is_refused_once_others_have_spoken() -> None:
    court = Court(20, {0, 1})
    await court.end()
    assert (court.refused, court.num_deaths) == ({0, 1}, NUM_DEATHS + 1 + 2)


async def test_who_makes_steps_raise_is_refused_once_others_have_spoken_meanwhile_or_if_there_are_none() -> None:
    court = Court(20, {0}, is_mortal=False)
    await court.end()
    assert (court.refused, court.num_deaths) == ({0}, NUM_DEATHS + 1)
    alone = Court(1, {0}, is_mortal=False)
    await alone.end()
    assert (alone.refused, alone.num_deaths) == ({0}, MAX_DEATHS)


async def test_who_kills_only_in_company_is_refused_in_the_end_with_that_company() -> None:
    """Nobody can tell who it was: but the engine does not end for ever."""
    court = Court(5, {1, 3}, num_together=2)
    await court.end()
    assert court.num_deaths == MAX_DEATHS_IN_ALL
    assert court.refused == {0, 1, 2, 3, 4}


async def test_who_waits_for_a_verdict_comes_back_by_itself() -> None:
    """The engine only raised: nothing else would tell that it is there."""
    court = Court(2, {0}, is_mortal=False)
    court.step()
    await asyncio.sleep(0.01)
    assert [stream.state for stream in court.streams] == [State.OPEN, State.OPEN]
