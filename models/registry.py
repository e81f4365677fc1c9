"""Models by name. Each is imported when it is asked for, so that one needs nothing of another's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from models.base import ModelError, ModelOptions, SpeechModel, adapter_name
from models.voxcpm.config import ARCHITECTURES, read_config
from models.voxcpm.preparation import VoicePreparation

SERVED_ARCHITECTURES = frozenset(ARCHITECTURES)
"""`architecture` in a checkpoint's config.json, of those that can be loaded."""

VOXCPM_PACKAGES = ("torch", "safetensors", "tokenizers")
"""What a checkpoint needs, and the embedded voice does not."""


def known_models() -> tuple[str, ...]:
    """The models that come with the code, best first; a checkpoint directory is the other way to name one."""
    return ("espeak", "tone")


def find_checkpoint(directory: Path) -> Path | None:
    """The first folder in `directory` that holds a checkpoint of an architecture that is served."""
    checkpoints = (path.parent for path in sorted(directory.glob("*/config.json")))
    return next((path for path in checkpoints if _architecture(path) in SERVED_ARCHITECTURES), None)


def load_model(name_or_dir: str, options: ModelOptions | None = None) -> SpeechModel:
    """The model of that name, or the one whose checkpoint lies in that directory, loaded with `options`.

    Raises ModelError for an unknown name, a directory without `config.json`, an architecture that is not served, a
    checkpoint with something missing or wrong, and a model whose library is missing.
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
    read_config(directory)  # what cannot be served is refused before torch is loaded
    require_voxcpm_packages()
    from models.stretch import StretchedModel
    from models.voxcpm.model import load_speech_model

    return StretchedModel(load_speech_model(directory, options or ModelOptions()))


def require_voxcpm_packages() -> None:
    """Raises ModelError, with the command that installs them, where the packages a checkpoint needs are missing."""
    missing = [name for name in VOXCPM_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"A checkpoint needs the packages {', '.join(VOXCPM_PACKAGES)}, but {', '.join(missing)} is not installed: "
            "pip install '.[voxcpm]' in the folder of this program."
        )


def voice_preparation(name_or_dir: str, options: ModelOptions) -> VoicePreparation | None:
    """What a voice's recording needs before `reload_voices` finds it, and after; None where no voice can be added."""
    if options.voices is None or options.cache is None or not (Path(name_or_dir) / "config.json").is_file():
        return None
    adapters = tuple(map(adapter_name, options.adapters))
    return VoicePreparation(checkpoint=Path(name_or_dir), voices=options.voices, cache=options.cache, adapters=adapters)


def _architecture(checkpoint: Path) -> str | None:
    try:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    architecture = config.get("architecture") if isinstance(config, dict) else None
    return architecture if isinstance(architecture, str) else None
