"""The arithmetic of a step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.checkpoint_shapes import PUBLISHED_15
from bench.gpu_flops import step_flops, utilisation
from models.voxcpm.config import read_config


def test_a_step_of_the_published_shape_is_44_gigaflop_and_mostly_the_dit(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED_15.config("bfloat16")))
    flops = step_flops(read_config(tmp_path))
    assert flops["all"] / 1e9 == pytest.approx(44.4, abs=0.1)
    assert flops["DiT"] / 1e9 == pytest.approx(38.73, abs=0.05)
    assert flops["VAE"] / 1e9 == pytest.approx(3.49, abs=0.05)
    assert utilisation(flops["all"], 112, 0.0125, 790e12) == pytest.approx(0.5, abs=0.01)


def test_shorter_patches_cost_less_a_step_and_more_a_second(tmp_path: Path) -> None:
    by_size = {}
    for patch in (1, 4):
        (tmp_path / "config.json").write_text(json.dumps(replace(PUBLISHED_15, patch=patch).config("bfloat16")))
        by_size[patch] = step_flops(read_config(tmp_path))["all"]
    assert by_size[1] < by_size[4] < 4 * by_size[1]
