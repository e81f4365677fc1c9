"""The slots of a model that speaks a segment from its text alone: who holds which, and the text that waits in each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from models.base import Failure, History, ModelError, ModelInfo, Patch, Pcm, SpeechParams, Word

S = TypeVar("S", bound="Slot")


class Slot:
    """One utterance in its slot: the segment that is being written, those sealed and unspoken, and how far speech is.

    At most one segment is spoken at a time; the others wait, in order. `segment`, `index` and `position` count what
    was spoken of the utterance: segments, patches and samples. After a history `position` is where the segment under
    way began, and what of it lies before `heard` is not to be spoken again.
    """

    __slots__ = (
        "_growing",
        "_sealed",
        "_speaking",
        "generation",
        "heard",
        "index",
        "number",
        "params",
        "position",
        "segment",
        "voice",
    )

    def __init__(
        self, number: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        before = history or History()
        self.number = number
        self.generation = generation
        self.voice = voice
        self.params = params
        self.segment = before.segment
        self.index = before.index
        self.position = before.segment_start
        self.heard = before.position
        self._growing: list[str] = []
        self._sealed: deque[str] = deque()
        self._speaking = False

    def extend(self, text: str) -> None:
        self._growing.append(text)

    def seal(self) -> None:
        self._sealed.append("".join(self._growing))
        self._growing.clear()

    @property
    def ready(self) -> bool:
        """Whether there is something to speak: the rest of a segment, or a sealed one."""
        return self._speaking or bool(self._sealed)

    def text(self) -> str | None:
        """The next sealed segment's text where one begins, None in the middle of one. The slot must be ready."""
        if self._speaking:
            return None
        self._speaking = True
        return self._sealed.popleft()

    def patch(self, pcm: Pcm, words: tuple[Word, ...], *, last: bool, latents: bytes = b"") -> Patch:
        """Number the next patch and count it as spoken."""
        segment, index = self.number_patch(last=last)
        self.position += len(pcm)
        return Patch(
            slot=self.number,
            generation=self.generation,
            segment=segment,
            index=index,
            pcm=pcm,
            words=words,
            latents=latents,
            last=last,
        )

    def number_patch(self, *, last: bool) -> tuple[int, int]:
        """The next patch is spoken, or certain to be: its segment and its index."""
        segment, index = self.segment, self.index
        self.index += 1
        if last:
            self.segment += 1
            self._speaking = False
        return segment, index


class SlotTable(Generic[S]):
    """The open slots of one model, by number."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info
        self._slots: dict[int, S] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def open(self, slot: S) -> None:
        """Raises ModelError when the number is out of range or still held."""
        if not 0 <= slot.number < self._info.max_slots:
            raise ModelError(f"A slot from 0 to {self._info.max_slots - 1} was expected, but {slot.number} came.")
        if slot.number in self._slots:
            raise ModelError(f"A free slot was expected, but slot {slot.number} is open.")
        self._slots[slot.number] = slot

    def __getitem__(self, number: int) -> S:
        """Raises ModelError when the slot is not open."""
        try:
            return self._slots[number]
        except KeyError:
            raise ModelError(f"An open slot was expected, but slot {number} is closed.") from None

    def batch(self, numbers: Sequence[int]) -> list[S]:
        """The slots of one step.

        Raises ModelError, before any of them is touched, for more than `max_batch`, a repeated one, a closed one or
        one with nothing to speak.
        """
        if len(numbers) > self._info.max_batch:
            raise ModelError(
                f"At most {self._info.max_batch} slots were expected in one step, but {len(numbers)} came."
            )
        if len(set(numbers)) != len(numbers):
            raise ModelError("Each slot was expected once in a step, but one came twice.")
        slots = [self[number] for number in numbers]
        for slot in slots:
            if not slot.ready:
                raise ModelError(f"A sealed segment was expected in slot {slot.number}, but none waits there.")
        return slots

    def close(self, number: int) -> None:
        """Raises ModelError when the slot is not open."""
        self[number]
        del self._slots[number]

    def clear(self) -> None:
        self._slots.clear()


class SlottedModel(Generic[S]):
    """What `SpeechModel`s have in common whose slots are in a table: text goes to its slot. `open` and `submit` are
    their own."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info
        self._slots: SlotTable[S] = SlotTable(info)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def extend(self, slot: int, text: str) -> None:
        self._slots[slot].extend(text)

    def expect(self, slot: int, text: str) -> None:
        """Nothing is done ahead."""

    def seal(self, slot: int) -> None:
        self._slots[slot].seal()

    def close(self, slot: int) -> None:
        self._slots.close(slot)

    def reload_voices(self) -> None:
        """Its voices are part of it: there are no others to find."""

    def shutdown(self) -> None:
        self._slots.clear()


class Done:
    """A step that was finished when it was submitted."""

    __slots__ = ("_patches",)

    def __init__(self, patches: Sequence[Patch | Failure]) -> None:
        self._patches = patches

    @property
    def is_done(self) -> bool:
        return True

    def stops(self) -> dict[int, bool]:
        return {each.slot: each.last for each in self._patches if isinstance(each, Patch)}

    def patches(self) -> Sequence[Patch | Failure]:
        return self._patches
