"""Peers that speak to many at once, as far as a machine without CUDA goes."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import peer_nano
from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.peer_crowds import _against, _unpacked, highest_without_gap, measure, notes
from bench.peers import main
from bench.report import ROOT
from tests.models.voxcpm.oracle.ask import is_installed


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("crowds") / "checkpoint"
    write_checkpoint(out, TINY, seed=1, never_stop=True)
    return out


def row(peer: str, streams: int, step_ms: float, gaps: int = 0) -> dict[str, Any]:
    return {"peer": peer, "streams": streams, "step_ms": step_ms, "underruns": {"streams": gaps}, "refused": 0}


@pytest.mark.skipif(not is_installed(), reason="the official package is not installed")
def test_every_peer_that_can_speaks_and_the_others_say_why_not(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--streams", "1,2", "--device", "cpu", "--patches", 4, "--threads", 1)
    assert main([str(each) for each in (*arguments, "--checkpoint", checkpoint, "--output", tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())
    assert [(each["peer"], each["streams"]) for each in found["rows"]] == [
        ("voxwire", 1),
        ("voxwire", 2),
        ("official", 1),
    ]
    assert all(each["step_ms"] > 0 and not each["flat_patches"] for each in found["rows"])
    assert found["peers"]["official"]["own_token_ids"]  # the official tokenizer reads the same ids from the files
    assert found["left_out"] == {"nano": "nano-vllm-voxcpm needs a CUDA device, and this is a CPU."}
    assert found["against"]["official"]["step"] > 0
    assert "nano is left out" in capsys.readouterr().out


def test_a_peer_that_is_too_slow_is_left_out(checkpoint: Path) -> None:
    found = measure(checkpoint, kinds=("voxwire",), streams=(1,), device="cpu", seconds=0.1)
    assert found["left_out"] == {"voxwire": "ran out of its 0 s"}
    assert found["rows"] == []


def test_peers_are_compared_by_a_step_alone_and_by_streams_without_a_gap() -> None:
    rows = [row("voxwire", 1, 2.0), row("voxwire", 256, 9.0), row("nano", 1, 12.0), row("nano", 8, 20.0)]
    rows.append(row("nano", 64, 170.0, gaps=3))
    assert highest_without_gap(rows) == 256
    assert _against(rows) == {"nano": {"step": 6.0, "streams": 32.0, "highest_without_gap": 8}}
    assert _against(rows[:2]) == {}


def test_a_readers_notes_name_the_stand_ins_share_and_foreign_tokens() -> None:
    share = {"rows": 64, "graph_ms": 20.0, "attention_ms": 1.0, "share": 0.05}
    said = {"own_token_ids": False, "extras": {"stand_in": [share]}}
    first, second = notes({"left_out": {}, "peers": {"nano": said}})
    assert "given ours" in first
    assert "1.00 of 20.00 ms of a captured step, 5 %" in second


def test_a_peers_wheel_is_for_its_process_alone(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "nano_vllm_voxcpm-2.0.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nanovllm_voxcpm/__init__.py", "")
    (folder,) = _unpacked("nano", wheels, tmp_path)
    assert (Path(folder) / "nanovllm_voxcpm" / "__init__.py").exists()
    assert _unpacked("voxwire", wheels, tmp_path) == []
    assert _unpacked("official", wheels, tmp_path) == []


def test_nano_says_in_one_sentence_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(peer_nano, "NEEDS", ("torch", "no_such_package", "nor_this_one"))
    assert peer_nano.missing() == "nano-vllm-voxcpm needs no_such_package, nor_this_one, which is not installed."


IMPORTED = """
import sys
from bench import peer_nano
peer_nano.make_importable()
import flash_attn, librosa, torchcodec
assert flash_attn.__file__.startswith(str(peer_nano.MODULES))
print(sorted(name for name in vars(flash_attn) if name.startswith("flash_attn_")))
"""


def test_the_stand_ins_are_where_nano_looks_for_them() -> None:
    """In a process of its own, as nano's is: nobody else sees these modules."""
    command = [sys.executable, "-c", IMPORTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['flash_attn_func', 'flash_attn_varlen_func', 'flash_attn_with_kvcache']"
