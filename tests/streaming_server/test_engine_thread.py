from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.base import History, SpeechParams
from models.engine import Cancel, Closed, Engine, Extend, Failed, Finish, Open, Seal, Spoke, Step
from models.engine.steps import MAX_FAILED_STEPS
from streaming_server.engine_thread import EngineThread
from tests.models.engine.scripted import ScriptedModel


def soon(condition: Callable[[], bool]) -> None:
    """The machine may be busy."""
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    assert condition()


class Run:
    """A started thread and what it delivered."""

    def __init__(self, model: ScriptedModel) -> None:
        self.steps: list[Step] = []
        self.num_ends = 0
        self.thread = EngineThread(Engine(model), self.steps.append, self._end)
        self.thread.start()

    def _end(self) -> None:
        self.num_ends += 1

    def say(self, key: int, text: str, lead: int | None = None) -> None:
        commands = (Open(key, key, "actor", SpeechParams(seed=key), lead), Extend(key, text), Seal(key), Finish(key))
        self.thread.post(commands)

    @property
    def ends(self) -> list[object]:
        return [event for step in self.steps for event in step.events if isinstance(event, Closed | Failed)]

    def wait(self, num_ends: int) -> None:
        soon(lambda: len(self.ends) == num_ends)


@contextmanager
def running(model: ScriptedModel) -> Iterator[Run]:
    run = Run(model)
    try:
        yield run
    finally:
        run.thread.stop()


def test_thread_steps_as_long_as_there_is_work_and_then_sleeps() -> None:
    model = ScriptedModel()
    with running(model) as run:
        for key in range(3):
            run.say(key, "abcdef")
        run.wait(3)
        time.sleep(0.05)
        assert run.thread.step_age_s == 0.0
        assert sum(isinstance(event, Spoke) for step in run.steps for event in step.events) == 18
        cpu_s = time.process_time()
        time.sleep(0.2)
        assert time.process_time() - cpu_s < 0.1
    assert model.is_shut_down
    assert not run.thread.is_alive
    assert run.num_ends == 1


def test_thread_speaks_when_the_listener_needs_it() -> None:
    with running(ScriptedModel()) as run:
        run.say(1, "abcd", lead=1)
        run.wait(1)
        first, *others = [step.started_at for step in run.steps]
        assert all(at - first > 0.15 * number for number, at in enumerate(others, 1))
        assert others[-1] - first < 10


def test_thread_ends_when_every_step_fails() -> None:
    model = ScriptedModel()
    with running(model) as run:
        for key in range(MAX_FAILED_STEPS):
            run.say(key, "!")
            run.wait(key + 1)
        soon(lambda: not run.thread.is_alive)
        assert run.thread.is_broken
        assert run.num_ends == 1
        assert model.is_shut_down
        assert run.thread.num_errors == MAX_FAILED_STEPS


def test_those_who_speak_are_heard_while_a_crowd_arrives() -> None:
    """Obeying the crowd to its last command would take half a second."""
    opened = threading.Event()

    class SlowToOpen(ScriptedModel):
        def open(
            self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
        ) -> None:
            time.sleep(0.005)
            super().open(slot, generation, voice, params, history)
            num_steps.append(len(run.steps))
            opened.set()

    with running(SlowToOpen(max_slots=200)) as run:
        num_steps: list[int] = []
        run.say(1, "x" * 10_000)
        assert opened.wait(30)
        run.thread.post([Open(key, key, "actor", SpeechParams(), None) for key in range(2, 102)])
        soon(lambda: len(num_steps) == 101)
        assert num_steps[-1] - num_steps[1] > 10, "steps while they were obeyed"


def test_step_that_hangs_is_seen_and_does_not_hold_up_who_posts() -> None:
    hanging, release = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        release.wait(30)

    with running(ScriptedModel(acts={"H": hang})) as run:
        run.say(1, "H")
        assert hanging.wait(30)
        time.sleep(0.05)
        run.thread.post([Cancel(1)])
        assert run.thread.step_age_s >= 0.05
        release.set()
        soon(lambda: run.thread.step_age_s == 0.0)
