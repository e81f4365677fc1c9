"""Runs `interpreted.py`, the kernels under Triton's interpreter, in the process of its own that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

ROOT = Path(__file__).parents[3]


def interpreted(marks: str) -> subprocess.CompletedProcess[str]:
    module = Path(__file__).with_name("interpreted.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, str(module)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_every_kernel_agrees_with_its_plain_form() -> None:
    run = interpreted("not full")
    assert run.returncode == 0, run.stdout


@pytest.mark.full
@pytest.mark.timeout(300)
def test_every_kernel_agrees_with_its_plain_form_at_more_sizes() -> None:
    run = interpreted("full")
    assert run.returncode == 0, run.stdout
