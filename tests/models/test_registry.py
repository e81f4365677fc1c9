from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.base import ModelError, ModelOptions
from models.registry import find_checkpoint, known_models, load_model, voice_preparation


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
    with pytest.raises(ModelError, match=r"config\.json: the key 'lm_config' was expected, but it is missing"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"architecture": "voxcpm2"}')
    with pytest.raises(ModelError, match=r"'architecture' was expected to be one of voxcpm, but \"voxcpm2\" came"):
        load_model(str(tmp_path))


def test_what_a_checkpoint_needs_is_named_where_it_is_not_installed(tmp_path: Path) -> None:
    """Without torch on the path: the registry itself, the embedded voices and a wrong config.json need none of it."""
    (tmp_path / "config.json").write_text('{"architecture": "voxcpm2"}')
    code = (
        "import sys, importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest);"
        "from models.registry import load_model, require_voxcpm_packages;"
        f"\ntry: load_model({str(tmp_path)!r})\nexcept Exception as error: print(error)"
        "\ntry: require_voxcpm_packages()\nexcept Exception as error: print(error)"
        "\nsys.exit('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    of_config, of_packages = ended.stdout.splitlines()
    assert "voxcpm2" in of_config
    assert of_packages == (
        "A checkpoint needs the packages torch, safetensors, tokenizers, but torch is not installed: "
        "pip install '.[voxcpm]' in the folder of this program."
    )


def test_tone_needs_no_espeak() -> None:
    code = (
        "import sys; from models.registry import load_model; load_model('tone');"
        "sys.exit(any('espeak' in name or 'soxr' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_a_checkpoint_with_folders_for_it_learns_voices(tmp_path: Path) -> None:
    folders = ModelOptions(voices=Path("voices"), cache=tmp_path / "cache", adapters=(Path("loras/soft/"), Path("b")))
    assert voice_preparation("espeak", folders) is None
    assert voice_preparation(str(tmp_path), folders) is None
    (tmp_path / "config.json").write_text("{}")
    assert voice_preparation(str(tmp_path), ModelOptions(voices=Path("voices"))) is None
    assert voice_preparation(str(tmp_path), ModelOptions(cache=Path("cache"))) is None
    preparation = voice_preparation(str(tmp_path), folders)
    assert preparation is not None
    assert preparation.command(Path("prompt.wav"))[-3:] == (str(tmp_path), "prompt.wav", str(tmp_path / "cache"))
    assert preparation.adapters == ("soft", "b")
    assert preparation.languages == ("zh", "en")
    assert "amber" in preparation.own_names


def test_only_a_checkpoint_that_can_be_served_is_found(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path) is None
    for name, config in {"a": "not json", "b": "[]", "c": '{"architecture": "voxcpm2"}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config)
    assert find_checkpoint(tmp_path) is None
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "config.json").write_text('{"architecture": "voxcpm"}')
    assert find_checkpoint(tmp_path) == tmp_path / "d"
