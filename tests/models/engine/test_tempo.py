"""How fast a model is, and what an engine makes of one that is slower than real time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import History
from models.engine import FULL, SLOW, Engine, Tempo, warm_up
from models.engine.scheduler import AHEAD_S
from models.engine.warming import MAX_UTTERANCES

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
    unshared=st.floats(0.0, 1.0),
    steps=st.lists(st.integers(1, 8), min_size=1, max_size=200),
)
def test_steps_of_several_rows_never_hide_how_fast_one_is(alone: float, unshared: float, steps: list[int]) -> None:
    """Whatever the rows of a step share, from all (it costs as one row) to nothing (as so many)."""
    tempo = Tempo()
    tempo.took(alone * PATCH_S, PATCH_S, 1)
    for num_rows in steps:
        tempo.took(alone * PATCH_S * (1 + unshared * (num_rows - 1)), num_rows * PATCH_S, num_rows)
    assert tempo.rtf == pytest.approx(alone)


def test_a_few_quick_steps_of_a_crowd_do_not_make_one_listener_quicker() -> None:
    """One step in five is a long one, for one as for two."""
    tempo = Tempo()
    for number in range(60):
        tempo.took((1.95 if number % 5 == 0 else 0.95) * PATCH_S, PATCH_S, 1)
        tempo.took((2.0 if number % 5 == 0 else 1.0) * PATCH_S, 2 * PATCH_S, 2)
    for number in range(600):
        tempo.took((2.0 if number % 5 == 0 else 1.0) * PATCH_S, 2 * PATCH_S, 2)
    assert tempo.rtf == pytest.approx(1.15, rel=0.1)


def test_a_machine_that_slows_down_is_as_slow_for_one_as_for_two() -> None:
    tempo = Tempo()
    for _ in range(20):
        tempo.took(0.4 * PATCH_S, PATCH_S, 1)
        tempo.took(0.48 * PATCH_S, 2 * PATCH_S, 2)
    for _ in range(120):
        tempo.took(1.38 * PATCH_S, 2 * PATCH_S, 2)
    assert tempo.rtf == pytest.approx(1.15, rel=0.15)
    assert tempo.is_slow


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
    engine = Engine(model)
    warm_up(engine)
    assert len(model.steps) == 2 * MAX_UTTERANCES + 2 + 2
    assert {len(step) for step in model.steps} == {1, 2, 4}


@pytest.mark.parametrize("most", [1, 3, None])
def test_warming_up_tries_a_crowd_as_far_as_asked(most: int | None) -> None:
    stage = Stage(max_slots=8, max_batch=6, step_s=lambda num_rows: 0.01)
    warm_up(stage.engine, max_listeners=most)
    sizes = {len(step) for step in stage.model.steps}
    assert sizes == {1: {1}, 3: {1, 2, 3}, None: {1, 2, 4, 6}}[most]
    assert stage.engine.tempo.capacity == pytest.approx(0.9 * 0.16 / 0.01 * max(sizes))


def test_warming_up_a_model_that_fails_ends() -> None:
    class Broken(ScriptedModel):
        def extend(self, slot: int, text: str) -> None:
            super().extend(slot, "!")

    engine = Engine(Broken())
    warm_up(engine)
    assert engine.tempo.rtf is None
    assert engine.num_streams == 0


def test_a_slow_model_speaks_far_ahead() -> None:
    stage = slow_stage()
    stage.open(1, "x" * 200, lead=4 * PATCH)
    stage.open(2, "x" * 5, lead=4 * PATCH, session=1, held=True)
    stage.run()
    assert (stage.num_patches(1), stage.num_patches(2)) == (200, 5)


def test_a_slow_model_waits_for_a_listener_who_is_far_behind() -> None:
    stage = slow_stage()
    stage.open(1, "x" * 3000, lead=4 * PATCH, held=True)
    stage.run()
    assert stage.num_patches(1) == AHEAD_S / PATCH_S
    stage.pace(1, 100 * PATCH, None)
    stage.run()
    assert stage.num_patches(1) == AHEAD_S / PATCH_S + 100


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
    assert stage.reasons(3) == stage.reasons(4) == [SLOW]
    stage.run()
    assert stage.messages(1) == stage.messages(2) == ["closed"]
    stage.open(5, "xxx", session=2)
    stage.run()
    assert stage.messages(5) == ["closed"]


def test_when_a_machine_turns_slow_nobody_falls_silent() -> None:
    """Those who speak share it, each to its end; then the last is alone, and first come first served again."""
    cost = [0.2]
    stage = Stage(step_s=lambda num_rows: cost[0] * PATCH_S * (1 + num_rows) / 2)
    warm_up(stage.engine)
    for key in (1, 2, 3):
        stage.open(key, "x" * 100 * key, lead=4 * PATCH)
    stage.run(2.0)
    cost[0] = 2.0
    stage.run(30.0)
    assert stage.engine.tempo.is_slow
    stage.open(4, "x")
    stage.open(5, "x", session=3)
    heard = {key: stage.num_patches(key) for key in (1, 2, 3)}
    stage.run(10.0)
    grown = [stage.num_patches(key) - heard[key] for key in (1, 2, 3)]
    assert min(grown) >= 10
    assert max(grown) - min(grown) <= 2
    assert stage.reasons(4) == stage.reasons(5) == [SLOW]
    stage.run()
    assert stage.messages(1) == stage.messages(2) == stage.messages(3) == ["closed"]


def test_a_paused_listener_is_worked_for_once_the_others_are_gone() -> None:
    cost = [0.2]
    stage = Stage(step_s=lambda num_rows: cost[0] * PATCH_S)
    warm_up(stage.engine)
    stage.open(1, "x" * 100, lead=4 * PATCH, held=True)
    stage.open(2, "x" * 400, lead=4 * PATCH)
    cost[0] = 2.0
    stage.run(30.0)
    assert stage.num_patches(1) == 4
    stage.cancel(2)
    stage.run()
    assert stage.num_patches(1) == 100


def loaded_stage(alone: float, *, most: int = 4) -> Stage:
    """Warmed up; a further row costs half of what the first does."""
    stage = Stage(max_batch=most, step_s=lambda num_rows: alone * PATCH_S * (1 + num_rows) / 2)
    warm_up(stage.engine)
    return stage


@pytest.mark.parametrize(("alone", "capacity"), [(0.8, 1), (0.5, 2), (0.3, 4), (0.1, 14)])
def test_no_more_are_let_in_than_the_model_keeps_up_with(alone: float, capacity: int) -> None:
    stage = loaded_stage(alone)
    for key in range(1, 8):
        stage.open(key, "x" * 200, lead=4 * PATCH)
    stage.run(1.0)
    refused = [key for key in range(1, 8) if stage.ends[key]]
    assert refused == list(range(capacity + 1, 8))
    assert all(stage.reasons(key) == [FULL] for key in refused)
    stage.run()
    assert all(stage.underrun_s(key) == 0 for key in range(1, min(capacity, 7) + 1))


def test_a_full_model_takes_what_asks_for_no_more_time() -> None:
    """Background work, and utterances that wait for another of their session."""
    stage = loaded_stage(0.8)
    stage.open(1, "x" * 20, session=1)
    stage.open(2, "x" * 8, session=1, held=True)
    stage.open(3, "x" * 20, session=2, lead=None)
    stage.open(4, "x" * 20, session=3)
    stage.open(5, "x" * 20, session=1)
    stage.run()
    assert [stage.messages(key) for key in range(1, 4)] == [["closed"]] * 3
    assert stage.reasons(4) == stage.reasons(5) == [FULL]
    stage.open(6, "x" * 20, session=3)
    stage.run()
    assert stage.messages(6) == ["closed"]


def test_a_crowd_of_a_quick_model_is_let_in() -> None:
    """A thousand listeners, and another process that takes the machine for a second."""
    costs = iter([1.0])
    stage = Stage(max_slots=1000, max_batch=112, step_s=lambda num_rows: 0.0002 + 0.00005 * num_rows)
    warm_up(stage.engine)
    for key in range(1000):
        stage.open(key, "x" * 30, lead=2 * PATCH)
        if key % 100 == 0:
            stage.run(0.01)
            stage.now += next(costs, 0.0)
    stage.run()
    assert all(stage.messages(key) == ["closed"] for key in range(1000))
    tempo = stage.engine.tempo
    capacity = tempo.capacity
    tempo.took(1.0, 10 * PATCH_S, 10)
    assert tempo.capacity == pytest.approx(capacity, rel=0.3)


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


def test_who_was_let_in_before_its_engine_was_lost_is_let_in_again() -> None:
    """Though nothing of it may have been heard, and a newcomer is refused."""
    stage = slow_stage()
    stage.open(1, "xxx", session=1)
    stage.open(2, "xxx", session=2, history=History())
    stage.open(3, "xxx", session=3)
    stage.run()
    assert stage.messages(1) == stage.messages(2) == ["closed"]
    assert stage.reasons(3) == [SLOW]
