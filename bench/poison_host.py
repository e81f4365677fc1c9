"""The tone in an engine that is killed by a text: by the first patch of a second segment, where one holds the word."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from models.base import ModelOptions, Patch, SpeechModel
from models.slots import Done
from models.tone import ToneModel
from streaming_server import engine_host

POISON = "POISON"


class PoisonedTone(ToneModel):
    def __init__(self) -> None:
        super().__init__()
        self._deadly: set[int] = set()

    def extend(self, slot: int, text: str) -> None:
        super().extend(slot, text)
        if POISON in text:
            self._deadly.add(slot)

    def submit(self, slots: Sequence[int]) -> Done:
        done = super().submit(slots)
        if any(isinstance(each, Patch) and each.segment and each.slot in self._deadly for each in done.patches()):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def close(self, slot: int) -> None:
        self._deadly.discard(slot)
        super().close(slot)


def load(name: str, options: ModelOptions) -> SpeechModel:
    return PoisonedTone()


if __name__ == "__main__":
    engine_host.main(load)
