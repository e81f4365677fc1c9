"""bench.checkpoint: the files it writes are whole, the same for a seed, and of a size that lets a signal through."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from bench.checkpoint import Draws, as_bfloat16, main, write_checkpoint
from bench.checkpoint_lora import write_lora
from bench.checkpoint_shapes import SHAPES, TINY, TINY_CHANNELS, TINY_MUP, TINY_V1, CheckpointShape
from models.voxcpm.config import read_config
from models.voxcpm.lora import Lora

FILES = {
    "config.json",
    "model.safetensors",
    "audiovae.pth",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
}


def _sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_command_writes_the_files_of_the_official_layout(tmp_path: Path) -> None:
    assert main(["--config", "tiny", "--seed", "1", str(tmp_path / "new" / "tiny")]) == 0
    assert {path.name for path in (tmp_path / "new" / "tiny").iterdir()} == FILES


def test_a_place_that_cannot_be_written_is_one_sentence_and_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_same_seed_gives_the_same_files_and_another_gives_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_checkpoint(tmp_path / name, TINY_V1, seed=seed)
    assert _sums(tmp_path / "a") == _sums(tmp_path / "b")
    differing = {name for name, digest in _sums(tmp_path / "c").items() if digest != _sums(tmp_path / "a")[name]}
    assert differing == {"model.safetensors", "audiovae.pth"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_formats_hold_the_same_weights(tmp_path: Path, dtype: str) -> None:
    write_checkpoint(tmp_path / "a", TINY_V1, seed=5, dtype=dtype)
    write_checkpoint(tmp_path / "b", TINY_V1, seed=5, dtype=dtype, format="bin")
    streamed = load_file(tmp_path / "a" / "model.safetensors")
    pickled = torch.load(tmp_path / "b" / "pytorch_model.bin", weights_only=True)["state_dict"]
    assert streamed.keys() == pickled.keys()
    for name, tensor in streamed.items():
        assert tensor.dtype == getattr(torch, dtype)
        assert torch.equal(tensor, pickled[name]), name


@pytest.mark.parametrize("shape", [TINY, TINY_V1, TINY_CHANNELS, TINY_MUP])
def test_a_tiny_checkpoint_can_be_configured_and_its_tokenizer_read(tmp_path: Path, shape: CheckpointShape) -> None:
    write_checkpoint(tmp_path, shape, seed=0)
    assert read_config(tmp_path).patch_size == shape.patch
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert max(tokenizer.get_vocab().values()) < shape.vocab_size
    assert tokenizer.token_to_id("<|audio_start|>") == 101


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_published_shapes_have_a_configuration_that_is_served(tmp_path: Path, shape: CheckpointShape) -> None:
    (tmp_path / "config.json").write_text(json.dumps(shape.config("bfloat16")))
    assert read_config(tmp_path).dtype == "bfloat16"


def test_a_vocabulary_too_small_for_the_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary of 320"):
        write_checkpoint(tmp_path, replace(TINY, vocab_size=320), seed=0)


def test_never_stop_makes_the_stop_head_zero_and_changes_nothing_else(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", TINY_V1, seed=5)
    write_checkpoint(tmp_path / "b", TINY_V1, seed=5, never_stop=True)
    stopping, never = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    head = never.pop("stop_head.weight")
    assert not head.any()
    assert stopping.pop("stop_head.weight").any()
    assert all(torch.equal(tensor, stopping[name]) for name, tensor in never.items())


def test_a_matrix_keeps_the_size_of_what_goes_through_it() -> None:
    (values,) = Draws(1).chunks("base_lm.layers.0.mlp.up_proj.weight", (300, 400))
    assert np.std(values) == pytest.approx((1.5 / 400) ** 0.5, rel=0.01)


def test_a_value_becomes_the_nearest_bfloat16() -> None:
    values = np.random.default_rng(1).standard_normal(100_000).astype(np.float32)
    values[:3] = [0.0, 1.00390625, 1.01171875]  # two halfway between neighbours: one up, one down
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.uint16).numpy()
    assert np.array_equal(as_bfloat16(values), expected)


def test_an_adapter_is_read_for_the_checkpoint_it_was_written_for(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint", TINY_V1, seed=1)
    config = read_config(tmp_path / "checkpoint")
    write_lora(tmp_path / "a", config, seed=1, rank=3, alpha=5, projections=True)
    adapter = Lora(tmp_path / "a", config)
    pair = adapter.pair("base_lm.layers.0.self_attn.q_proj")
    assert pair is not None
    assert pair[0].shape == (3, TINY_V1.hidden)
    assert adapter.scaling == pytest.approx(5 / 3)
    assert adapter.pair("enc_to_lm_proj") is not None
    assert adapter.pair("feat_encoder.encoder.layers.0.self_attn.q_proj") is None


def test_what_an_adapter_adds_is_a_part_of_what_a_layer_gives_whatever_its_rank(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint", TINY_V1, seed=1)
    config = read_config(tmp_path / "checkpoint")
    for rank, alpha in ((2, 16), (16, 4)):
        folder = tmp_path / f"rank {rank}"
        write_lora(folder, config, seed=1, rank=rank, alpha=alpha)
        a, b = Lora(folder, config).pair("base_lm.layers.1.self_attn.o_proj") or ()
        assert 0.2 < (b @ a @ torch.randn(a.shape[1], 1000)).std() < 0.4
