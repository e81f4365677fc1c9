"""What a listener does: join a run's payloads, decode them, drop the pre-skip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streaming_server.audio.encoder import Payload, RunEncoder
from streaming_server.audio.opus import opus_available
from streaming_server.audio.resample import Pcm

TICK_RATE_HZ = 44100
PATCH_SAMPLES = 7056

needs_libopus = pytest.mark.skipif(not opus_available(), reason="the system has no libopus")


def sine(num_samples: int, *, hz: float = 440, rate: int = TICK_RATE_HZ) -> NDArray[np.float64]:
    """A tone that starts at zero, half of full scale."""
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / rate)


def noise(num_samples: int, seed: int = 1) -> Pcm:
    return np.random.default_rng(seed).integers(-32768, 32768, num_samples).astype(np.int16)


def to_int16(signal: NDArray[np.float64]) -> Pcm:
    return np.rint(signal * 32767).astype(np.int16)


def cut(pcm: Pcm, positions: Iterable[int]) -> list[Pcm]:
    """Pieces between the positions, which may repeat and lie beyond the end."""
    return np.split(pcm, sorted(min(position, len(pcm)) for position in positions))


def patches(pcm: Pcm) -> list[Pcm]:
    return cut(pcm, range(PATCH_SAMPLES, len(pcm), PATCH_SAMPLES))


def payloads(encoder: RunEncoder, pieces: Iterable[Pcm]) -> list[Payload]:
    return [*(encoder.encode(piece) for piece in pieces), encoder.finish()]


def pcm_bytes(encoder: RunEncoder, pieces: Iterable[Pcm]) -> bytes:
    return b"".join(payload for payload in payloads(encoder, pieces) if isinstance(payload, bytes))


def opus_packets(encoder: RunEncoder, pieces: Iterable[Pcm]) -> list[bytes]:
    return [packet for payload in payloads(encoder, pieces) for packet in payload if isinstance(packet, bytes)]


def decode(packets: Sequence[bytes], frame_samples: int) -> NDArray[np.float32]:
    """What libopus makes of the packets, `pre_skip` included; every packet must hold one frame."""
    import opuslib

    decoder = opuslib.Decoder(48000, 1)
    frames = [np.frombuffer(decoder.decode_float(packet, 5760), np.float32) for packet in packets]
    assert {len(frame) for frame in frames} <= {frame_samples}
    return np.concatenate([np.zeros(0, np.float32), *frames])


def snr_db(wanted: NDArray[np.floating], heard: NDArray[np.floating]) -> float:
    """How far the difference lies below the wanted signal."""
    wanted = wanted.astype(np.float64)
    return float(10 * np.log10(np.mean(wanted**2) / np.mean((heard - wanted) ** 2)))
