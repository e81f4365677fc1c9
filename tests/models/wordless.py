"""A model that knows when its words sound, and does not tell: as a neural voice, but with the truth at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.base import Failure, History, ModelInfo, Patch, SpeechModel, SpeechParams, Word
from models.slots import Done


class Wordless:
    """`withheld`: the words of all that was spoken, in order."""

    def __init__(self, model: SpeechModel) -> None:
        self._model = model
        self.withheld: list[Word] = []

    @property
    def info(self) -> ModelInfo:
        return replace(self._model.info, words="estimated")

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        self._model.open(slot, generation, voice, params, history)

    def extend(self, slot: int, text: str) -> None:
        self._model.extend(slot, text)

    def expect(self, slot: int, text: str) -> None:
        self._model.expect(slot, text)

    def seal(self, slot: int) -> None:
        self._model.seal(slot)

    def submit(self, slots: Sequence[int]) -> Done:
        return Done([self._withhold(result) for result in self._model.submit(slots).patches()])

    def close(self, slot: int) -> None:
        self._model.close(slot)

    def reload_voices(self) -> None:
        self._model.reload_voices()

    def shutdown(self) -> None:
        self._model.shutdown()

    def _withhold(self, result: Patch | Failure) -> Patch | Failure:
        if isinstance(result, Failure):
            return result
        self.withheld += result.words
        return replace(result, words=())
