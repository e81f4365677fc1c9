"""What the official implementation can be asked, and how that is put into files: one JSON, one npz of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = Mapping[str, NDArray[Any]]
"""Arrays by `question.field`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The ids of texts. Answers `ids`, those of all texts in a row, and `ends`, where each text's end among them."""

    name: str
    checkpoint: Path
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Speech:
    """A text spoken. Answers, with N patches made from T tokens and prompt patches:

    `prompt_latents` [P, patch, feat] · `mu` [N, dit] · `stop_logits` [N, 2] · `latents` [N, patch, feat] · `stopped` ·
    `audio` [samples].
    With `num_detailed`: `ids` [T], 0 for a patch · `prefill_base`, `prefill_residual` and `prefill_fsq` (the
    quantiser's output for every position) [T, hidden] · each call of the DiT for so many patches, without guidance:
    `dit_x` and `dit_cond` [calls, feat, patch], `dit_t` [calls], `dit_mu` [calls, dit], `dit_v` [calls, 2, feat,
    patch], with mu and with 0 for it.
    `streaming` has one answer only, `chunks` [N, samples].
    """

    name: str
    checkpoint: Path
    text: str
    noise: NDArray[np.float32]  # [patches, feat, patch], and no more patches than that
    prompt_text: str = ""
    prompt_audio: NDArray[np.float32] | None = None  # [samples], at the model's rate
    adapter: Path | None = None
    num_steps: int = 10
    cfg_value: float = 2.0
    streaming: bool = False
    num_detailed: int = 0


Question = Tokens | Speech


def write_questions(folder: Path, questions: Sequence[Question]) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    described: list[dict[str, Any]] = []
    for question in questions:
        values: dict[str, Any] = {"kind": type(question).__name__}
        for field in fields(question):
            value = getattr(question, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"{question.name}.{field.name}"] = value
            elif value is not None:
                values[field.name] = str(value) if isinstance(value, Path) else value
        described.append(values)
    (folder / "questions.json").write_text(json.dumps(described), encoding="utf-8")
    np.savez(folder / "arrays.npz", **arrays)


def read_questions(folder: Path) -> list[Question]:
    questions: list[Question] = []
    with np.load(folder / "arrays.npz") as arrays:
        for values in json.loads((folder / "questions.json").read_text(encoding="utf-8")):
            values = {
                name: Path(value) if name in ("checkpoint", "adapter") else value for name, value in values.items()
            }
            kind = {"Tokens": Tokens, "Speech": Speech}[values.pop("kind")]
            names = (field.name for field in fields(kind) if f"{values['name']}.{field.name}" in arrays)
            questions.append(kind(**values, **{name: arrays[f"{values['name']}.{name}"] for name in names}))
    return questions
