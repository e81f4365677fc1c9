"""Streams on trial have steps to themselves, and a witness knows what is under way; on a model that overlaps steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from models.base import SpeechParams
from models.engine import (
    Engine,
    Extend,
    Failed,
    Fault,
    Finish,
    NoWitness,
    Open,
    Pace,
    Phase,
    Reading,
    Seal,
    Spoke,
    StreamKey,
    Trial,
)
from models.engine.streams import FAILED

from .late import PATCH, PATCHES_RAISE, STOPS_RAISE, SUBMIT_RAISES, LateStage

LONG = "x" * 400


class Notebook(NoWitness):
    """Writes everything down, and knows what is under way."""

    def __init__(self) -> None:
        self.steps: list[tuple[Phase, list[tuple[StreamKey, int]], bool]] = []
        self.under_way: dict[int, list[StreamKey]] = {}
        self.neighbours: list[tuple[bool, int]] = []  # of each step: on trial, and steps under way beside it
        self.commands: list[StreamKey] = []
        self.faults: list[Fault] = []

    def begins_command(self, phase: Phase, stream: StreamKey) -> None:
        self.commands.append(stream)

    def begins_step(self, number: int, phase: Phase, rows: Iterable[tuple[StreamKey, int]], *, on_trial: bool) -> None:
        rows = list(rows)
        assert number == len(self.steps) + 1
        self.neighbours.append((on_trial, len(self.under_way)))
        self.steps.append((phase, rows, on_trial))
        self.under_way[number] = [key for key, _ in rows]

    def ends_step(self, number: int) -> None:
        del self.under_way[number]

    def fault(self, kind: Fault) -> None:
        self.faults.append(kind)


@contextmanager
def witnessed() -> Iterator[tuple[LateStage, Notebook]]:
    """At the end nothing is under way that was not told to be over."""
    stage, notebook = LateStage(), Notebook()
    stage.engine = Engine(stage.late, clock=lambda: stage.now, witness=notebook)
    yield stage, notebook
    stage.run()
    assert not notebook.under_way


def try_stream(stage: LateStage, key: int, text: str, *, num_on_trial: int, is_alone: bool = False) -> None:
    trial = Trial(num_on_trial, is_alone) if num_on_trial else None
    opened = Open(key, key, "actor", SpeechParams(seed=key), 10 * PATCH, trial=trial)
    stage.tell(opened, Extend(key, text), Seal(key), Finish(key))


def test_who_is_on_trial_shares_no_step_and_no_device_with_others() -> None:
    with witnessed() as (stage, notebook):
        for key in (1, 2):
            stage.open(key, LONG, lead=100 * PATCH)
        stage.step()
        stage.step()
        for key in (3, 4):
            try_stream(stage, key, LONG, num_on_trial=2)
        stage.run(0.2)
        trials = [[key for key, _ in rows] for _, rows, on_trial in notebook.steps if on_trial]
        assert trials == [[3, 4], [3, 4]]
        assert [num for on_trial, num in notebook.neighbours if on_trial] == [0, 0]
        after = notebook.neighbours[1 + max(n for n, (on_trial, _) in enumerate(notebook.neighbours) if on_trial) :]
        assert after[0] == (False, 0)
        assert (False, 1) in after
        assert min(stage.num_patches(key) for key in (1, 2, 3, 4)) > 2


def test_who_is_tried_alone_has_a_step_without_anybody_and_others_speak_between_trials() -> None:
    with witnessed() as (stage, notebook):
        stage.open(1, LONG, lead=100 * PATCH)
        for key in (2, 3, 4):
            try_stream(stage, key, LONG, num_on_trial=1, is_alone=key > 2)
        try_stream(stage, 5, LONG, num_on_trial=1)
        stage.run(0.2)
        assert [[key for key, _ in rows] for _, rows, on_trial in notebook.steps if on_trial] == [[2, 5], [3], [4]]
        assert [on_trial for _, _, on_trial in notebook.steps[:6]] == [False, True] * 3


def test_no_trial_begins_while_suspects_arrive() -> None:
    """Those who may be together are tried in one step, however long their openings take."""
    with witnessed() as (stage, notebook):
        for key in (1, 2, 3):
            try_stream(stage, key, LONG, num_on_trial=1)
            stage.step()
        stage.run(0.2)
        assert [sorted(key for key, _ in rows) for _, rows, on_trial in notebook.steps if on_trial] == [[1, 2, 3]]


def test_a_witness_knows_the_phase_the_patch_and_both_steps_under_way() -> None:
    with witnessed() as (stage, notebook):
        stage.open(1, LONG, lead=100 * PATCH)
        for _ in range(3):
            stage.step()
        phases = [(phase, rows) for phase, rows, _ in notebook.steps]
        assert phases == [(Phase.PREFILL, [(1, 0)]), (Phase.DECODE, [(1, 1)]), (Phase.DECODE, [(1, 2)])]
        assert notebook.neighbours == [(False, 0), (False, 1), (False, 1)]
        assert len(notebook.under_way) == 1
        assert set(notebook.commands) == {1}


def test_a_command_that_the_model_does_not_hear_of_is_not_written_down() -> None:
    """It cannot be what killed, and there are ten a second of each listener."""
    with witnessed() as (stage, notebook):
        stage.open(1, LONG, lead=100 * PATCH)
        notebook.commands.clear()
        stage.suspend(1)
        stage.tell(Pace(1, Reading(0, stage.now)))
        stage.suspend(1, False)
        assert not notebook.commands
        stage.cancel(1)
        assert notebook.commands == [1]


def test_someone_who_is_far_ahead_is_tried_all_the_same_and_nobody_who_is_suspended() -> None:
    with witnessed() as (stage, _):
        stage.open(1, LONG, lead=PATCH, held=True)
        stage.run(1.0)
        num_patches = stage.num_patches(1)
        opened = Open(2, 2, "actor", SpeechParams(seed=2), 0, held=True, trial=Trial(3))
        stage.tell(opened, Extend(2, LONG), Seal(2))
        stage.suspend(2)
        stage.run(1.0)
        assert stage.num_patches(2) == 0
        stage.suspend(2, False)
        stage.run(1.0)
        assert stage.num_patches(2) == 3
        assert stage.num_patches(1) == num_patches
        stage.cancel(1)
        stage.cancel(2)


@pytest.mark.parametrize("raises", [SUBMIT_RAISES, STOPS_RAISE, PATCHES_RAISE])
@pytest.mark.parametrize("on_trial", [False, True])
def test_all_of_a_step_that_raises_are_suspects_and_nobody_else(raises: str, on_trial: bool) -> None:
    with witnessed() as (stage, notebook):
        stage.open(1, LONG, lead=100 * PATCH)
        for _ in range(12):
            stage.step()
        stage.suspend(1)
        for key, text in ((2, LONG), (3, raises)):
            try_stream(stage, key, text, num_on_trial=int(on_trial))
        stage.run(1.0)
        wanted = {"num_suspects": 2, "on_trial": on_trial}
        assert stage.ends[2] == [Failed(2, FAILED, **wanted)]  # type: ignore[arg-type]
        assert stage.ends[3] == [Failed(3, FAILED, **wanted)]  # type: ignore[arg-type]
        assert notebook.faults == [Fault.RAISED]
        stage.suspend(1, False)
        stage.run()
        assert stage.messages(1) == ["closed"]
        assert isinstance(stage.heard[1][-1], Spoke)
