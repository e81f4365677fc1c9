"""Any schedule of commands: what each stream hears, and who waits for it."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from models.engine import Closed, Failed, Spoke, warm_up

from .scripted import PATCH
from .stage import Stage

KEYS = st.integers(0, 11)
LEADS = st.none() | st.integers(0, 12 * PATCH)


class Schedule(RuleBasedStateMachine):
    """Commands in any order, also those that make no sense for their stream, between steps and pauses."""

    @initialize(max_slots=st.integers(1, 8), max_batch=st.integers(1, 5), step_ms=st.integers(0, 40))
    def begin(self, max_slots: int, max_batch: int, step_ms: int) -> None:
        self.stage = Stage(max_slots=max_slots, max_batch=max_batch, step_s=lambda num_rows: step_ms / 1000)
        self.texts: dict[int, list[str]] = {}
        self.finished: set[int] = set()
        self.cancelled: dict[int, int] = {}  # key -> patches heard until then

    @rule(key=KEYS, session=st.integers(0, 2), lead=LEADS, held=st.booleans())
    def open(self, key: int, session: int, lead: int | None, held: bool) -> None:
        if key not in self.texts:
            self.stage.open(key, session=session, lead=lead, held=held)
            self.texts[key] = []

    @rule(key=KEYS, length=st.integers(0, 6))
    def say(self, key: int, length: int) -> None:
        self.stage.say(key, "x" * length)
        if key in self.texts and key not in self.finished:
            self.texts[key].append("x" * length)

    @rule(key=KEYS)
    def finish(self, key: int) -> None:
        self.stage.finish(key)
        if key in self.texts:
            self.finished.add(key)

    @rule(key=KEYS, position=st.integers(-100, 3000), since_ms=st.none() | st.integers(-500, 500))
    def pace(self, key: int, position: int, since_ms: int | None) -> None:
        self.stage.pace(key, position, None if since_ms is None else self.stage.now + since_ms / 1000)

    @rule(key=KEYS, suspended=st.booleans())
    def suspend(self, key: int, suspended: bool) -> None:
        self.stage.suspend(key, suspended)

    @rule(key=KEYS)
    def cancel(self, key: int) -> None:
        self.stage.cancel(key)
        if key in self.texts and not self.stage.ends[key]:
            self.cancelled.setdefault(key, self.stage.num_patches(key))

    @rule(num_steps=st.integers(1, 5))
    def step(self, num_steps: int) -> None:
        for _ in range(num_steps):
            self.stage.step()

    @rule(pause_ms=st.integers(0, 3000))
    def wait(self, pause_ms: int) -> None:
        self.stage.run(pause_ms / 1000)

    @invariant()
    def what_is_heard_is_what_was_said(self) -> None:
        for key, texts in getattr(self, "texts", {}).items():
            patches = self.stage.heard[key]
            flat = [
                (segment, place == max(0, len(text) - 1), bool(text))
                for segment, text in enumerate(texts)
                for place in range(max(1, len(text)))
            ]
            heard = [(patch.segment, patch.last, len(patch.pcm) > 0) for patch in patches]
            assert heard == flat[: len(heard)]
            assert [patch.index for patch in patches] == list(range(len(patches)))
            assert len(self.stage.ends[key]) <= 1
            if key in self.cancelled:
                assert len(patches) == self.cancelled[key]
                assert self.stage.ends[key] == []
            if self.stage.ends[key] == [Closed(key)]:
                assert key in self.finished
                assert len(heard) == len(flat)

    def teardown(self) -> None:
        """Whoever may go on speaks to its end, and every slot is free again."""
        if not hasattr(self, "stage"):
            return
        stage = self.stage
        for key in self.texts:
            stage.finish(key)
            self.finished.add(key)
            stage.suspend(key, False)
            stage.pace(key, 0, stage.now)
        stage.run()
        self.what_is_heard_is_what_was_said()
        for key in self.texts:
            if key not in self.cancelled:
                (end,) = stage.ends[key]
                assert isinstance(end, Closed) or (end.busy and not stage.heard[key])
        assert stage.engine.num_streams == 0
        assert stage.engine.num_errors == 0
        stage.open(99, "xy")
        stage.run()
        assert stage.messages(99) == ["closed"]


Schedule.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestSchedule = Schedule.TestCase


@given(
    seed=st.integers(0, 2**32 - 1),
    min_lead=st.integers(2, 6),
    max_lead=st.integers(6, 25),
    num_background=st.integers(0, 6),
)
@settings(max_examples=10, deadline=None)
def test_nobody_runs_dry_below_capacity(seed: int, min_lead: int, max_lead: int, num_background: int) -> None:
    """A step takes 6 ms and 1.25 ms a row: 8 rows in 16 ms, 80 listeners. 60 come and go, alone or in crowds, in
    sessions of any size, with some background work."""
    draw = random.Random(seed)
    stage = Stage(max_slots=100, max_batch=8, step_s=lambda num_rows: 0.006 + 0.00125 * num_rows)
    warm_up(stage.engine)
    for key in range(num_background):
        stage.open(1000 + key, "x" * 2000, lead=None, session=key % 2)

    def come(key: int) -> None:
        text, lead = "x" * draw.randint(1, 40), draw.randint(min_lead, max_lead) * PATCH
        stage.open(key, text, lead=lead, session=draw.randint(0, 9) if draw.random() < 0.5 else 100 + key)

    for key, at in stage.hold_open_house(draw, 60, 12.0, come).items():
        assert stage.messages(key) == ["closed"]
        assert stage.underrun_s(key) < 1e-9
        assert stage.heard_at[key][0] - at < 0.25


def test_every_end_is_told_once_whatever_the_model_does() -> None:
    """Random trouble: what is over is over, the others hear all, and no slot that closes is lost."""
    draw = random.Random(7)
    for _ in range(60):
        stage = Stage(max_slots=6, max_batch=3)
        texts = {key: "".join(draw.choices("xxxxxxxx!?0<&%", k=draw.randint(0, 8))) for key in range(12)}
        for key, text in texts.items():
            stage.open(key, text)
            stage.run(draw.random())
        stage.run()
        for key, text in texts.items():
            assert len(stage.ends[key]) == 1
            end = stage.ends[key][0]
            assert isinstance(end, Closed | Failed)
            assert all(isinstance(event, Spoke) for event in stage.heard[key])
            assert [event.index for event in stage.heard[key]] == list(range(stage.num_patches(key)))
            if isinstance(end, Closed):
                assert stage.num_patches(key) == max(1, len(text))
        assert stage.engine.num_streams == 0
        for key in range(20, 26):
            stage.open(key, "x")
        stage.run()
        assert [stage.messages(key) for key in range(20, 26)] == [["closed"]] * 6
