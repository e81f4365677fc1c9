"""A tone that learns voices from a folder, and what a client of `/v1/voices` says."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

from models.base import History, SpeechParams
from models.tone import INFO, ToneModel
from models.voice_folder import read_voices
from models.voices import unknown_voice
from streaming_server.voices.preparation import Preparation
from tests.streaming_server.serving import Server, serving

RATE_HZ = 16_000
TRANSCRIPT = "The quick brown fox jumps over the lazy dog."


class LearningTone(ToneModel):
    """Every voice of the folder says the same tone; only names are learnt."""

    def __init__(self, voices: Path) -> None:
        super().__init__()
        self._voices = voices
        self.num_reloads = 0
        self._look()

    def open(
        self, slot: int, generation: int, voice: str, params: SpeechParams, history: History | None = None
    ) -> None:
        if voice not in {each.name for each in self._info.voices}:
            raise unknown_voice(self._info, voice)
        super().open(slot, generation, INFO.default_voice, params, history)

    def reload_voices(self) -> None:
        self.num_reloads += 1
        self._look()

    def _look(self) -> None:
        own = read_voices(self._voices, taken=[INFO.default_voice])
        voices = (*INFO.voices, *(each.voice for each in own.values()))
        self._info = replace(INFO, languages=("en", "zh"), voices=voices, adapters=("soft", "hard"))


@dataclass(frozen=True, slots=True)
class Runs:
    """A preparation that runs some Python on a prompt. What it forgets is told by file and size."""

    code: str
    forgotten: list[tuple[str, int]] = field(default_factory=list)

    def command(self, prompt: Path) -> tuple[str, ...]:
        return (sys.executable, "-S", "-c", self.code, str(prompt))

    def forget(self, prompt: Path) -> None:
        self.forgotten.append((prompt.name, prompt.stat().st_size))


def prints(report: str, *, exit_code: int = 0, wait_s: float = 0.0) -> Runs:
    """A preparation that comes to this; PROMPT in its report is the prompt's path."""
    code = "import sys, time; time.sleep({}); print({!r}.replace('PROMPT', sys.argv[1])); sys.exit({})"
    return Runs(code.format(wait_s, report, exit_code))


def ready() -> Runs:
    return prints('{"key": "k", "num_patches": 3}')


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
