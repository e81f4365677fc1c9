"""`python -m bench.gpu`, rehearsed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.gpu import NO_DEVICE, STAGES, main
from bench.report import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == NO_DEVICE == 3
    assert capsys.readouterr().out == "no CUDA device\n"


@pytest.mark.timeout(240)  # half a minute on a machine that does nothing else
@pytest.mark.full  # half a minute; the stages that speak are gone through below
def test_a_rehearsal_goes_through_every_stage_and_marks_what_it_finds(tmp_path: Path) -> None:
    done = run("--rehearse", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("gpu-rehearsal-*.json")
    found = json.loads(path.read_text())
    assert found["rehearsal"] is True
    stages: dict[str, Any] = found["stages"]
    assert list(stages) == [stage.name for stage in STAGES]
    assert {stage["outcome"] for stage in stages.values()} == {"ok"}
    by_stage = {name: stage["found"] for name, stage in stages.items()}
    assert by_stage["gates"]["passed"] is True
    assert [row["rows"] for row in by_stage["steps"]["buckets"]] == [1, 2, 4]
    assert [row["hz"] for row in by_stage["patches"]["patches"] if row["whose"] == "ours"] == [6.25, 12.5, 25.0]
    assert [row["seconds"] for row in by_stage["patches"]["patches"] if row["whose"] == "quoted"] == [1.8, 5.2]
    assert by_stage["ladder"]["rungs"][0]["first_audio_ms"]["n"] > 0
    assert by_stage["ladder"]["poisson"]["newcomers_first_audio_ms"]["n"] > 0
    assert by_stage["server"]["one_listener"]["first_audio_ms"]["n"] > 0
    assert by_stage["server"]["poisson"]["newcomers_faults"] == []
    assert by_stage["offline"]["audio_s_per_s"] > 0
    assert by_stage["memory"]["cold_start_s"] > 0
    assert [row["peer"] for row in by_stage["peers"]["rows"]] == ["voxwire"]
    page = path.with_suffix(".md").read_text()
    headings = [line for line in page.splitlines() if line.startswith("#") and "Stages" not in line]
    assert all("rehearsal" in line for line in headings)
    assert "| met" not in page
    assert "| missed" not in page


def test_a_stage_that_fails_leaves_the_others_and_what_it_had_found(tmp_path: Path) -> None:
    done = run("--rehearse", "--out", str(tmp_path), "--stages", "steps,machine", "--checkpoint", str(tmp_path))
    assert done.returncode == 1
    (path,) = tmp_path.glob("gpu-rehearsal-*.json")
    stages = json.loads(path.read_text())["stages"]
    assert stages["machine"]["outcome"] == "ok"
    assert stages["steps"]["outcome"].startswith("failed: ModelError")
    assert "config.json" in stages["steps"]["found"]["error"]


def test_an_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rehearse", "--stages", "machine,tea"]) == 2
    assert "got tea" in capsys.readouterr().out
