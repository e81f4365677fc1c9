"""Tiny checkpoints, and what the official implementation says of them: itself where it is installed, else as stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from numpy.typing import NDArray

from models.voxcpm import VoxCPM, load

from .oracle.ask import ask, is_installed
from .oracle.cases import TINIES, Tiny
from .oracle.questions import Answers, Question, Speech
from .oracle.references import THINNING, stored


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny layers are slower on several threads, by far where others work too; and results repeat to the bit on one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name, `checkpoint` and `adapter` in a folder for each tiny checkpoint."""
    folders = {tiny.name: tmp_path_factory.mktemp(tiny.name) for tiny in TINIES}
    for tiny in TINIES:
        tiny.write(folders[tiny.name])
    return folders


@pytest.fixture(scope="session")
def tiny_questions(tiny_folders: dict[str, Path]) -> dict[str, Question]:
    """All that is asked, by name."""
    questions = [question for tiny in TINIES for question in tiny.questions(tiny_folders[tiny.name])]
    return {question.name: question for question in questions}


@pytest.fixture(scope="session")
def live_answers(tiny_questions: dict[str, Question]) -> Answers | None:
    """The official implementation's, of one process for everything; None where it is not installed."""
    return ask(list(tiny_questions.values())) if is_installed() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """A tiny checkpoint and the official implementation's answers."""

    tiny: Tiny
    checkpoint: Path
    adapter: Path
    questions: dict[str, Question] = field(repr=False)
    answers: Answers = field(repr=False)
    thinning: int  # every so many samples of its audio are known

    def speech(self, name: str) -> Speech:
        question = self.questions[f"{self.tiny.name}.{name}"]
        assert isinstance(question, Speech)
        return question

    def answer(self, name: str, part: str) -> NDArray[Any]:
        return self.answers[f"{self.tiny.name}.{name}.{part}"]


@pytest.fixture(scope="session", params=TINIES, ids=lambda tiny: tiny.name)
def oracle(
    request: pytest.FixtureRequest,
    tiny_folders: dict[str, Path],
    tiny_questions: dict[str, Question],
    live_answers: Answers | None,
) -> Oracle:
    """Of each tiny checkpoint in turn."""
    tiny = request.param
    return Oracle(
        tiny=tiny,
        checkpoint=tiny_folders[tiny.name] / "checkpoint",
        adapter=tiny_folders[tiny.name] / "adapter",
        questions=tiny_questions,
        answers=stored() if live_answers is None else live_answers,
        thinning=THINNING if live_answers is None else 1,
    )


@pytest.fixture(scope="session")
def model(oracle: Oracle) -> VoxCPM:
    """The tiny checkpoint in the code under test."""
    return load(oracle.checkpoint)


@pytest.fixture(scope="session")
def adapted_model(oracle: Oracle) -> VoxCPM:
    """The same with its adapter beside it, which is chosen by name."""
    return load(oracle.checkpoint, adapters=[oracle.adapter])
