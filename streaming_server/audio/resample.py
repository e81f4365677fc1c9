"""Another sample rate for one stream of speech, with the state carried from piece to piece.

soxr in float: its int16 path dithers, so there the cuts of the input would show in the output. In float any cutting
gives the same samples, and output sample n lies exactly at input time n / ratio: the filter's delay only holds samples
back for a while, it never shifts them. One patch of 7056 samples costs 15 to 35 us.

What is held back at the live edge, in ms (after the first 160 ms patch / the most ever), 44100 Hz to

    rate      8000      16000      22050      24000      48000     pass band
    HQ      28 / 77    25 / 39     9 / 38    23 / 38    11 / 21    flat to 0.91 of the smaller Nyquist frequency
    LQ      38 / 43    17 / 21    11 / 22     4 / 20   0.5 / 0.5   -2 dB at 0.8, -20 dB at 0.9

The most is soxr's block size, not the filter's length, so LQ wins little below 48 kHz and there it dulls speech audibly
(telephony ends at 3.2 instead of 3.6 kHz). Hence HQ for every PCM rate: the first message is 9 to 28 ms shorter, and
nothing comes later. To 48 kHz LQ holds back next to nothing and is flat to 16 kHz: right for live Opus.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""Mono samples, shape [samples]."""

Signal = NDArray[np.float32]
"""Mono samples, full scale 1.0, shape [samples]; overshoot is possible."""

Quality = Literal["HQ", "LQ"]

FULL_SCALE = 32768


def to_signal(pcm: Pcm) -> Signal:
    """The same samples as floats; exact, since 16 bits fit a float's 24."""
    return pcm.astype(np.float32) / np.float32(FULL_SCALE)


def to_pcm(signal: Signal) -> Pcm:
    """Rounded to the nearest sample value; what overshoots is saturated."""
    scaled = np.rint(signal * np.float32(FULL_SCALE))
    pcm: Pcm = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return pcm


class Resampler:
    """One stream, from `in_hz` to `out_hz`. T samples in, ceil(T * out_hz / in_hz) out, once `finish` has been called.

    Used by one thread at a time; soxr releases the GIL. `finish` ends it.
    """

    def __init__(self, in_hz: int, out_hz: int, quality: Quality = "HQ") -> None:
        self._in_hz = in_hz
        self._out_hz = out_hz
        self._stream = None if in_hz == out_hz else soxr.ResampleStream(in_hz, out_hz, 1, "float32", quality)
        self._num_in = 0
        self._num_out = 0

    def resample(self, pcm: Pcm) -> Signal:
        """What is ready after this piece; possibly nothing."""
        self._num_in += len(pcm)
        signal = to_signal(pcm)
        if self._stream is not None:
            signal = self._stream.resample_chunk(signal)
        self._num_out += len(signal)
        return signal

    def finish(self) -> Signal:
        """What was held back."""
        if self._stream is None or self._num_in == 0:
            return np.zeros(0, np.float32)
        # soxr rounds the total to the nearest sample, the protocol rounds it up: one more output sample's worth of
        # silence goes in, and what that yields beyond the total is cut.
        total = -(-self._num_in * self._out_hz // self._in_hz)
        silence = np.zeros(-(-self._in_hz // self._out_hz), np.float32)
        held: Signal = self._stream.resample_chunk(silence, last=True)[: total - self._num_out]
        return held
