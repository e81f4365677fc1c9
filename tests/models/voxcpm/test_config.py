from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.checkpoint_shapes import PUBLISHED_05B, PUBLISHED_15, TINY, TINY_MUP
from models.base import ModelError
from models.voxcpm.config import V1_VAE, VoxCPMConfig, config_problems, read_config

OPTIONAL = {
    "architecture",
    "dtype",
    "device",
    "lm_config.bos_token_id",
    "lm_config.eos_token_id",
    "lm_config.dim_model_base",
    "lm_config.use_mup",
    "lm_config.rope_scaling.type",
    "lm_config.rope_scaling.long_factor",  # the short list is the one that applies
}


def read(values: Any, folder: Path) -> VoxCPMConfig:
    (folder / "config.json").write_text(values if isinstance(values, str) else json.dumps(values))
    return read_config(folder)


def paths(values: dict[str, Any], where: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield where + name
        if isinstance(value, dict):
            yield from paths(value, f"{where}{name}.")


REQUIRED = [
    path
    for path in paths(TINY.config("float32"))
    if path not in OPTIONAL and not path.startswith("dit_config.cfm_config")
]


def changed(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at that path; None takes it out."""
    values = deepcopy(values)
    *parents, name = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    if value is None:
        place.pop(name, None)
    else:
        place[name] = value
    return values


def test_the_published_v15_is_read(tmp_path: Path) -> None:
    config = read(PUBLISHED_15.config("bfloat16"), tmp_path)
    assert (config.architecture, config.dtype, config.sample_rate, config.patch_samples) == (
        "voxcpm",
        "bfloat16",
        44_100,
        7_056,
    )
    assert (config.vae.hop_samples, config.patch_size, config.feat_dim, config.max_length) == (1_764, 4, 64, 8_192)
    assert (config.lm.num_layers, config.residual_lm.num_layers, config.encoder.num_layers, config.dit.num_layers) == (
        24,
        8,
        8,
        8,
    )
    assert (config.lm.head_dim, config.lm.qkv_size, config.encoder.num_kv_heads, config.fsq_scale) == (64, 1280, 2, 9)
    assert config.lm.rope_factors[0] == 1.0004360675811768
    assert config.lm.rope_amplitude == 1.0
    assert config.lm.residual_scale == config.embedding_scale == 1.0  # use_mup is false: the scales are there, unused


def test_the_published_v1_is_read_though_it_does_not_tell_its_codec(tmp_path: Path) -> None:
    told = read(PUBLISHED_05B.config("bfloat16"), tmp_path)
    untold = read(changed(PUBLISHED_05B.config("bfloat16"), "audio_vae_config", None), tmp_path)
    assert untold == told
    assert untold.vae == V1_VAE
    assert (untold.sample_rate, untold.patch_samples) == (16_000, 1_280)


def test_v2_is_refused_with_what_is_served(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: 'architecture' .* one of voxcpm, but \"voxcpm2\" came\.$"):
        read({"architecture": "voxcpm2"}, tmp_path)


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(path: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read(changed(TINY.config("float32"), path, None), tmp_path)
    assert str(caught.value) == f"{tmp_path}/config.json: the key '{path}' was expected, but it is missing."


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("lm_config", [], "'lm_config' was expected to be an object, but [] came"),
        ("lm_config.hidden_size", "64", "'lm_config.hidden_size' was expected to be an integer from 1"),
        ("lm_config.hidden_size", True, "but true came"),
        ("lm_config.num_hidden_layers", 10**9, "an integer from 1 to 1024, but 1000000000 came"),
        ("patch_size", 0, "'patch_size' was expected to be an integer from 1"),
        ("lm_config.rms_norm_eps", -1, "'lm_config.rms_norm_eps' was expected to be a positive number, but -1 came"),
        ("lm_config.rope_theta", math.inf, "a positive number, but Infinity came"),
        ("lm_config.rope_scaling.short_factor", [1, math.nan], "a list of positive numbers, but [1, NaN] came"),
        ("lm_config.rope_scaling.short_factor", [True] * 8, "a list of positive numbers"),
        ("lm_config.rope_scaling.original_max_position_embeddings", 1, "an integer from 2"),
        ("lm_config.use_mup", 1, "'lm_config.use_mup' was expected to be true or false, but 1 came"),
        ("lm_config.no_rope", True, "'lm_config.no_rope' was expected to be false, but true came"),
        ("lm_config.vocab_size", 101, "'lm_config.vocab_size' was expected to be an integer from 102"),
        ("dit_mean_mode", True, "'dit_mean_mode' was expected to be false, but true came"),
        ("audio_vae_config.depthwise", False, "'audio_vae_config.depthwise' was expected to be true"),
        ("audio_vae_config.use_noise_block", True, "'audio_vae_config.use_noise_block' was expected to be false"),
        ("audio_vae_config.encoder_rates", [], "'audio_vae_config.encoder_rates' was expected to be integers from 1"),
        ("dtype", ["bfloat16"], "'dtype' was expected to be one of bfloat16"),
        ("dtype", "int8", 'but "int8" came'),
        # sizes that do not fit together
        ("lm_config.num_key_value_heads", 3, "'lm_config': a number of heads that 3 key-value heads divide"),
        ("encoder_config.num_heads", 6, "'encoder_config': a width that 6 heads divide was expected, but 32 came"),
        ("dit_config.num_heads", 12, "'dit_config': a head dimension of twice the 8 rope factors was expected, but 8"),
        ("feat_dim", 32, "'audio_vae_config.latent_dim' was expected to be feat_dim, 32, but 16 came"),
        (
            "audio_vae_config.decoder_rates",
            [7, 7],
            "'audio_vae_config.decoder_rates' was expected to be of the product",
        ),
        ("audio_vae_config.decoder_dim", 40, "'audio_vae_config.decoder_dim' was expected to be divisible by 2 to the"),
        ("max_length", 513, "'max_length' was expected to be at most lm_config.max_position_embeddings, 512"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: object, said: str, tmp_path: Path) -> None:
    values = changed(TINY.config("float32"), path, value)
    with pytest.raises(ModelError) as caught:
        read(values, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/config.json: ")
    assert said in str(caught.value)
    assert config_problems(tmp_path)[0] == str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", "[" * 100_000, "\ufffe", '{"lm_config": 1e999}'],
    ids=lambda text: text[:6] or "empty",
)
def test_what_is_no_config_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json: .* expected") as caught:
        read(text, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^A readable .*config\.json was expected, but it is not: No such file"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ModelError, match=r"config\.json: JSON was expected"):
        read_config(tmp_path)


def test_mup_scales_each_stack_by_its_own_depth(tmp_path: Path) -> None:
    """Also where the scale of the language model happens to be 1, as it is without muP."""
    values = changed(TINY_MUP.config("float32"), "lm_config.scale_depth", math.sqrt(TINY_MUP.layers))
    config = read(values, tmp_path)
    assert config.embedding_scale == 12
    assert config.lm.residual_scale == 1.0
    assert config.dit.residual_scale == pytest.approx(math.sqrt(TINY_MUP.layers / TINY_MUP.dit.layers))
    assert config.residual_lm.residual_scale == pytest.approx(math.sqrt(TINY_MUP.layers))


def test_the_long_factors_apply_when_the_configured_length_is_beyond_the_original(tmp_path: Path) -> None:
    values = TINY.config("float32")
    values["lm_config"]["rope_scaling"] |= {"long_factor": [2.0] * 8, "original_max_position_embeddings": 256}
    config = read(values, tmp_path)
    assert config.dit.rope_factors == (2.0,) * 8
    assert config.lm.rope_amplitude == pytest.approx(math.sqrt(1 + math.log(2) / math.log(256)))
    values["lm_config"]["rope_scaling"]["original_max_position_embeddings"] = 1024  # shorter than the original: no root
    assert read(values, tmp_path).lm.rope_amplitude == pytest.approx(math.sqrt(1 - math.log(2) / math.log(1024)))


def test_all_that_is_wrong_is_found_at_once(tmp_path: Path) -> None:
    values = TINY.config("float32")
    del values["lm_config"]["hidden_size"], values["dit_config"], values["audio_vae_config"]["latent_dim"]
    values["max_length"] = values["lm_config"]["num_attention_heads"] = "many"
    (tmp_path / "config.json").write_text(json.dumps(values))
    names = [sentence.split("'")[1] for sentence in config_problems(tmp_path)]
    assert sorted(names) == [
        "audio_vae_config.latent_dim",
        "dit_config",
        "lm_config.hidden_size",
        "lm_config.num_attention_heads",
        "max_length",
    ]
    (tmp_path / "config.json").write_text('{"architecture": "voxcpm2"}')
    assert len(config_problems(tmp_path)) == 1  # what another architecture says is not held against it


def test_a_config_is_read_without_torch() -> None:
    code = "import sys; import models.voxcpm.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUES |= st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=2)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(list(paths(TINY.config("float32")))), value=VALUES)
def test_whatever_a_field_holds_is_read_or_refused(
    path: str, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    values = changed(TINY.config("float32"), path, 0)
    (folder / "config.json").write_text(json.dumps(changed(values, path, value)))
    problems = config_problems(folder)
    if problems:
        with pytest.raises(ModelError, match=re.escape(problems[0])):
            read_config(folder)
    else:
        read_config(folder)
