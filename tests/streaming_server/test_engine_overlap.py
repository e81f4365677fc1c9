"""The engine's thread with a device that works beside it: a tone whose steps are made in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from models.base import Failure, Patch, SpeechParams
from models.engine import Cancel, Closed, Engine, Event, Extend, Finish, Open, Seal, Spoke, Step
from models.tone import ToneModel, tone_samples
from streaming_server.engine_thread import EngineThread

STEP_S = 0.004


class Device:
    """One step after the other; `hold` keeps the present one from being over."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.hold = threading.Event()
        self.hold.set()
        self.num_at_once = self.most_at_once = 0

    def start(self, results: Sequence[Patch | Failure]) -> UnderWay:
        self.num_at_once += 1
        self.most_at_once = max(self.most_at_once, self.num_at_once)
        early = threading.Event()
        return UnderWay(self, early, self.pool.submit(self._work, early), results)

    def _work(self, early: threading.Event) -> None:
        time.sleep(STEP_S / 4)
        early.set()
        time.sleep(3 * STEP_S / 4)
        assert self.hold.wait(30)


class UnderWay:
    def __init__(
        self, device: Device, early: threading.Event, done: Future[None], results: Sequence[Patch | Failure]
    ) -> None:
        self._device = device
        self._early = early
        self._done = done
        self._results = results

    @property
    def is_done(self) -> bool:
        return self._done.done()

    def stops(self) -> Mapping[int, bool]:
        assert self._early.wait(30)
        return {each.slot: each.last for each in self._results if isinstance(each, Patch)}

    def patches(self) -> Sequence[Patch | Failure]:
        self._done.result(30)
        self._device.num_at_once -= 1
        return self._results


class DeviceTone(ToneModel):
    def __init__(self) -> None:
        super().__init__()
        self.device = Device()

    def submit(self, slots: Sequence[int]) -> UnderWay:  # type: ignore[override]  # another form of Pending
        return self.device.start(super().submit(slots).patches())

    def shutdown(self) -> None:
        super().shutdown()
        self.device.pool.shutdown()


def say(thread: EngineThread, key: int, text: str, lead: int | None = None) -> None:
    opened = Open(key, key, "tone", SpeechParams(seed=key), lead)
    thread.post((opened, Extend(key, text), Seal(key), Finish(key)))


def soon(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    assert condition()


def test_listeners_hear_all_while_two_steps_are_under_way() -> None:
    model, steps = DeviceTone(), list[Step]()
    thread = EngineThread(Engine(model), steps.append, lambda: None)

    def events() -> list[Event]:
        return [event for step in steps for event in step.events]

    thread.start()
    try:
        for key in range(6):
            say(thread, key, "x" * (20 + key))
            time.sleep(STEP_S)
        thread.post([Cancel(5)])
        soon(lambda: sum(isinstance(event, Closed) for event in events()) == 5)
    finally:
        thread.stop()
    for key in range(5):
        pcm = b"".join(event.pcm for event in events() if isinstance(event, Spoke) and event.stream == key)
        np.testing.assert_array_equal(np.frombuffer(pcm, "<i2"), tone_samples(key, 0, (20 + key) * 3087))
    assert model.device.most_at_once == 2
    assert thread.num_errors == 0


def test_device_that_hangs_is_seen() -> None:
    model = DeviceTone()
    thread = EngineThread(Engine(model), lambda step: None, lambda: None)
    thread.start()
    try:
        say(thread, 1, "x" * 1000)
        soon(lambda: model.device.most_at_once == 2)
        model.device.hold.clear()
        soon(lambda: thread.step_age_s > 0.1)
        model.device.hold.set()
        thread.post([Cancel(1)])
        soon(lambda: thread.step_age_s == 0.0)
    finally:
        model.device.hold.set()
        thread.stop()
    assert not thread.is_alive
