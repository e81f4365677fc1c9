"""What turns one run of an utterance into payloads, and how to open one for the format a client asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from streaming_server.audio.opus import (
    OPUS_FRAMES_MS,
    OPUS_MAX_BITRATE,
    OPUS_MIN_BITRATE,
    OPUS_RATE_HZ,
    OpusEncoder,
    opus_available,
)
from streaming_server.audio.pcm import PCM_RATES_HZ, NativePcm, ResampledPcm
from streaming_server.audio.resample import Pcm

Payload = bytes | tuple[bytes, ...]
"""PCM bytes (`audio.data`), or raw Opus packets (`audio.packets`)."""


class UnsupportedFormat(Exception):
    """The audio format is not served; the message is one sentence that says what is."""


class RunEncoder(Protocol):
    """One run (PROTOCOL.md, "Runs"): patches in, payloads out, in order, with the coder's state carried between them.

    Used by one thread at a time. Joined, and without the first `pre_skip` samples, the payloads cover exactly the
    run's ticks: rounded up to one sample for PCM, cut at the last packet's padding for Opus.
    """

    @property
    def pre_skip(self) -> int:
        """Samples at the codec's rate that the listener drops at the start of the run; 0 for PCM."""
        ...

    @property
    def is_identity(self) -> bool:
        """`encode` gives what it gets, as little-endian int16: whoever has that may leave it out."""
        ...

    @property
    def passthrough(self) -> bool:
        """`encode` only copies: call it where you are, an executor would cost more than it does."""
        ...

    def encode(self, pcm: Pcm) -> Payload:
        """What is ready after these samples (model rate); may be empty, and may lag them by the coder's delay."""
        ...

    def finish(self) -> Payload:
        """The tail; empty if nothing was held back. The encoder is spent."""
        ...


def supported_codecs() -> tuple[str, ...]:
    """The codecs served on this machine: Opus only where the system has libopus."""
    pcm = ("pcm_s16le", "pcm_f32le")
    return (*pcm, "opus") if opus_available() else pcm


def open_encoder(codec: str, *, sample_rate: int, bitrate: int, frame_ms: int, model_rate: int) -> RunEncoder:
    """An encoder for a new run, with fresh state: 0.2 ms and 0.2 MB at most, so nothing is pooled.

    Rates in Hz, `bitrate` in bit/s; `bitrate` and `frame_ms` count for Opus only. Raises UnsupportedFormat.
    """
    match codec:
        case "pcm_s16le" | "pcm_f32le" if sample_rate == model_rate:
            return NativePcm(codec)
        case "pcm_s16le" | "pcm_f32le":
            if sample_rate not in PCM_RATES_HZ:
                raise UnsupportedFormat(f"{codec} sample_rate must be {_any_of(PCM_RATES_HZ)} Hz, not {sample_rate}")
            return ResampledPcm(codec, sample_rate=sample_rate, model_rate=model_rate)
        case "opus" if opus_available():
            if sample_rate != OPUS_RATE_HZ:
                raise UnsupportedFormat(f"opus sample_rate must be {OPUS_RATE_HZ} Hz, not {sample_rate}")
            if not OPUS_MIN_BITRATE <= bitrate <= OPUS_MAX_BITRATE:
                raise UnsupportedFormat(
                    f"opus bitrate must be {OPUS_MIN_BITRATE} to {OPUS_MAX_BITRATE} bit/s, not {bitrate}"
                )
            if frame_ms not in OPUS_FRAMES_MS:
                raise UnsupportedFormat(f"opus frame_ms must be {_any_of(OPUS_FRAMES_MS)}, not {frame_ms}")
            return OpusEncoder(bitrate=bitrate, frame_ms=frame_ms, model_rate=model_rate)
        case "opus":
            raise UnsupportedFormat(
                f"codec must be {_any_of(supported_codecs())}, not opus: libopus is not installed on this server"
            )
        case _:
            raise UnsupportedFormat(f"codec must be {_any_of(supported_codecs())}, not {codec}")


def _any_of(values: Iterable[object]) -> str:
    *head, last = map(str, values)
    return f"{', '.join(head)} or {last}"
