"""A tone that learns voices from a folder, and how these are made ready. It loads fast: engines are started with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.base import History, SpeechParams
from models.tone import INFO, ToneModel
from models.voice_folder import read_voices
from models.voices import unknown_voice


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
