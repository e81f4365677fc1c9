"""Speech as a row of frames, 10 ms each: how loud it is, and how hissing, as `models.word_times` compares it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16] | NDArray[np.float32]
Frames = NDArray[np.float32]
"""[frames, 3]: level, hiss and brightness in dB, as `SoundFrames` explains."""

FRAME_MS = 10

_BANDS_HZ = ((100, 900), (900, 3_000), (3_000, 8_000))  # voice and first formant; second formant; hiss
_FLOOR = 1e-9  # -90 dB of full scale: silence has no timbre


class SoundFrames:
    """Takes speech as it is made. A frame looks 5 ms back and 15 ms ahead of its beginning.

    Level: dB of full scale. Hiss: the band above 3 kHz against what is below. Brightness: 900 to 3000 Hz against what
    is below.
    """

    def __init__(self, sample_rate: int) -> None:
        self.hop = max(1, sample_rate * FRAME_MS // 1000)
        size = 2 * self.hop
        self._window = np.hanning(size).astype(np.float32)
        bins_hz = np.fft.rfftfreq(size, 1 / sample_rate)
        self._bands = np.stack([(low <= bins_hz) & (bins_hz < high) for low, high in _BANDS_HZ], axis=1)  # [bins, 3]
        self._bands = (self._bands * (8 / 3 / size**2)).astype(np.float32)  # to mean squares, the window's share undone
        self._rest = np.zeros(self.hop // 2, np.float32)

    def push(self, pcm: Samples, last: bool) -> Frames:
        """The frames that are complete; with `last` those too that reach beyond the end."""
        samples = pcm.astype(np.float32)
        if pcm.dtype == np.int16:
            samples /= 32_768
        self._rest = np.concatenate((self._rest, np.nan_to_num(samples)))
        if last:
            self._rest = np.concatenate((self._rest, np.zeros(2 * self.hop - self.hop // 2 - 1, np.float32)))
        num_frames = max(0, len(self._rest) // self.hop - 1)
        if not num_frames:
            return np.empty((0, 3), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, 2 * self.hop)[:: self.hop]  # [frames, size]
        self._rest = self._rest[num_frames * self.hop :]
        spectrum = np.fft.rfft(windows * self._window, axis=1).astype(np.complex64)  # [frames, bins]
        power = spectrum.real**2 + spectrum.imag**2
        low, middle, high = (power @ self._bands).T + np.float32(_FLOOR)
        voice = low + middle
        frames: Frames = 10 * np.log10(np.stack((voice + high, high / voice, middle / low), axis=1))
        return frames
