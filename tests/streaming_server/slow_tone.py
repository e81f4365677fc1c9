"""The tone on a machine that is too slow for it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from models.slots import Done
from models.tone import PATCH_SAMPLES, SAMPLE_RATE, ToneModel


class SlowTone(ToneModel):
    """A step takes `rtf` seconds for each second of a full patch, and as much for each further row if `each`."""

    def __init__(self, rtf: float, *, each: bool = False) -> None:
        super().__init__()
        self.rtf = rtf
        self._each = each

    def submit(self, slots: Sequence[int]) -> Done:
        time.sleep(self.rtf * (len(slots) if self._each else 1) * PATCH_SAMPLES / SAMPLE_RATE)
        return super().submit(slots)
