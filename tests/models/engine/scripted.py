"""A model that speaks a patch for each character, and misbehaves where the text says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.base import Failure, History, ModelError, ModelInfo, Patch, SpeechParams, UnknownVoice, Voice
from models.slots import Done, Slot, SlottedModel

RATE_HZ = 1000
PATCH = 160  # samples: 160 ms

STEP_RAISES = "!"
FAILS = "?"  # this slot alone
IS_SILENT = "0"  # no result for this slot
COMES_LATE = "<"  # and before it a patch of the slot's former owner
EXTEND_REFUSES = "&"
EXTEND_RAISES = "%"
IS_NOT_A_NUMBER = "~"
CLOSE_RAISES = "^"  # once such a character is spoken


class _Script(Slot):
    __slots__ = ("broken", "rest")

    def __init__(self, number: int, generation: int, voice: str, params: SpeechParams, history: History | None) -> None:
        super().__init__(number, generation, voice, params, history)
        self.rest = ""
        self.broken = False


class ScriptedModel(SlottedModel[_Script]):
    """`spend` is told the rows of each step, to let time pass; `acts` are done when their character is spoken.

    A patch's samples are all its seed, but for the first, which is its index.
    """

    def __init__(
        self,
        *,
        max_slots: int = 8,
        max_batch: int = 4,
        spend: Callable[[int], None] = lambda num_rows: None,
        acts: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        super().__init__(
            ModelInfo(
                name="scripted",
                sample_rate=RATE_HZ,
                patch_samples=PATCH,
                languages=("*",),
                voices=(Voice(name="actor", language="und"),),
                default_voice="actor",
                max_slots=max_slots,
                max_batch=max_batch,
            )
        )
        self._spend = spend
        self._acts = acts or {}
        self.steps: list[list[int]] = []
        """The seeds of each step's slots, in the order in which they were submitted."""
        self.is_shut_down = False

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if voice == "crash":
            raise RuntimeError("the voice file is torn")
        if voice != "actor":
            raise UnknownVoice(f"The voice 'actor' was expected, but {voice!r} came.")
        self._slots.open(_Script(slot, generation, voice, params, history))

    def extend(self, slot: int, text: str) -> None:
        if EXTEND_REFUSES in text:
            raise ModelError("A text without & was expected.")
        if EXTEND_RAISES in text:
            raise RuntimeError("the tokeniser crashed")
        super().extend(slot, text)

    def expect(self, slot: int, text: str) -> None:
        self._slots[slot]

    def submit(self, slots: Sequence[int]) -> Done:
        batch = self._slots.batch(slots)
        self.steps.append([slot.params.seed for slot in batch])
        return Done(self.speak(batch))

    def close(self, slot: int) -> None:
        broken = self._slots[slot].broken
        super().close(slot)
        if broken:
            raise RuntimeError("the slot does not close")

    def shutdown(self) -> None:
        super().shutdown()
        self.is_shut_down = True

    def speak(self, batch: Sequence[_Script]) -> list[Patch | Failure]:
        self._spend(len(batch))
        results: list[Patch | Failure] = []
        for slot in batch:
            results += self._speak(slot)
        return results

    def _speak(self, slot: _Script) -> list[Patch | Failure]:
        text = slot.text()
        if text is not None:
            slot.rest = text[max(0, slot.heard - slot.position) // PATCH :]
            slot.position = max(slot.position, slot.heard)
        character, slot.rest = slot.rest[:1], slot.rest[1:]
        if character in self._acts:
            self._acts[character]()
        pcm = np.full(PATCH if character else 0, slot.params.seed, np.int16)
        pcm[:1] = slot.index
        index = slot.index
        match character:
            case "!":
                raise RuntimeError("the step crashed")
            case "?":
                return [Failure(slot=slot.number, generation=slot.generation, message="This cannot be said.")]
            case "0":
                return []
            case "~":
                pcm = np.full(PATCH, np.nan).view()  # type: ignore[assignment]
            case "<":
                late = Patch(
                    slot=slot.number, generation=slot.generation - 1, segment=0, index=index, pcm=pcm, last=True
                )
                return [late, slot.patch(pcm, (), last=not slot.rest)]
            case "^":
                slot.broken = True
        return [slot.patch(pcm, (), last=not slot.rest)]
