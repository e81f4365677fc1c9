"""A server whose model learns voices, and what a client of `/v1/voices` says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

from streaming_server.voices.preparation import Preparation
from tests.streaming_server.learning_tone import LearningTone, ready
from tests.streaming_server.serving import Server, serving

RATE_HZ = 16_000
TRANSCRIPT = "The quick brown fox jumps over the lazy dog."


def learning(
    voices: Path, *, preparation: Preparation | None = None, **settings: Any
) -> AbstractAsyncContextManager[Server]:
    """A server whose model learns voices in that folder."""
    return serving(LearningTone(voices), preparation=preparation or ready(), voices_dir=voices, **settings)


def http(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.http_url, timeout=30)


def speech(seconds: float = 3.0, *, rate_hz: int = RATE_HZ, peak: float = 0.5, seed: int = 0) -> NDArray[np.float32]:
    """Noise that swells four times a second, as syllables do. [samples]"""
    num_samples = round(seconds * rate_hz)
    noise = np.random.default_rng(seed).uniform(-peak, peak, num_samples)
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * np.arange(num_samples) / rate_hz)
    return (noise * swell).astype(np.float32)


def sound_file(
    samples: Sequence[float] | NDArray[Any], *, rate_hz: int = RATE_HZ, format: str = "WAV", subtype: str | None = None
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


def fields(**changes: str | None) -> dict[str, str]:
    """Of a form that is complete; None leaves one out."""
    form = {
        "name": "Anna",
        "language": "en",
        "transcript": TRANSCRIPT,
        "licence": "CC-BY-4.0",
        "consent": "Anna agrees.",
        **changes,
    }
    return {field: value for field, value in form.items() if value is not None}


async def add(client: httpx.AsyncClient, audio: bytes | None = None, **changes: str | None) -> httpx.Response:
    """Upload a voice that is sound but for what is changed."""
    audio = sound_file(speech()) if audio is None else audio
    return await client.post("/v1/voices", data=fields(**changes), files={"audio": ("prompt.wav", audio)})


async def names(client: httpx.AsyncClient) -> dict[str, bool]:
    """Voices as they are listed -> whether they may be removed."""
    listing = (await client.get("/v1/voices")).json()
    return {voice["name"]: voice["removable"] for voice in listing["voices"]}


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def top_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
