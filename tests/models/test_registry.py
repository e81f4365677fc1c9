from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.base import ModelError
from models.registry import find_checkpoint, known_models, load_model


@pytest.mark.parametrize("name", known_models())
def test_registry_loads_each_known_model(name: str) -> None:
    model = load_model(name)
    assert model.info.name == name
    assert model.info.default_voice in {voice.name for voice in model.info.voices}
    assert (model.info.sample_rate, model.info.patch_samples, model.info.token_rate) == (44_100, 7_056, 6.25)
    model.shutdown()


def test_registry_refuses_what_it_cannot_load(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'espeak' or 'tone' or a checkpoint directory"):
        load_model("ton")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="No checkpoint is served yet"):
        load_model(str(tmp_path))


def test_tone_needs_no_espeak() -> None:
    code = (
        "import sys; from models.registry import load_model; load_model('tone');"
        "sys.exit(any('espeak' in name or 'soxr' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_a_checkpoint_that_can_be_served_is_found(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path) is None
    for name, config in {"a": "not json", "b": "[]", "c": '{"architecture": "unheard-of"}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
    assert find_checkpoint(tmp_path) is None
