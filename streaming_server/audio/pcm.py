"""PCM payloads: `pcm_s16le` and `pcm_f32le`, at the model's rate or resampled."""

from __future__ import annotations

from typing import Literal

from streaming_server.audio.resample import Pcm, Resampler, Signal, to_pcm, to_signal

PCM_RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)

PcmCodec = Literal["pcm_s16le", "pcm_f32le"]


class NativePcm:
    """PCM at the model's rate: every message holds exactly its ticks, bit for bit; nothing is ever held back."""

    pre_skip = 0
    passthrough = True

    def __init__(self, codec: PcmCodec) -> None:
        self._is_float = codec == "pcm_f32le"
        self.is_identity = not self._is_float

    def encode(self, pcm: Pcm) -> bytes:
        if self._is_float:
            return to_signal(pcm).astype("<f4", copy=False).tobytes()
        return pcm.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        return b""


class ResampledPcm:
    """PCM at another rate. A payload lags its ticks by what the filter holds back; `finish` brings that."""

    pre_skip = 0
    is_identity = False
    passthrough = False

    def __init__(self, codec: PcmCodec, *, sample_rate: int, model_rate: int) -> None:
        self._is_float = codec == "pcm_f32le"
        self._resampler = Resampler(model_rate, sample_rate, "HQ")

    def encode(self, pcm: Pcm) -> bytes:
        return self._to_bytes(self._resampler.resample(pcm))

    def finish(self) -> bytes:
        return self._to_bytes(self._resampler.finish())

    def _to_bytes(self, signal: Signal) -> bytes:
        if self._is_float:
            return signal.astype("<f4", copy=False).tobytes()
        return to_pcm(signal).astype("<i2", copy=False).tobytes()
