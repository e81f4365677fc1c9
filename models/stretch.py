"""A model that cannot change its speed, with a stretch behind it that can.

Each segment is stretched by itself, so that what is heard is a function of the text, never of when it came: a stretch
that ran on over a segment's end would have to wait there for text. At speed 1 nothing is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from struct import Struct

import numpy as np

from models.base import Failure, History, ModelError, ModelInfo, Patch, Pcm, Pending, SpeechModel, SpeechParams
from models.stretcher import MAX_SPEED, MIN_SPEED, Stretcher

_TAIL = Struct("<qqhi")
"""Of a patch's latents: the segment's start and how much of it is heard, in the model's samples; the last sample that
was heard; and how many samples of the model, which stand before this, are not heard yet."""


class StretchedModel:
    """Wraps a model whose `info.speed` is "none". A patch of the model is a patch here: longer, shorter, or empty.

    Its words are estimated, from what is heard: that is stretched already.
    """

    def __init__(self, model: SpeechModel) -> None:
        """Raises ValueError for a model that has a speed already, or tells words, which would not be in place."""
        if model.info.speed != "none":
            raise ValueError(f"A model without a speed was expected, but that of {model.info.name!r} is in place.")
        if model.info.words == "exact":
            raise ValueError(f"A model whose words are estimated was expected, but {model.info.name!r} tells its own.")
        self._model = model
        self._own_info = model.info
        self._info = _with_speed(model.info)
        self._slots: dict[int, _StretchedSlot] = {}  # those whose speed is not 1

    @property
    def info(self) -> ModelInfo:
        if self._model.info is not self._own_info:  # voices were loaded
            self._own_info = self._model.info
            self._info = _with_speed(self._own_info)
        return self._info

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if not MIN_SPEED <= params.speed <= MAX_SPEED:
            raise ModelError(f"A speed from {MIN_SPEED} to {MAX_SPEED} was expected, but {params.speed} came.")
        if params.speed == 1:
            self._model.open(slot, generation, voice, params, history)
            return
        stretched = _StretchedSlot(generation, Stretcher(self._info.sample_rate, params.speed))
        heard = None if history is None else stretched.resume(history)
        self._model.open(slot, generation, voice, replace(params, speed=1.0), heard)
        self._slots[slot] = stretched

    def extend(self, slot: int, text: str) -> None:
        self._model.extend(slot, text)

    def expect(self, slot: int, text: str) -> None:
        self._model.expect(slot, text)

    def seal(self, slot: int) -> None:
        self._model.seal(slot)

    def submit(self, slots: Sequence[int]) -> Pending:
        return _StretchedStep(self._model.submit(slots), self._slots)

    def close(self, slot: int) -> None:
        self._slots.pop(slot, None)
        self._model.close(slot)

    def reload_voices(self) -> None:
        self._model.reload_voices()

    def shutdown(self) -> None:
        self._slots.clear()
        self._model.shutdown()


class _StretchedSlot:
    """One utterance's stretcher, and where its segment began in the model's samples.

    A patch's latents get a tail, so that the utterance can be opened again after it: the samples of the model that are
    not heard yet (4 KB), and where they lie.
    """

    __slots__ = ("generation", "start", "stretcher", "unheard")

    def __init__(self, generation: int, stretcher: Stretcher) -> None:
        self.generation = generation
        self.stretcher = stretcher
        self.start = 0
        self.unheard: Pcm = np.empty(0, np.int16)  # before the next patch, from the former opening

    def stretch(self, patch: Patch) -> Patch:
        pcm = self.stretcher.push(np.concatenate((self.unheard, patch.pcm)))
        self.unheard = self.unheard[:0]
        if patch.last and not self.stretcher.num_taken:  # a segment without sound leaves nothing to the next
            return patch
        if patch.last:
            self.start += self.stretcher.num_taken
            pcm = np.concatenate((pcm, self.stretcher.finish()))
        pending = self.stretcher.pending
        num_heard = self.stretcher.num_taken - len(pending)
        tail = _TAIL.pack(self.start, num_heard, self.stretcher.last_given, len(pending))
        return replace(patch, pcm=pcm, latents=patch.latents + pending.tobytes() + tail)

    def resume(self, history: History) -> History:
        """Go on after what was heard; the same history in the model's own samples."""
        earlier = [_split(each) for each in history.earlier]
        before = [_split(each) for each in history.before]
        latents = [_split(each) for each in history.latents]
        parts = latents or before
        if not parts:
            return history
        _, self.start, num_heard, last_heard, self.unheard = parts[-1]
        self.stretcher.begin(num_heard, history.position - history.segment_start, last_heard)
        return replace(
            history,
            segment_start=self.start,
            position=self.start + num_heard + len(self.unheard),
            earlier=tuple(own for own, *_ in earlier if own),
            before=tuple(own for own, *_ in before if own),
            latents=tuple(own for own, *_ in latents if own),
        )


class _StretchedStep:
    """A step of the model under way, to be stretched when it is there."""

    __slots__ = ("_pending", "_slots")

    def __init__(self, pending: Pending, slots: dict[int, _StretchedSlot]) -> None:
        self._pending = pending
        self._slots = slots

    @property
    def is_done(self) -> bool:
        return self._pending.is_done

    def stops(self) -> Mapping[int, bool]:
        return self._pending.stops()

    def patches(self) -> Sequence[Patch | Failure]:
        return [self._stretched(result) for result in self._pending.patches()]

    def _stretched(self, result: Patch | Failure) -> Patch | Failure:
        slot = self._slots.get(result.slot)
        if slot is None or slot.generation != result.generation or isinstance(result, Failure):
            return result  # as it is, or nobody's any more
        return slot.stretch(result)


def _with_speed(info: ModelInfo) -> ModelInfo:
    """It is offered only where it can be had."""
    return replace(info, speed="stretch" if find_spec("audiotsm") else "none")


def _split(latents: bytes) -> tuple[bytes, int, int, int, Pcm]:
    """What a patch carries: the model's own latents, the numbers of `_TAIL`, and the samples that are not heard yet.

    Raises ModelError for latents that no stretched patch carried.
    """
    own = latents[: -_TAIL.size]
    if len(own) + _TAIL.size == len(latents):
        *numbers, num_pending = _TAIL.unpack(latents[len(own) :])
        cut = len(own) - 2 * num_pending
        if 0 <= cut <= len(own):
            return own[:cut], *numbers, np.frombuffer(own[cut:], np.int16)
    raise ModelError("A history of stretched speech was expected, but latents without its tail came.")
