"""A tone that learns voices, in an engine that is in trouble where a text says so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from models.base import Failure, ModelOptions, Patch, SpeechModel
from models.slots import Done
from streaming_server import engine_host
from tests.streaming_server.learning_tone import LearningTone


def _raise(error: Exception) -> None:
    raise error


TROUBLE: dict[str, Callable[[], None]] = {
    "KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "EXIT": lambda: os._exit(3),
    "HANG": lambda: time.sleep(600),
    "RAISE": lambda: _raise(RuntimeError("the step is broken")),
    "MEMORY": lambda: _raise(MemoryError()),
}
"""In the first step of a segment that holds the word."""

NUM_SLOTS = 48
"""Few enough to be filled after each fault."""

UNSOUND = "UNSOUND"
"""Every patch of a slot with a text that holds it is no sound; others' are."""


class TroubledTone(LearningTone):
    def __init__(self, voices: Path) -> None:
        super().__init__(voices)
        self._due: dict[int, Callable[[], None]] = {}
        self._unsound: set[int] = set()

    def _look(self) -> None:
        super()._look()
        self._info = replace(self._info, max_slots=NUM_SLOTS)

    def extend(self, slot: int, text: str) -> None:
        super().extend(slot, text)
        for word, act in TROUBLE.items():
            if word in text:
                self._due[slot] = act
        if UNSOUND in text:
            self._unsound.add(slot)

    def submit(self, slots: Sequence[int]) -> Done:
        for slot in slots:
            if slot in self._due:
                self._due.pop(slot)()
        return Done([self._spoilt(each) for each in super().submit(slots).patches()])

    def close(self, slot: int) -> None:
        self._due.pop(slot, None)
        self._unsound.discard(slot)
        super().close(slot)

    def _spoilt(self, patch: Patch | Failure) -> Patch | Failure:
        if patch.slot not in self._unsound:
            return patch
        return Failure(slot=patch.slot, generation=patch.generation, message="expected numbers, got NaN")


def load(name: str, options: ModelOptions) -> SpeechModel:
    assert options.voices is not None
    return TroubledTone(options.voices)


if __name__ == "__main__":
    engine_host.main(load)
