"""Models by name. Each is imported when it is asked for, so that one needs nothing of another's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from models.base import ModelError, ModelOptions, SpeechModel

SERVED_ARCHITECTURES: frozenset[str] = frozenset()
"""`architecture` in a checkpoint's config.json, of those that can be loaded."""


def known_models() -> tuple[str, ...]:
    """The models that come with the code, best first; a checkpoint directory is the other way to name one."""
    return ("espeak", "tone")


def find_checkpoint(directory: Path) -> Path | None:
    """The first folder in `directory` that holds a checkpoint of an architecture that is served."""
    checkpoints = (path.parent for path in sorted(directory.glob("*/config.json")))
    return next((path for path in checkpoints if _architecture(path) in SERVED_ARCHITECTURES), None)


def load_model(name_or_dir: str, options: ModelOptions | None = None) -> SpeechModel:
    """The model of that name, or the one whose checkpoint lies in that directory, loaded with `options`.

    Raises ModelError for an unknown name, a directory without `config.json`, an architecture that is not served, and
    a model whose library is missing.
    """
    match name_or_dir:
        case "espeak":
            from models.espeak import EspeakModel

            return EspeakModel()
        case "tone":
            from models.tone import ToneModel

            return ToneModel()
    names = " or ".join(repr(name) for name in known_models())
    directory = Path(name_or_dir)
    if not directory.is_dir():
        raise ModelError(f"The model {names} or a checkpoint directory was expected, but {name_or_dir!r} came.")
    if not (directory / "config.json").is_file():
        raise ModelError(f"A checkpoint with a config.json was expected, but the directory {name_or_dir!r} has none.")
    raise ModelError(f"No checkpoint is served yet, whatever its architecture; use the model {names}.")


def voice_preparation(name_or_dir: str, options: ModelOptions, prompt: Path) -> tuple[str, ...] | None:
    """The command that makes a voice's recording ready before `reload_voices` finds it; None without voices to add.

    It prints one JSON line: `{"key": ..., "num_patches": ...}`, or `{"error": sentence}` with exit code 2.
    """
    if options.voices is None or options.cache is None or _architecture(Path(name_or_dir)) not in SERVED_ARCHITECTURES:
        return None
    return (sys.executable, "-P", "-m", "models.voxcpm.encode", name_or_dir, str(prompt), str(options.cache))


def _architecture(checkpoint: Path) -> str | None:
    try:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    architecture = config.get("architecture") if isinstance(config, dict) else None
    return architecture if isinstance(architecture, str) else None
