"""Two steps under way, on a model whose steps take time (`late`): what is heard, and who hears of what goes wrong."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from models.engine import Closed, Failed, warm_up
from models.engine.steps import MAX_FAILED_STEPS
from models.engine.streams import FAILED
from models.tone import CODE_POINT_SAMPLES, INFO, tone_samples

from .late import PATCH, PATCH_S, LateStage

LEAD = 10 * PATCH
LONG = "x" * 400


def num_samples(stage: LateStage, key: int) -> int:
    return sum(len(patch.pcm) for patch in stage.heard[key]) // 2


def assert_heard(stage: LateStage, key: int, num_code_points: int | None = None) -> None:
    """Its own samples from the first on, each once and in order; and so many, if that is known."""
    patches = stage.heard[key]
    assert [patch.index for patch in patches] == list(range(len(patches)))
    pcm = np.frombuffer(b"".join(patch.pcm for patch in patches), "<i2")
    np.testing.assert_array_equal(pcm, tone_samples(key, 0, len(pcm)))
    if num_code_points is not None:
        assert len(pcm) == num_code_points * CODE_POINT_SAMPLES


def test_next_step_is_submitted_before_the_former_ones_patches_are_told() -> None:
    stage = LateStage()
    stage.open(1, LONG, lead=LEAD)
    assert stage.step() is None
    assert len(stage.late.steps) == 1
    for number in range(1, 6):
        step = stage.step()
        assert step is not None
        assert (step.num_rows, len(stage.late.steps), stage.num_patches(1)) == (1, number + 1, number)
        assert step.seconds == pytest.approx(0.01)
        assert len(stage.late.under_way) == 1


def test_device_never_waits_for_the_host_while_there_is_work() -> None:
    """The host needs nearly as long as the device."""
    stage = LateStage(max_slots=40, max_batch=4)
    for key in range(20):
        stage.open(key, LONG, lead=100 * PATCH)
    began_at = stage.now
    for _ in range(101):
        stage.step()
        stage.now += 0.0079
    assert stage.late.busy_s >= 0.99 * (stage.now - began_at - 0.0079)
    assert stage.engine.tempo.rtf == pytest.approx(0.01 / PATCH_S, rel=0.01)


def test_what_is_heard_is_what_was_said_over_segments() -> None:
    stage = LateStage()
    stage.open(1, "four", finish=False, lead=LEAD)
    for text in ("", "a sentence of some length", "x" * 16, "end"):
        stage.say(1, text)
    stage.open(2, "another", lead=None)
    stage.finish(1)
    stage.run()
    assert_heard(stage, 1, 4 + 25 + 16 + 3)
    assert_heard(stage, 2, 7)
    assert [patch.segment for patch in stage.heard[1] if patch.last] == [0, 1, 2, 3, 4]
    assert stage.ends[1] == [Closed(1)]
    assert stage.ends[2] == [Closed(2)]


def test_engine_is_awake_while_a_step_is_under_way_and_sleeps_after_it() -> None:
    stage = LateStage()
    stage.open(1, "x", lead=LEAD, finish=False)
    stage.step()
    assert stage.engine.next_wake() == -inf
    stage.step()
    assert stage.num_patches(1) == 1
    assert stage.engine.next_wake() is None


def test_patch_under_way_counts_into_the_lead() -> None:
    stage = LateStage(step_s=lambda num_rows: 0.05)
    stage.open(1, LONG, lead=4 * PATCH)
    stage.open(2, LONG, lead=4 * PATCH, held=True)
    stage.run(20.0)
    for number, at in enumerate(stage.heard_at[1]):
        assert number * PATCH_S - (at - stage.heard_at[1][0]) <= 4 * PATCH_S + 0.01
    assert stage.underrun_s(1) == 0
    assert stage.num_patches(2) == 4


def test_warming_up_leaves_nothing_under_way() -> None:
    stage = LateStage(max_slots=8, max_batch=7, buckets=(1, 2, 4, 7), step_s=lambda num_rows: 0.004 + 0.001 * num_rows)
    warm_up(stage.engine)
    assert stage.late.under_way == []
    assert stage.engine.num_streams == 0
    assert stage.engine.next_wake() is None
    assert stage.engine.tempo.rtf == pytest.approx(0.005 / PATCH_S, rel=0.05)
    assert {len(step) for step in stage.late.steps} >= {1, 2, 4, 7}


@pytest.mark.parametrize("drops_closed", [True, False])
def test_slot_of_a_cancelled_stream_is_used_while_its_patch_is_under_way(drops_closed: bool) -> None:
    stage = LateStage(max_slots=1, drops_closed=drops_closed)
    stage.open(1, LONG, lead=LEAD)
    for _ in range(3):
        stage.step()
    stage.cancel(1)
    stage.open(2, "xxx", lead=LEAD)
    stage.run()
    assert stage.num_patches(1) == 2
    assert stage.ends[1] == []
    assert_heard(stage, 2, 3)
    assert stage.ends[2] == [Closed(2)]
    assert stage.engine.num_errors == 0


def test_cancel_between_two_steps_of_the_same_stream_drops_both() -> None:
    stage = LateStage(max_slots=2)
    stage.open(1, LONG, lead=LEAD)
    stage.open(2, LONG, lead=LEAD)
    stage.step()
    stage.step()
    stage.cancel(1)
    for _ in range(4):
        stage.step()
    assert stage.num_patches(1) == 1
    assert stage.num_patches(2) == 5
    assert 0 in stage.late.steps[1]


def test_finish_while_the_last_patch_is_under_way_closes_after_it() -> None:
    stage = LateStage()
    stage.open(1, "x", lead=LEAD, finish=False)
    stage.step()
    stage.finish(1)
    assert stage.ends[1] == []
    stage.run()
    assert_heard(stage, 1, 1)
    assert stage.ends[1] == [Closed(1)]


def test_text_that_comes_while_the_last_patch_is_under_way_is_spoken() -> None:
    stage = LateStage()
    stage.open(1, "x", lead=LEAD, finish=False)
    stage.step()
    stage.say(1, "more")
    stage.finish(1)
    stage.run()
    assert_heard(stage, 1, 5)


def test_suspended_stream_gets_the_patch_under_way_and_no_other() -> None:
    stage = LateStage()
    stage.open(1, LONG, lead=LEAD)
    stage.step()
    stage.suspend(1)
    stage.pace(1, 0, None)
    stage.run(5.0)
    assert stage.num_patches(1) == 1
    stage.suspend(1, False)
    stage.pace(1, 0, stage.now)
    stage.run(1.0)
    assert stage.num_patches(1) > 5
    assert_heard(stage, 1)


def test_failed_launch_ends_only_its_own_rows_and_the_step_under_way_is_told(caplog: pytest.LogCaptureFixture) -> None:
    stage = LateStage(max_slots=3, max_batch=2)
    stage.open(1, LONG, lead=LEAD)
    stage.open(2, LONG, lead=LEAD)
    stage.step()
    stage.open(3, "!", lead=LEAD)
    stage.step()
    assert stage.messages(3) == [FAILED]
    others = {key: stage.messages(key) for key in (1, 2)}
    assert sorted(others.values()) == [[], [FAILED]]
    assert (stage.num_patches(1), stage.num_patches(2)) == (1, 1)
    assert "the launch failed" in caplog.text
    stage.run()
    (going_on,) = [key for key in (1, 2) if not others[key]]
    assert_heard(stage, going_on, 400)
    assert not stage.engine.is_broken


@pytest.mark.parametrize("fault", ["^", "%"])
def test_step_that_fails_on_the_device_ends_its_rows_whatever_is_submitted_after_it(fault: str) -> None:
    stage = LateStage(max_slots=4, max_batch=2)
    stage.open(1, "xx" + fault + LONG, lead=LEAD)
    stage.open(2, LONG, lead=LEAD)
    stage.open(3, LONG, lead=LEAD)
    stage.run()
    assert stage.messages(1) == [FAILED]
    for key in (2, 3):
        assert stage.messages(key) in ([FAILED], ["closed"])
        assert_heard(stage, key)
    stage.open(4, "xxx", lead=LEAD)
    stage.run()
    assert_heard(stage, 4, 3)
    assert stage.engine.num_streams == 0
    assert not stage.engine.is_broken


def test_row_that_fails_unforeseen_is_in_no_further_step() -> None:
    stage = LateStage()
    stage.open(1, "xx?" + LONG, lead=LEAD)
    stage.open(2, LONG, lead=LEAD)
    for _ in range(3):
        stage.step()
    assert stage.messages(1) == ["This cannot be said."]
    assert [len(step) for step in stage.late.steps] == [2, 1, 1]
    stage.run()
    assert_heard(stage, 2, 400)
    assert stage.engine.num_errors == 0


def test_stream_whose_stops_were_wrong_fails_instead_of_waiting_for_ever() -> None:
    stage = LateStage()
    stage.open(1, "<" + LONG, lead=LEAD)
    stage.open(2, LONG, lead=LEAD)
    for _ in range(3):
        stage.step()
    assert stage.messages(1) == [FAILED]
    assert stage.engine.num_errors >= 1


@pytest.mark.parametrize("fault", ["!", "^", "%"])
def test_engine_is_broken_when_every_step_fails(fault: str) -> None:
    stage = LateStage()
    for key in range(MAX_FAILED_STEPS):
        assert not stage.engine.is_broken
        stage.open(key, fault, lead=LEAD)
        stage.run()
        assert stage.messages(key) == [FAILED]
    assert stage.engine.is_broken


def test_shutdown_drops_what_is_under_way() -> None:
    stage = LateStage()
    stage.open(1, LONG, lead=LEAD)
    stage.step()
    stage.engine.shutdown()
    assert stage.late.is_shut_down
    assert stage.step() is None
    assert stage.engine.next_wake() is None
    assert stage.heard[1] == []


KEYS = st.integers(0, 9)
TEXTS = st.text("x", max_size=12) | st.sampled_from(["!", "^", "%", "x?", "xxxx?"])


class Overlap(RuleBasedStateMachine):
    """Commands of any sort between steps that are under way: no patch is lost, repeated, out of order or heard after a
    cancel, every stream ends once, and no slot is lost."""

    @initialize(
        max_slots=st.integers(1, 6),
        max_batch=st.integers(1, 4),
        buckets=st.sampled_from([(), (1,), (1, 2), (1, 2, 4), (4,)]),
        step_ms=st.integers(0, 60),
        stops_share=st.floats(0, 1),
        drops_closed=st.booleans(),
    )
    def begin(
        self,
        max_slots: int,
        max_batch: int,
        buckets: tuple[int, ...],
        step_ms: int,
        stops_share: float,
        drops_closed: bool,
    ) -> None:
        self.stage = LateStage(
            max_slots=max_slots,
            max_batch=max_batch,
            buckets=tuple(bucket for bucket in buckets if bucket <= max_batch),
            step_s=lambda num_rows: step_ms / 1000,
            stops_share=stops_share,
            drops_closed=drops_closed,
        )
        self.said: dict[int, list[str]] = {}
        self.finished: set[int] = set()
        self.cancelled: dict[int, int] = {}  # key -> samples heard until then
        self.has_faults = False

    @rule(key=KEYS, session=st.integers(0, 2), lead=st.none() | st.integers(0, 12 * PATCH), held=st.booleans())
    def open(self, key: int, session: int, lead: int | None, held: bool) -> None:
        if key not in self.said:
            self.stage.open(key, session=session, lead=lead, held=held)
            self.said[key] = []

    @rule(key=KEYS, text=TEXTS)
    def say(self, key: int, text: str) -> None:
        self.stage.say(key, text)
        if key in self.said and key not in self.finished and not self.stage.ends[key]:
            self.said[key].append(text)
            self.has_faults |= bool(text.strip("x"))

    @rule(key=KEYS)
    def finish(self, key: int) -> None:
        self.stage.finish(key)
        if key in self.said:
            self.finished.add(key)

    @rule(key=KEYS, patches=st.integers(-1, 20), since_ms=st.none() | st.integers(-500, 500))
    def pace(self, key: int, patches: int, since_ms: int | None) -> None:
        self.stage.pace(key, patches * PATCH, None if since_ms is None else self.stage.now + since_ms / 1000)

    @rule(key=KEYS, suspended=st.booleans())
    def suspend(self, key: int, suspended: bool) -> None:
        self.stage.suspend(key, suspended)

    @rule(key=KEYS)
    def cancel(self, key: int) -> None:
        self.stage.cancel(key)
        if key in self.said and not self.stage.ends[key]:
            self.cancelled.setdefault(key, num_samples(self.stage, key))

    @rule(num_steps=st.integers(1, 5), host_ms=st.integers(0, 80))
    def step(self, num_steps: int, host_ms: int) -> None:
        for _ in range(num_steps):
            self.stage.step()
            self.stage.now += host_ms / 1000

    @rule(pause_ms=st.integers(0, 3000))
    def wait(self, pause_ms: int) -> None:
        self.stage.run(pause_ms / 1000)

    @invariant()
    def what_is_heard_is_what_was_said(self) -> None:
        for key, texts in getattr(self, "said", {}).items():
            assert_heard(self.stage, key)
            ends = self.stage.ends[key]
            assert len(ends) <= 1
            if key in self.cancelled:
                assert num_samples(self.stage, key) == self.cancelled[key]
                assert ends == []
            if ends == [Closed(key)]:
                assert key in self.finished
                assert_heard(self.stage, key, len("".join(texts)))
                assert sum(patch.last for patch in self.stage.heard[key]) == len(texts)

    def teardown(self) -> None:
        """Whoever may go on speaks to its end, and every slot is free again."""
        if not hasattr(self, "stage"):
            return
        stage = self.stage
        for key in self.said:
            stage.finish(key)
            self.finished.add(key)
            stage.suspend(key, False)
            stage.pace(key, 0, stage.now)
        stage.run()
        self.what_is_heard_is_what_was_said()
        for key in self.said:
            if key not in self.cancelled:
                (end,) = stage.ends[key]
                assert isinstance(end, Closed) or (end.busy and not stage.heard[key]) or self.has_faults
        assert stage.engine.num_streams == 0
        assert stage.engine.num_errors == 0 or self.has_faults
        assert stage.late.under_way == []
        if not stage.engine.is_broken:
            stage.open(99, "xy", lead=INFO.sample_rate)
            stage.run()
            assert_heard(stage, 99, 2)
            assert not any(isinstance(end, Failed) for end in stage.ends[99])


Overlap.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestOverlap = Overlap.TestCase
