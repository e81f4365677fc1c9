from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.checkpoint_shapes import TINY
from models.base import ModelError
from models.voxcpm.config import VoxCPMConfig, read_config
from models.voxcpm.lora import Adapters, Lora
from models.voxcpm.weights import expected_tensors

LAYER = "base_lm.layers.1.self_attn."
QKV = (LAYER + "q_proj", LAYER + "k_proj", LAYER + "v_proj")
CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> VoxCPMConfig:
    folder = tmp_path_factory.mktemp("config")
    (folder / "config.json").write_text(json.dumps(TINY.config("float32")))
    return read_config(folder)


def write_lora(folder: Path, config: VoxCPMConfig, *, rank: int = 4, alpha: float = 6, **settings: Any) -> Path:
    """A random adapter in the official layout, as the original's training saves it."""
    settings = {"enable_lm": True, "enable_dit": True, "enable_proj": True, **settings}
    stacks = {"base_lm": settings["enable_lm"], "residual_lm": settings["enable_lm"]}
    stacks["feat_decoder.estimator.decoder"] = settings["enable_dit"]
    targets = settings.get("target_modules_lm", ["q_proj", "v_proj", "k_proj", "o_proj"])
    generator = torch.Generator().manual_seed(rank)
    tensors = {}
    for name, shape in expected_tensors(config).items():
        linear = name.removesuffix(".weight")
        last = linear.rpartition(".")[2]
        in_stack = last in targets and any(linear.startswith(f"{each}.") for each, on in stacks.items() if on)
        if in_stack or (settings["enable_proj"] and last in ("enc_to_lm_proj", "lm_to_dit_proj", "res_to_dit_proj")):
            if not name.endswith(".weight"):
                continue
            tensors[f"{linear}.lora_A"] = torch.randn(rank, shape[1], generator=generator)
            tensors[f"{linear}.lora_B"] = torch.randn(shape[0], rank, generator=generator)
    folder.mkdir()
    save_file(tensors, folder / "lora_weights.safetensors")
    lora_config = {"r": rank, "alpha": alpha, "dropout": 0.0, **settings}
    (folder / "lora_config.json").write_text(json.dumps({"base_model": "VoxCPM1.5", "lora_config": lora_config}))
    return folder


@pytest.fixture
def folder(config: VoxCPMConfig, tmp_path: Path) -> Path:
    return write_lora(tmp_path / "alice", config)


def plain(folder: Path, linear: str, x: Tensor) -> Tensor:
    """What an adapter adds to a linear layer, as the paper writes it; zeros where it adds nothing."""
    tensors = load_file(folder / "lora_weights.safetensors")
    settings = json.loads((folder / "lora_config.json").read_text())["lora_config"]
    a, b = tensors[f"{linear}.lora_A"], tensors[f"{linear}.lora_B"]
    return settings["alpha"] / settings["r"] * (x @ a.T) @ b.T


def test_rows_with_different_adapters_share_one_batch(config: VoxCPMConfig, tmp_path: Path) -> None:
    """Of different ranks; one changes the language models only, one of them only queries and values."""
    folders = [
        write_lora(tmp_path / "alice", config, rank=4),
        write_lora(tmp_path / "bob", config, rank=2, alpha=1, enable_dit=False, enable_proj=False),
        write_lora(tmp_path / "carol", config, rank=3, target_modules_lm=["q_proj", "v_proj"], enable_dit=False),
    ]
    adapters = Adapters.read(folders, config, **CPU)
    assert adapters.names == ("alice", "bob", "carol")
    fused = adapters.for_linear(QKV)
    assert fused is not None
    assert fused.a.shape == (3 * 4 + 3 * 2 + 2 * 3, 64)
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([2, 0, 1, 3, 1])
    delta = fused.delta(x, rows)
    for row, number in enumerate(rows.tolist()):
        expected = torch.zeros(64 + 2 * 32)
        if number:
            parts = [
                torch.zeros(32) if number == 3 and name.endswith("k_proj") else plain(folders[number - 1], name, x[row])
                for name in QKV
            ]
            expected = torch.cat(parts)
        torch.testing.assert_close(delta[row], expected, atol=1e-4, rtol=1e-5)
    assert torch.equal(delta[1], torch.zeros(128))


def test_a_batch_of_sequences_is_changed_row_by_row(folder: Path, config: VoxCPMConfig) -> None:
    low_rank = Adapters.read([folder], config, **CPU).for_linear(
        ["feat_decoder.estimator.decoder.layers.0.self_attn.o_proj"]
    )
    assert low_rank is not None
    x = torch.randn(2, 9, 96)  # [batch, tokens, in]
    delta = low_rank.delta(x, torch.tensor([[1] * 9, [0] * 9]))
    assert delta.shape == (2, 9, 96)
    assert delta[0].abs().min() > 0
    assert torch.equal(delta[1], torch.zeros(9, 96))


def test_a_layer_that_no_adapter_changes_has_none(folder: Path, config: VoxCPMConfig) -> None:
    adapters = Adapters.read([folder], config, **CPU)
    assert adapters.for_linear(["feat_encoder.encoder.layers.0.self_attn.q_proj"]) is None
    assert adapters.for_linear(["base_lm.layers.0.mlp.gate_proj", "base_lm.layers.0.mlp.up_proj"]) is None
    assert adapters.for_linear(["lm_to_dit_proj"]) is not None


def test_adapters_are_made_for_a_precision(folder: Path, config: VoxCPMConfig) -> None:
    adapters = Adapters.read([folder], config, device=torch.device("cpu"), dtype=torch.bfloat16)
    low_rank = adapters.for_linear(QKV)
    assert low_rank is not None
    assert low_rank.delta(torch.ones(1, 64, dtype=torch.bfloat16), torch.tensor([1])).dtype == torch.bfloat16


def test_a_merged_adapter_is_in_the_weights(folder: Path, config: VoxCPMConfig) -> None:
    lora = Lora(folder, config)
    weight = torch.randn(64, 64)
    x = torch.randn(3, 64)
    merged = lora.merge(QKV[0] + ".weight", weight)
    torch.testing.assert_close(x @ merged.T, x @ weight.T + plain(folder, QKV[0], x), atol=1e-4, rtol=1e-4)
    stored = weight.to(torch.bfloat16)
    assert lora.merge(QKV[0] + ".weight", stored).dtype == torch.float32  # rounded once, by whoever takes it
    for name in ("base_lm.norm.weight", "base_lm.layers.0.mlp.up_proj.weight", "lm_to_dit_proj.bias"):
        assert lora.merge(name, weight) is weight


def test_an_adapter_in_a_ckpt_file_is_read(folder: Path, config: VoxCPMConfig) -> None:
    tensors = load_file(folder / "lora_weights.safetensors")
    (folder / "lora_weights.safetensors").unlink()
    torch.save({"state_dict": tensors}, folder / "lora_weights.ckpt")
    pair = Lora(folder, config).pair(QKV[0])
    assert pair is not None
    assert torch.equal(pair[0], tensors[QKV[0] + ".lora_A"])
    torch.testing.assert_close(pair[1], 1.5 * tensors[QKV[0] + ".lora_B"])


def test_an_adapter_is_called_after_its_folder(folder: Path, config: VoxCPMConfig, tmp_path: Path) -> None:
    (tmp_path / "bea").symlink_to(folder)
    adapters = Adapters.read([folder, tmp_path / "bea"], config, **CPU)
    assert [adapters.number(name) for name in (None, "alice", "bea")] == [0, 1, 2]
    with pytest.raises(ModelError, match=r"loaded \(alice, bea\) was expected, but 'bob' came"):
        adapters.number("bob")


def test_a_fifth_adapter_and_a_name_twice_are_refused(config: VoxCPMConfig, tmp_path: Path) -> None:
    folders = [write_lora(tmp_path / name, config, enable_lm=False, enable_dit=False) for name in "abcde"]
    assert len(Adapters.read(folders[:4], config, **CPU).names) == 4
    with pytest.raises(ModelError, match="At most 4 adapters were expected, but 5 came"):
        Adapters.read(folders, config, **CPU)
    with pytest.raises(ModelError, match="of different names were expected, but a, a came"):
        Adapters.read([folders[0], folders[0]], config, **CPU)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda tensors: tensors.pop(QKV[1] + ".lora_B"),
            f"the tensor '{QKV[1]}.lora_B' of shape [32, 4] was expected, but it is missing.",
        ),
        (
            lambda tensors: tensors.update({QKV[0] + ".lora_A": torch.zeros(8, 64)}),  # another rank than configured
            f"the tensor '{QKV[0]}.lora_A' of shape [4, 64] was expected, but [8, 64] came.",
        ),
        (
            lambda tensors: tensors.update({QKV[0] + ".lora_B": torch.zeros(64, 4, dtype=torch.int64)}),
            f"floating-point values were expected in '{QKV[0]}.lora_B', but I64 came.",
        ),
        (
            lambda tensors: tensors.update({"base_lm.layers.0.mlp.up_proj.lora_A": torch.zeros(4, 64)}),
            "no tensor 'base_lm.layers.0.mlp.up_proj.lora_A' was expected, but one came.",
        ),
        (
            lambda tensors: tensors[QKV[2] + ".lora_A"].__setitem__((0, 0), math.nan),
            f"finite values were expected in the tensor '{QKV[2]}.lora_A', but 1 of 256 are NaN or infinite.",
        ),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if "residual_lm" in name],
            "the tensor 'residual_lm.layers.0.self_attn.q_proj.lora_A' of shape [4, 64] was expected, "
            "but it is missing (and 15 more).",
        ),
    ],
    ids=["half a pair", "rank", "integers", "unknown", "nan", "missing"],
)
def test_an_adapter_of_other_tensors_is_refused_by_name(
    change: Callable[[dict[str, Tensor]], object], said: str, folder: Path, config: VoxCPMConfig
) -> None:
    path = folder / "lora_weights.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(ModelError) as caught:
        Lora(folder, config)
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"r": None}, "the key 'lora_config.r' was expected, but it is missing"),
        ({"alpha": None}, "the key 'lora_config.alpha' was expected, but it is missing"),
        ({"r": 0}, "'lora_config.r' was expected to be an integer from 1"),
        ({"alpha": "16"}, "'lora_config.alpha' was expected to be a positive number, but \"16\" came"),
        ({"enable_lm": 1}, "'lora_config.enable_lm' was expected to be true or false, but 1 came"),
        ({"target_modules_lm": ["up_proj"]}, "'lora_config.target_modules_lm' was expected to be a list of some of q_"),
        (
            {"enable_lm": False, "enable_dit": False, "enable_proj": False},
            "one of 'lora_config.enable_lm', 'enable_dit' and 'enable_proj' was expected to be true, but none is",
        ),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], said: str, folder: Path, config: VoxCPMConfig) -> None:
    path = folder / "lora_config.json"
    values = json.loads(path.read_text())
    values["lora_config"] |= settings
    values["lora_config"] = {name: value for name, value in values["lora_config"].items() if value is not None}
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError) as caught:
        Lora(folder, config)
    assert str(caught.value).startswith(f"{path}: {said}")


@pytest.mark.parametrize("name", ["lora_config.json", "lora_weights.safetensors"])
def test_a_missing_file_is_named(name: str, folder: Path, config: VoxCPMConfig) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name.replace('.', '[.]')}.* was expected"):
        Lora(folder, config)


def test_code_in_a_ckpt_file_is_not_run(folder: Path, config: VoxCPMConfig, tmp_path: Path) -> None:
    class Burglar:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "burgled"),)

    (folder / "lora_weights.safetensors").unlink()
    torch.save({"state_dict": {"a": Burglar()}}, folder / "lora_weights.ckpt")
    with pytest.raises(ModelError, match=r"lora_weights\.ckpt: .* it names posix\.mkdir; it was not run\.$"):
        Lora(folder, config)
    assert not (tmp_path / "burgled").exists()
