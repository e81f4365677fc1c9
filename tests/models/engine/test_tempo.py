"""How fast a model is, and what an engine makes of one that is slower than real time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine import Engine, Failed, Tempo, warm_up
from models.engine.engine import SLOW

from .scripted import PATCH, ScriptedModel
from .stage import Stage

PATCH_S = 0.16


def slow_stage(rtf: float = 2.0) -> Stage:
    """Warmed up; a row costs that much, and further ones half of it."""
    stage = Stage(step_s=lambda num_rows: rtf * PATCH_S * (1 + num_rows) / 2)
    warm_up(stage.engine)
    stage.model.steps.clear()
    return stage


def test_nothing_is_known_of_a_model_that_has_not_spoken() -> None:
    tempo = Tempo()
    tempo.took(0.5, 0.0, 1)
    assert (tempo.rtf, tempo.is_slow) == (None, False)


def test_a_slow_model_is_known_by_its_steps_of_one_row() -> None:
    tempo = Tempo()
    for _ in range(20):
        tempo.took(0.4, PATCH_S, 1)
    assert tempo.rtf == pytest.approx(2.5)
    assert tempo.is_slow
    assert tempo.healthy_step_s(PATCH_S) == pytest.approx(20.0)


def test_one_slow_step_is_no_slow_model() -> None:
    tempo = Tempo()
    tempo.took(0.3, PATCH_S, 1)
    assert not tempo.is_slow
    for _ in range(10):
        tempo.took(0.01, PATCH_S, 1)
    tempo.took(0.3, PATCH_S, 1)
    assert not tempo.is_slow


def test_a_model_about_as_fast_as_it_is_heard_stays_what_it_was() -> None:
    for first, expected in ((0.5, False), (2.0, True)):
        tempo = Tempo()
        for _ in range(50):
            tempo.took(first * PATCH_S, PATCH_S, 1)
        for number in range(1000):
            tempo.took((0.98 if number % 2 else 0.92) * PATCH_S, PATCH_S, 1)
            assert tempo.is_slow is expected
    for _ in range(200):
        tempo.took(0.8 * PATCH_S, PATCH_S, 1)
    assert not tempo.is_slow


@given(
    alone=st.floats(0.01, 5.0),
    steps=st.lists(st.tuples(st.integers(1, 16), st.floats(0.0, 1.0)), min_size=1, max_size=60),
)
def test_steps_of_several_rows_never_hide_how_fast_one_is(alone: float, steps: list[tuple[int, float]]) -> None:
    """Whatever the rows of a step share, from all (it costs as one row) to nothing (as so many)."""
    tempo = Tempo()
    tempo.took(alone * PATCH_S, PATCH_S, 1)
    for num_rows, unshared in steps:
        tempo.took(alone * PATCH_S * (1 + unshared * (num_rows - 1)), num_rows * PATCH_S, num_rows)
    assert tempo.rtf == pytest.approx(alone)


def test_a_machine_that_becomes_slow_in_a_crowd_is_found_out() -> None:
    tempo = Tempo()
    for seconds in [0.01] * 50 + [4 * 2.0 * PATCH_S] * 100:
        tempo.took(seconds, 4 * PATCH_S, 4)
    assert tempo.rtf == pytest.approx(2.0, rel=0.3)
    assert tempo.is_slow


def test_the_first_step_of_all_is_not_taken_for_the_speed() -> None:
    costs = iter([30.0])
    stage = Stage(step_s=lambda num_rows: next(costs, 0.5 * PATCH_S))
    warm_up(stage.engine)
    assert stage.engine.tempo.rtf == pytest.approx(0.5)
    assert not stage.engine.tempo.is_slow


def test_a_model_that_says_little_is_measured_over_several_texts() -> None:
    class Terse(ScriptedModel):
        def extend(self, slot: int, text: str) -> None:
            super().extend(slot, text[:2])

    model = Terse()
    warm_up(Engine(model))
    assert len(model.steps) == 7


def test_warming_up_a_model_that_fails_ends() -> None:
    class Broken(ScriptedModel):
        def extend(self, slot: int, text: str) -> None:
            super().extend(slot, "!")

    engine = Engine(Broken())
    warm_up(engine)
    assert engine.tempo.rtf is None
    assert engine.num_streams == 0


def test_a_slow_model_speaks_as_far_ahead_as_there_is_text() -> None:
    stage = slow_stage()
    stage.open(1, "x" * 200, lead=4 * PATCH)
    stage.open(2, "x" * 5, lead=4 * PATCH, session=1, held=True)
    stage.run()
    assert (stage.num_patches(1), stage.num_patches(2)) == (200, 5)


def test_a_fast_model_keeps_to_the_lead() -> None:
    stage = slow_stage(0.1)
    stage.open(1, "x" * 200, lead=4 * PATCH, held=True)
    stage.run()
    assert stage.num_patches(1) == 4


def test_a_slow_model_speaks_one_row_at_a_time_and_first_what_is_heard_first() -> None:
    stage = slow_stage()
    for key in (1, 2, 3):
        stage.open(key, "x" * 6, session=1, held=key > 1)
    stage.run()
    assert stage.model.steps == [[1]] * 6 + [[2]] * 6 + [[3]] * 6


def test_what_comes_first_goes_on_as_soon_as_it_has_text_again() -> None:
    stage = slow_stage()
    stage.open(1, "xx", session=1, finish=False)
    stage.open(2, "x" * 6, session=1)
    for _ in range(4):
        stage.step()
    stage.say(1, "yy")
    stage.run()
    assert stage.model.steps == [[1], [1], [2], [2], [1], [1], [2], [2], [2], [2]]


def test_a_slow_model_speaks_to_one_session() -> None:
    stage = slow_stage()
    stage.open(1, "xxx", session=1)
    stage.open(2, "xxx", session=1)
    stage.open(3, "xxx", session=2)
    stage.open(4, "xxx", session=2, lead=None)
    stage.step()
    assert stage.ends[3] == [Failed(3, SLOW, busy=True)]
    assert stage.ends[4] == [Failed(4, SLOW, busy=True)]
    stage.run()
    assert stage.messages(1) == stage.messages(2) == ["closed"]
    stage.open(5, "xxx", session=2)
    stage.run()
    assert stage.messages(5) == ["closed"]


def test_a_machine_that_recovers_speaks_to_many_again() -> None:
    cost = [2.0]
    stage = Stage(step_s=lambda num_rows: cost[0] * PATCH_S)
    warm_up(stage.engine)
    assert stage.engine.tempo.is_slow
    cost[0] = 0.1
    stage.open(1, "x" * 300, lead=4 * PATCH)
    stage.run(60.0)
    assert not stage.engine.tempo.is_slow
    stage.open(2, "x" * 8)
    stage.run()
    assert stage.messages(1) == stage.messages(2) == ["closed"]
