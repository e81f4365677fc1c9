"""Peers that speak in turn, on a tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.peers import PATCHES_PER_TURN, TURNS_PER_UTTERANCE, main
from tests.models.voxcpm.oracle.ask import is_installed


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("peers") / "checkpoint"
    write_checkpoint(out, TINY, seed=1, never_stop=True)
    return out


def measured(checkpoint: Path, output: Path, *flags: str) -> dict[str, object]:
    arguments = ("--checkpoint", checkpoint, "--output", output, "--rounds", 1, "--threads", 1, *flags)
    assert main([str(each) for each in arguments]) == 0
    (path,) = output.iterdir()
    return dict(json.loads(path.read_text()))


def test_our_patches_are_measured_stage_by_stage(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(checkpoint, tmp_path, "--int8", "--dtype", "bfloat16")
    assert found["bench"] == "peers-bfloat16-int8"
    ours = found["voxwire"]
    assert isinstance(ours, dict)
    assert ours["patch_ms"]["n"] == PATCHES_PER_TURN * TURNS_PER_UTTERANCE
    for stage in ("base LM", "residual LM", "DiT", "LocEnc", "VAE"):
        assert 0 < ours["stages_ms"][stage]["min"] < ours["patch_ms"]["p50"]
    assert 0 < ours["rss_gb"] <= ours["peak_gb"]
    assert "| voxwire" in capsys.readouterr().out


@pytest.mark.skipif(not is_installed(), reason="the official package is not installed")
def test_the_official_loop_speaks_the_same_number_of_patches(checkpoint: Path, tmp_path: Path) -> None:
    found = measured(checkpoint, tmp_path, "--official")
    ours, official = found["voxwire"], found["official"]
    assert isinstance(ours, dict)
    assert isinstance(official, dict)
    assert ours["patch_ms"]["n"] == official["patch_ms"]["n"]
    assert official["stages_ms"]["VAE"]["min"] > 0
    assert isinstance(found["speedup"], dict)


def test_a_peer_that_cannot_speak_is_told(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--checkpoint", str(checkpoint), "--quick", "--rounds", "1", "--steps", "0"]) == 1
    assert "a peer ended" in capsys.readouterr().err
