"""The oracle's process: `python -m tests.models.voxcpm.oracle.process FOLDER` answers the questions in that folder."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .official import Official, stub_modules
from .questions import Tokens, read_questions


def main(folder: Path) -> None:
    """Writes answers.npz. Adapters make a model of their own; any other is loaded once."""
    stub_modules()
    torch.set_num_threads(1)
    official = cache(Official)
    answers: dict[str, NDArray[Any]] = {}
    for question in read_questions(folder):
        if isinstance(question, Tokens):
            found = official(question.checkpoint).tokens(question)
        else:
            found = official(question.checkpoint, question.adapter).speech(question)
        answers |= {f"{question.name}.{field}": value for field, value in found.items()}
    np.savez(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
