"""Voices of one's own: found in their folder, taken up and let go while others speak, each with its adapter."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.checkpoint import write_checkpoint
from bench.checkpoint_lora import write_lora
from bench.checkpoint_shapes import TINY
from bench.checkpoint_voices import give_default_voices
from models.base import ModelError, ModelOptions, Patch, SpeechParams, UnknownVoice
from models.own_voice import OwnVoice
from models.voice_folder import PROMPT_FILE, VOICE_FILE, publish_voice, remove_voice, stage_voice
from models.voxcpm.cast import MAX_NEW
from models.voxcpm.config import read_config
from models.voxcpm.default_voices import DEFAULTS
from models.voxcpm.encode import encode_file
from models.voxcpm.model import VoxCPMModel, load_speech_model
from tests.models.speaking import finish, speak

RATE_HZ = 22050
TEXT = "And so on."


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ModelOptions:
    """Of a model with two adapters; `cache.parent` holds the checkpoint."""
    folder = tmp_path_factory.mktemp("cast")
    write_checkpoint(folder / "tiny", TINY, seed=4)
    give_default_voices(folder / "tiny", folder / "cache")
    config = read_config(folder / "tiny")
    for seed, name in enumerate(("soft", "hard")):
        write_lora(folder / name, config, seed=seed, rank=3 + seed, alpha=8, projections=True)
    return ModelOptions(cache=folder / "cache", num_threads=1, adapters=(folder / "soft", folder / "hard"))


@pytest.fixture
def model(options: ModelOptions, tmp_path: Path) -> VoxCPMModel:
    assert options.cache is not None
    return load_speech_model(options.cache.parent / "tiny", replace(options, voices=tmp_path / "voices"))


def add(model: VoxCPMModel, name: str, *, adapter: str = "", seed: int = 0, encoded: bool = True) -> None:
    """Put a voice into the model's folder, encoded as it is while others speak: outside of the model."""
    voices, cache = model._cast._folder, model._cast._cache._folder
    assert voices is not None
    assert cache is not None
    voice = OwnVoice(
        name=name, language="en", transcript="A word or two.", licence="CC0", consent="I speak.", adapter=adapter
    )
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 3000, 3 * RATE_HZ // 2).astype(np.int16)
    folder = publish_voice(stage_voice(voices, voice, noise, RATE_HZ), voice)
    if encoded:
        encode_file(model._network.checkpoint, folder / PROMPT_FILE, cache)


def names(model: VoxCPMModel) -> list[str]:
    return [voice.name for voice in model.info.voices]


def first_latents(model: VoxCPMModel, voice: str) -> np.ndarray:
    (patch,) = speak(model, [TEXT], voice=voice, params=SpeechParams(knobs={"max_len": 1})).patches
    return np.frombuffer(patch.latents, "<f4")


def test_a_new_voice_is_there_after_a_reload_and_speaks(model: VoxCPMModel, tmp_path: Path) -> None:
    defaults = [default.name for default in DEFAULTS]
    assert names(model) == defaults
    add(model, "alice")
    assert names(model) == defaults, "nothing changes by itself"
    model.reload_voices()
    assert names(model) == [*defaults, "alice"]
    assert np.abs(first_latents(model, "alice") - first_latents(model, "amber")).max() > 1e-2


def test_a_prompt_ends_where_its_recording_ends(model: VoxCPMModel, tmp_path: Path) -> None:
    add(model, "alice")
    model.reload_voices()
    assert model._cast.speaker("alice").passage.num_patches == 10, "1.5 s are 9.4 patches; silence is put in front"


def test_a_removed_voice_goes_on_where_it_speaks_and_is_unknown_elsewhere(model: VoxCPMModel, tmp_path: Path) -> None:
    add(model, "alice")
    model.reload_voices()
    model.open(0, 0, "alice", SpeechParams())
    model.extend(0, TEXT)
    model.seal(0)
    model.submit([0])
    assert remove_voice(tmp_path / "voices", "alice")
    model.reload_voices()
    assert "alice" not in names(model)
    assert finish(model, 0)[-1].last
    model.close(0)
    with pytest.raises(UnknownVoice):
        model.open(0, 0, "alice", SpeechParams())


def test_an_unchanged_voice_is_not_made_again(model: VoxCPMModel, tmp_path: Path) -> None:
    add(model, "alice")
    model.reload_voices()
    before = model._cast.speaker("alice")
    add(model, "bob", seed=1)
    model.reload_voices()
    assert model._cast.speaker("alice") is before


def test_a_voice_of_the_same_name_with_another_recording_is_another(model: VoxCPMModel, tmp_path: Path) -> None:
    add(model, "alice")
    model.reload_voices()
    before = first_latents(model, "alice")
    remove_voice(tmp_path / "voices", "alice")
    add(model, "alice", seed=5)
    model.reload_voices()
    assert np.abs(first_latents(model, "alice") - before).max() > 1e-2


def test_latents_in_the_cache_are_used(
    model: VoxCPMModel, options: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(model, "alice")
    model.reload_voices()
    made = first_latents(model, "alice")
    monkeypatch.setattr("models.voxcpm.cast.prompt_latents", None)
    again = load_speech_model(model._network.checkpoint, replace(options, voices=tmp_path / "voices"))
    np.testing.assert_array_equal(first_latents(again, "alice"), made)


def test_an_adapter_in_the_weights_has_default_voices_of_its_own(
    options: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.voxcpm.cast.MAX_PROMPT_S", 0.5)
    assert options.cache is not None
    plain = replace(options, cache=tmp_path, adapters=())
    merged = replace(plain, merge_adapter=options.adapters[0])
    checkpoint = options.cache.parent / "tiny"
    made = [load_speech_model(checkpoint, each)._cast.speaker("amber").latents for each in (merged, plain)]
    assert (made[0][0] - made[1][0]).abs().max() > 1e-3


def test_a_voice_that_is_not_finite_is_not_kept(
    options: ModelOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert options.cache is not None
    bad = torch.full((3, 4, 16), torch.nan), True
    monkeypatch.setattr("models.voxcpm.cast.generate_latents", lambda *arguments, **options: bad)
    with pytest.raises(ModelError, match="Finite latents"):
        load_speech_model(options.cache.parent / "tiny", replace(options, cache=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_broken_voice_is_left_out_with_one_warning(
    model: VoxCPMModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(model, "alice")
    add(model, "bob", adapter="nobody")
    with caplog.at_level(logging.WARNING):
        model.reload_voices()
    assert "alice" in names(model)
    assert "bob" not in names(model)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "nobody" in warning
    assert "soft" in warning


def left_out(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    return messages


def test_a_recording_that_is_not_encoded_waits_for_the_next_start(
    model: VoxCPMModel, options: ModelOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Encoding 30 s takes seconds: nobody is to fall silent for it."""
    add(model, "alice", seed=21, encoded=False)
    model.reload_voices()
    assert "alice" not in names(model)
    (warning,) = left_out(caplog)
    assert "voices/alice: a recording that is encoded was expected" in warning
    assert "`voxwire voices add` does that, and so does the next start" in warning
    model.reload_voices()
    assert left_out(caplog) == []
    doing: list[str] = []
    again = load_speech_model(
        model._network.checkpoint, replace(options, voices=tmp_path / "voices", progress=doing.append)
    )
    assert "alice" in names(again)
    assert doing == ["encodes the voice alice"]


def test_a_known_voice_is_not_read_again(model: VoxCPMModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(model, "alice")
    add(model, "bob", adapter="nobody")
    model.reload_voices()
    left_out(caplog)
    for path in (tmp_path / "voices").glob("*/*"):  # of the same size and time, but nonsense
        found = path.stat()
        path.write_bytes(bytes(found.st_size))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    before = model._cast.speaker("alice")
    model.reload_voices()
    assert model._cast.speaker("alice") is before
    assert left_out(caplog) == []


def test_a_look_reads_the_newest_few_recordings_only(model: VoxCPMModel, tmp_path: Path) -> None:
    add(model, "zoe")
    folders = [tmp_path / "voices" / f"copy {number}" for number in range(MAX_NEW + 3)]
    for number, folder in enumerate(folders):
        shutil.copytree(tmp_path / "voices" / "zoe", folder)
        toml = folder / VOICE_FILE
        toml.write_text(toml.read_text().replace("zoe", folder.name))
        for path in folder.iterdir():
            os.utime(path, (1000 + number, 1000 + number))
    model.reload_voices()
    assert {"zoe", folders[-1].name} <= set(names(model))
    assert len(names(model)) == len(DEFAULTS) + MAX_NEW
    model.reload_voices()
    assert len(names(model)) == len(DEFAULTS) + MAX_NEW, "what was left out waits for the next start"


def test_the_info_tells_adapters_and_which_voices_are_ones_own(model: VoxCPMModel) -> None:
    add(model, "alice")
    model.reload_voices()
    assert model.info.adapters == ("soft", "hard")
    assert [voice.name for voice in model.info.voices if voice.own] == ["alice"]


def test_a_voice_speaks_with_its_adapter(model: VoxCPMModel, tmp_path: Path) -> None:
    for name, adapter in (("plain", ""), ("one", "soft"), ("two", "hard")):
        add(model, name, adapter=adapter)
    model.reload_voices()
    made = {name: first_latents(model, name) for name in ("plain", "one", "two")}
    assert np.abs(made["plain"] - made["one"]).max() > 1e-3
    assert np.abs(made["one"] - made["two"]).max() > 1e-3


def test_voices_with_different_adapters_share_a_batch(model: VoxCPMModel, tmp_path: Path) -> None:
    cast = {"plain": "", "one": "soft", "two": "hard", "three": "soft"}
    for name, adapter in cast.items():
        add(model, name, adapter=adapter)
    model.reload_voices()
    for slot, name in enumerate(cast):
        model.open(slot, 0, name, SpeechParams(knobs={"max_len": 1}))
        model.extend(slot, TEXT)
        model.seal(slot)
    patches = {patch.slot: patch for patch in model.submit(range(len(cast))).patches() if isinstance(patch, Patch)}
    for slot, name in enumerate(cast):
        model.close(slot)
        together = np.frombuffer(patches[slot].latents, "<f4")
        np.testing.assert_allclose(first_latents(model, name), together, atol=1e-4)


def test_a_merged_adapter_speaks_like_an_unmerged_one(
    model: VoxCPMModel, options: ModelOptions, tmp_path: Path
) -> None:
    add(model, "one", adapter="soft")
    add(model, "plain")
    model.reload_voices()
    merged = load_speech_model(
        model._network.checkpoint,
        replace(options, voices=tmp_path / "voices", adapters=(), merge_adapter=options.adapters[0]),
    )
    np.testing.assert_allclose(first_latents(merged, "plain"), first_latents(model, "one"), atol=1e-4)


def test_more_than_four_adapters_are_refused(options: ModelOptions) -> None:
    assert options.cache is not None
    with pytest.raises(ModelError, match="4 adapters"):
        load_speech_model(options.cache.parent / "tiny", replace(options, adapters=options.adapters * 3))
