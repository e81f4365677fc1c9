"""Raw Opus packets through opuslib: 48 kHz mono, one encoder a run.

How it is set (libopus 1.3.1, 32 kbit/s, 20 ms; CPU of one 160 ms patch on one core of an AMD EPYC; SNR of 11 s of
recorded speech and of a 440 Hz sine):

    application audio, complexity  0    0.12 ms   17.6 dB   29.8 dB
                                   3    0.21 ms   17.0 dB
                                   5    0.28 ms   18.2 dB   33.4 dB    chosen
                                  10    1.59 ms   14.5 dB   27.1 dB    the analyser turns speech over to the hybrid mode
    application voip               5    0.88 ms              7.8 dB    its high-pass filter shifts the phase

250 listeners are 1563 patches a second: half a core at complexity 5 (0.33 ms with resampling), 2.5 cores at 10.
Below 24 kbit/s a thin link is served better by the speech coder, told by the voice hint: at 20 kbit/s the noise over
the masking threshold falls from 9.7 to 9.3 dB (espeak's voice: 10.5 to 8.2 dB), for three times the CPU.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from ctypes.util import find_library
from types import ModuleType

import numpy as np

from streaming_server.audio.resample import Pcm, Quality, Resampler, Signal

OPUS_RATE_HZ = 48000
OPUS_FRAMES_MS = (10, 20, 40)
OPUS_MIN_BITRATE = 6000
OPUS_MAX_BITRATE = 128000

LIVE_COMPLEXITY = 5
FILE_COMPLEXITY = 10
"""One stream with nobody waiting for it."""

_VOICE_HINT_BELOW_BITRATE = 24000
_SOURCE_BITS = 16


@functools.cache
def opus_available() -> bool:
    """Whether the system has libopus, looked up once: the search starts a process, so ask before the first listener.

    opuslib's own import looks in the same way, and raises a bare Exception where nothing is found.
    """
    return find_library("opus") is not None


@functools.cache
def _import_opuslib() -> ModuleType:
    """opuslib, when the first run needs it: at the top of this file it would fail where the system has no libopus."""
    with warnings.catch_warnings():
        # Where nobody has compiled it yet, 3.0.1 greets with SyntaxWarnings about its own `is not 0`.
        warnings.simplefilter("ignore", SyntaxWarning)
        return importlib.import_module("opuslib")


class OpusEncoder:
    """One run. Drop `pre_skip` samples of the decoded packets, and sample n lies at tick n * model_rate / 48000.

    `pre_skip` is the encoder's own look-ahead; the resampler shifts nothing. Packets are whole frames; what does not
    fill one waits for the next patch or for `finish`.

    Every frame gives up the GIL and has to get it back: beside a thread that never rests a patch takes 1 to 42 ms of
    wall time (at worst eight times the 5 ms switch interval) instead of 0.3. So encode in two threads. An overloaded
    event loop on 2 shared cores (250 listeners in bursts of 64, 0.3 ms of its own work a patch) was 75 to 434 ms
    behind after 4 s with two, 411 to 896 ms with one (p99, eight alternating runs each; two won every pair). At 0.15 ms
    a patch there was no difference.
    """

    is_identity = False
    passthrough = False

    def __init__(
        self,
        *,
        bitrate: int,
        frame_ms: int,
        model_rate: int,
        complexity: int = LIVE_COMPLEXITY,
        quality: Quality = "LQ",
    ) -> None:
        opuslib = _import_opuslib()
        self._encoder = opuslib.Encoder(OPUS_RATE_HZ, 1, opuslib.APPLICATION_AUDIO)
        self._encoder.bitrate = bitrate
        self._encoder.complexity = complexity
        self._encoder.lsb_depth = _SOURCE_BITS
        if bitrate < _VOICE_HINT_BELOW_BITRATE:
            self._encoder.signal = opuslib.SIGNAL_VOICE
        self.pre_skip: int = self._encoder.lookahead
        self.frame_samples = OPUS_RATE_HZ * frame_ms // 1000
        self.num_samples = 0
        """Samples at 48 kHz taken so far, without the look-ahead: after `finish`, what the decoder is to keep."""
        self._resampler = Resampler(model_rate, OPUS_RATE_HZ, quality)
        self._waiting: Signal = np.zeros(0, np.float32)

    def encode(self, pcm: Pcm) -> tuple[bytes, ...]:
        signal = self._resampler.resample(pcm)
        self.num_samples += len(signal)
        return self._encode(signal)

    def finish(self) -> tuple[bytes, ...]:
        """The tail, and silence behind it so that the look-ahead does not swallow the last samples."""
        tail = self._resampler.finish()
        self.num_samples += len(tail)
        if self.num_samples == 0:
            return ()
        num_left = len(self._waiting) + len(tail) + self.pre_skip
        silence = np.zeros(self.pre_skip + -num_left % self.frame_samples, np.float32)
        return self._encode(np.concatenate((tail, silence)))

    def _encode(self, signal: Signal) -> tuple[bytes, ...]:
        signal = np.concatenate((self._waiting, signal))
        num_frames = len(signal) // self.frame_samples
        self._waiting = signal[num_frames * self.frame_samples :]
        frames = signal[: num_frames * self.frame_samples].reshape(num_frames, self.frame_samples)
        return tuple(self._encoder.encode_float(frame.tobytes(), self.frame_samples) for frame in frames)
