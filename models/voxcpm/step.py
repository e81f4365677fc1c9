"""A step under way: its launches on the device, and the patches that come of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..base import Failure, Patch
from ..engine.runner import Launch
from .slot import VoxCPMSlot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """Slots that were launched together: the launch that tells which stop, and the one that tells their sound."""

    slots: Sequence[VoxCPMSlot]
    begun: Launch
    finished: Launch


class VoxCPMStep:
    """What `VoxCPMModel.submit` gives. Results that needed no step come with it."""

    __slots__ = ("_counted", "_launches", "_results", "_stops")

    def __init__(self, launches: Sequence[Rows], results: list[Patch | Failure]) -> None:
        self._launches = launches
        self._results = results
        self._counted: list[list[tuple[int, int, bool]]] | None = None
        self._stops = {each.slot: each.last for each in results if isinstance(each, Patch)}

    @property
    def is_done(self) -> bool:
        return all(rows.finished.is_done for rows in self._launches)

    def stops(self) -> Mapping[int, bool]:
        if self._counted is None:
            self._counted = []
            for rows in self._launches:
                flags = rows.begun.early().tolist()
                counted = [slot.count(bool(flag)) for slot, flag in zip(rows.slots, flags, strict=True)]
                self._counted.append(counted)
                self._stops |= {slot.number: last for slot, (*_, last) in zip(rows.slots, counted, strict=True)}
        return self._stops

    def patches(self) -> Sequence[Patch | Failure]:
        self.stops()
        assert self._counted is not None
        for rows, counted in zip(self._launches, self._counted, strict=True):
            told = rows.finished.told()
            sound = told["is_sound"].tolist()
            latents, pcm = told["latents"], told["pcm"]
            for row, (slot, (segment, index, last)) in enumerate(zip(rows.slots, counted, strict=True)):
                if not sound[row]:
                    self._results.append(failure(slot, "the voice made no sound out of this text"))
                    continue
                self._results.append(
                    Patch(
                        slot=slot.number,
                        generation=slot.generation,
                        segment=segment,
                        index=index,
                        pcm=pcm[row].numpy().copy(),
                        latents=_raw(latents[row]),
                        last=last,
                    )
                )
        self._launches = ()
        return self._results


def failure(slot: VoxCPMSlot, message: str) -> Failure:
    return Failure(slot=slot.number, generation=slot.generation, message=message)


def _raw(latents: Tensor) -> bytes:
    return latents.numpy().astype("<f4", copy=False).tobytes()
