"""What the official implementation answered once: `python -m tests.models.voxcpm.oracle.references` asks it again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from .ask import ask
from .cases import TINIES
from .questions import Answers

REFERENCES = Path(__file__).parents[1] / "references"
THINNING = 41
"""Of stored audio every 41st sample is kept. That is no divisor of any hop: all phases come in turn."""

_SAMPLES = (".audio", ".chunks")


def thinned(name: str, answers: Answers) -> Answers:
    """A checkpoint's answers as they are stored."""
    mine = {field: value for field, value in answers.items() if field.startswith(f"{name}.")}
    return {field: value[..., ::THINNING] if field.endswith(_SAMPLES) else value for field, value in mine.items()}


def stored() -> Answers:
    """All stored answers."""
    answers: dict[str, np.ndarray] = {}
    for tiny in TINIES:
        with np.load(REFERENCES / f"{tiny.name}.npz") as file:
            answers |= file
    return answers


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        questions = []
        for tiny in TINIES:
            tiny.write(Path(name, tiny.name))
            questions += tiny.questions(Path(name, tiny.name))
        answers = ask(questions)
    for tiny in TINIES:
        np.savez_compressed(REFERENCES / f"{tiny.name}.npz", **thinned(tiny.name, answers))


if __name__ == "__main__":
    main()
