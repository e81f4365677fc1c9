"""Asks the official implementation, where it is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from .questions import Answers, Question, write_questions

ROOT = Path(__file__).parents[4]
VERSION = "2.0.3"
TIMEOUT_S = 110


def is_installed() -> bool:
    """Whether the wheel and what it needs are there, in the versions that are asked."""
    try:
        versions = version("voxcpm"), version("transformers")
    except PackageNotFoundError:
        return False
    needed = ("einops", "tqdm")
    return versions[0] == VERSION and int(versions[1].split(".")[0]) < 5 and all(map(importlib.util.find_spec, needed))


def ask(questions: Sequence[Question]) -> Answers:
    """All questions in one process of the official implementation. Raises RuntimeError with what it said last."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_questions(folder, questions)
        command = [sys.executable, "-m", "tests.models.voxcpm.oracle.process", name]
        done = subprocess.run(
            command, cwd=ROOT, text=True, timeout=TIMEOUT_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            raise RuntimeError(f"the oracle ended with {done.returncode}: {done.stdout[-2000:]}")
        with np.load(folder / "answers.npz") as answers:
            return dict(answers)
