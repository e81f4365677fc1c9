from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import PUBLISHED_05B, PUBLISHED_15, TINY, CheckpointShape
from models.base import ModelError
from models.voxcpm.config import VoxCPMConfig, read_config
from models.voxcpm.tensor_file import REOPEN_BYTES, TensorFile
from models.voxcpm.weights import VAE_PREFIX, Weights, expected_tensors

NORM = "base_lm.norm.weight"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint: model.safetensors and audiovae.pth."""
    folder = tmp_path_factory.mktemp("whole")
    write_checkpoint(folder, TINY, seed=1)
    return folder


@pytest.fixture
def checkpoint(whole: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(whole, tmp_path / "checkpoint"))


@pytest.fixture(scope="module")
def config(whole: Path) -> VoxCPMConfig:
    return read_config(whole)


def published(shape: CheckpointShape, folder: Path) -> dict[str, tuple[int, ...]]:
    (folder / "config.json").write_text(json.dumps(shape.config("bfloat16")))
    return expected_tensors(read_config(folder))


def count(shapes: dict[str, tuple[int, ...]], prefix: str) -> int:
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith(prefix))


def changed(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """The file's tensors, with one thing about them changed."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refusal(checkpoint: Path, config: VoxCPMConfig) -> str:
    with pytest.raises(ModelError) as caught:
        Weights(checkpoint, config)
    sentence = str(caught.value)
    assert str(checkpoint) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_the_tensors_of_v15_are_those_of_the_official_model(tmp_path: Path) -> None:
    """Names, shapes and counts as an instance of the official v1.5 model has them."""
    shapes = published(PUBLISHED_15, tmp_path)
    listed = "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
    assert hashlib.sha256(listed.encode()).hexdigest() == (
        "c90234175e4e266231b4d5160cd0025c03c3a4dca546891e91d5bcae7c0f1209"
    )
    assert len(shapes) == 766
    assert sum(name.startswith(VAE_PREFIX) for name in shapes) == 299
    assert {prefix: count(shapes, prefix) for prefix in ("", *COUNTS)} == {"": 888_213_186, **COUNTS}


COUNTS = {
    "base_lm.": 433_873_920,
    "base_lm.embed_tokens.": 75_210_752,
    "residual_lm.": 119_555_072,
    "feat_encoder.": 119_622_656,
    "feat_decoder.": 123_952_192,
    "fsq_layer.": 525_568,
    "enc_to_lm_proj.": 1_049_600,
    "lm_to_dit_proj.": 1_049_600,
    "res_to_dit_proj.": 1_049_600,
    "stop_proj.": 1_049_600,
    "stop_head.": 2_048,
    "audio_vae.": 86_483_330,
    "audio_vae.encoder.": 43_567_168,
    "audio_vae.decoder.": 42_916_162,
}


def test_the_tensors_of_v1_are_those_of_the_official_model(tmp_path: Path) -> None:
    shapes = published(PUBLISHED_05B, tmp_path)
    assert (len(shapes), count(shapes, "")) == (620, 727_642_498)


def test_every_tensor_is_taken_as_it_is_stored(whole: Path, config: VoxCPMConfig) -> None:
    model = load_file(whole / "model.safetensors")
    vae = torch.load(whole / "audiovae.pth", weights_only=True)
    vae = vae.get("state_dict", vae)
    with Weights(whole, config) as weights:
        for name, shape in expected_tensors(config).items():
            stored = vae[name.removeprefix(VAE_PREFIX)] if name.startswith(VAE_PREFIX) else model[name]
            taken = weights.take(name)
            assert (tuple(taken.shape), taken.dtype) == (shape, stored.dtype)
            assert torch.equal(taken, stored)


@pytest.mark.parametrize("name", [NORM, "audio_vae.encoder.fc_mu.bias"])
def test_a_tensor_is_taken_in_the_precision_asked_for(name: str, whole: Path, config: VoxCPMConfig) -> None:
    with Weights(whole, config) as weights:
        assert torch.equal(weights.take(name, torch.bfloat16), weights.take(name).to(torch.bfloat16))
        weights.take(name).zero_()  # a copy of one's own
        assert weights.take(name).abs().sum() > 0


@pytest.mark.parametrize("wrap", [lambda tensors: tensors, lambda tensors: {"state_dict": tensors, "step": 5}])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_a_pytorch_file_is_read_wrapped_or_not(
    wrap: Callable[[Any], Any], is_zip: bool, checkpoint: Path, config: VoxCPMConfig
) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(wrap(tensors), checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    with Weights(checkpoint, config) as weights:
        assert torch.equal(weights.take(NORM), tensors[NORM])


def test_safetensors_are_preferred(checkpoint: Path, config: VoxCPMConfig) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(b"not read")
    vae = torch.load(checkpoint / "audiovae.pth", weights_only=True)
    save_file(vae.get("state_dict", vae), checkpoint / "audiovae.safetensors")
    (checkpoint / "audiovae.pth").write_bytes(b"not read")
    with Weights(checkpoint, config) as weights:
        assert weights.take("audio_vae.decoder.model.0.bias").shape == (config.feat_dim,)


def test_a_codec_inside_the_model_file_is_found(checkpoint: Path, config: VoxCPMConfig) -> None:
    vae = torch.load(checkpoint / "audiovae.pth", weights_only=True)
    vae = vae.get("state_dict", vae)
    (checkpoint / "audiovae.pth").unlink()
    changed(
        checkpoint / "model.safetensors",
        lambda tensors: tensors.update({VAE_PREFIX + name: tensor for name, tensor in vae.items()}),
    )
    with Weights(checkpoint, config) as weights:
        assert torch.equal(weights.take("audio_vae.decoder.model.0.bias"), vae["decoder.model.0.bias"])


@pytest.mark.parametrize("name", ["model.safetensors", "audiovae.pth"])
def test_a_missing_file_is_named(name: str, checkpoint: Path, config: VoxCPMConfig) -> None:
    (checkpoint / name).unlink()
    assert f"{name.partition('.')[0]}.safetensors or " in refusal(checkpoint, config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda tensors: tensors.pop(NORM),
            f"the tensor '{NORM}' of shape [64] was expected, but it is missing.",
        ),
        (
            lambda tensors: tensors.update({NORM: torch.ones(65)}),
            f"the tensor '{NORM}' of shape [64] was expected, but [65] came.",
        ),
        (
            lambda tensors: tensors.update({NORM: torch.ones(64, dtype=torch.int8)}),
            f"floating-point values were expected in '{NORM}', but I8 came.",
        ),
        (
            lambda tensors: tensors.update({"base_lm.rope.inv_freq": torch.ones(8)}),
            "no tensor 'base_lm.rope.inv_freq' was expected, but one came.",
        ),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if "feat_decoder" in name],
            "the tensor 'feat_decoder.estimator.in_proj.weight' of shape [96, 16] was expected, but it is missing "
            "(and 32 more).",
        ),
    ],
    ids=["missing", "misshapen", "integers", "unexpected", "many"],
)
def test_a_model_of_other_tensors_is_refused_by_name(
    change: Callable[[dict[str, Tensor]], object], said: str, checkpoint: Path, config: VoxCPMConfig
) -> None:
    path = checkpoint / "model.safetensors"
    changed(path, change)
    assert refusal(checkpoint, config) == f"{path}: {said}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_no_number_is_named(value: float, checkpoint: Path, config: VoxCPMConfig) -> None:
    changed(checkpoint / "model.safetensors", lambda tensors: tensors[NORM].__setitem__(3, value))
    with Weights(checkpoint, config) as weights:
        assert torch.isfinite(weights.take("stop_head.weight")).all()
        with pytest.raises(ModelError) as caught:
            weights.take(NORM)
    assert str(caught.value) == (
        f"{checkpoint}/model.safetensors: finite values were expected in the tensor '{NORM}', "
        "but 1 of 64 are NaN or infinite."
    )


def test_weights_whose_sum_overflows_are_finite_all_the_same(tmp_path: Path) -> None:
    large = torch.full((8,), 1.5e308, dtype=torch.float64)
    save_file({"large": large}, tmp_path / "large.safetensors")
    with TensorFile(tmp_path / "large.safetensors") as file:
        assert torch.equal(file.read("large"), large)


@pytest.mark.parametrize("length", [0, 7, 1000, -1])
@pytest.mark.parametrize("name", ["model.safetensors", "audiovae.pth"])
def test_a_truncated_file_is_refused(name: str, length: int, checkpoint: Path, config: VoxCPMConfig) -> None:
    path = checkpoint / name
    path.write_bytes(path.read_bytes()[:length])
    assert f"{path}: a " in refusal(checkpoint, config)


@pytest.mark.parametrize("name", ["model.safetensors", "audiovae.pth"])
@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"version https://git-lfs.github.com/spec/v1\noid"])
def test_another_file_of_that_name_is_refused(
    name: str, content: bytes, checkpoint: Path, config: VoxCPMConfig
) -> None:
    (checkpoint / name).write_bytes(content)
    assert name in refusal(checkpoint, config)


def test_a_folder_of_that_name_is_refused(checkpoint: Path, config: VoxCPMConfig) -> None:
    (checkpoint / "audiovae.pth").unlink()
    (checkpoint / "audiovae.pth").mkdir()
    assert refusal(checkpoint, config) == (
        f"A readable {checkpoint}/audiovae.pth was expected, but it is not: Is a directory."
    )


class Burglar:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("save", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "audiovae.pth"])
def test_code_in_a_pickle_is_refused_and_not_run(
    save: str, name: str, checkpoint: Path, config: VoxCPMConfig, tmp_path: Path
) -> None:
    (checkpoint / ("model.safetensors" if name == "pytorch_model.bin" else name)).unlink()
    burgled = tmp_path / "burgled"
    content = {"state_dict": {"a": torch.ones(2), "b": Burglar(burgled)}}
    if save == "pickle":
        (checkpoint / name).write_bytes(pickle.dumps(content["state_dict"]["b"]))
    else:
        torch.save(content, checkpoint / name, _use_new_zipfile_serialization=save == "zip")
    sentence = refusal(checkpoint, config)
    assert not burgled.exists()
    assert f"{name}: a PyTorch file of nothing but tensors was expected, but it" in sentence
    assert sentence.endswith("it was not run.")
    if save != "pickle":
        assert "it names posix.mkdir" in sentence
    torch.load(checkpoint / name, weights_only=False) if save != "pickle" else pickle.loads(
        (checkpoint / name).read_bytes()
    )
    assert burgled.exists()  # it was a working burglar


@pytest.mark.parametrize(
    ("content", "said"),
    [([torch.ones(1)], "a dict of tensors was expected, but a list came"), ({"a": 1}, "'a' is a int")],
)
def test_a_pytorch_file_of_other_things_is_refused(
    content: object, said: str, checkpoint: Path, config: VoxCPMConfig
) -> None:
    torch.save(content, checkpoint / "audiovae.pth")
    assert said in refusal(checkpoint, config)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_what_has_been_read_does_not_stay_in_memory(suffix: str, tmp_path: Path) -> None:
    """Pages of the file that count as resident, after twice as much has been read as is kept mapped."""
    path = tmp_path / f"large.{suffix}"
    tensors = {f"t{number}": torch.ones(REOPEN_BYTES // 8) for number in range(4)}  # half of it each
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    del tensors
    with TensorFile(path) as file:
        before = resident_file_bytes()
        largest = 0
        for name in file.stored:
            file.read(name)
            gc.collect()
            largest = max(largest, resident_file_bytes() - before)
        assert REOPEN_BYTES // 2 < largest < 1.8 * REOPEN_BYTES
    gc.collect()
    assert resident_file_bytes() - before < REOPEN_BYTES // 4


def resident_file_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssFile"))
