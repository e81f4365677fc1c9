"""A stretch of speech as the language models read it: a text, and the patches that speak it."""

from __future__ import annotations

import re

from torch import Tensor


class Passage:
    """Grows by a patch at a time. A patch is embedded (LocEnc) when the next one needs it, so the last may not be."""

    __slots__ = ("embeddings", "latents", "text")

    def __init__(self, text: str, latents: list[Tensor] | None = None) -> None:
        self.text = text
        self.latents: list[Tensor] = latents or []  # float32 [patch, feat] each
        self.embeddings: list[Tensor] = []  # [hidden] each

    @property
    def num_patches(self) -> int:
        return len(self.latents)

    @property
    def unembedded(self) -> list[Tensor]:
        return self.latents[len(self.embeddings) :]


def spaced(text: str) -> str:
    """A text as the model reads it: runs of white space are one space (the original does so)."""
    return re.sub(r"\s+", " ", text)


def joined(*texts: str) -> str:
    """Texts as one, with a space between two whose languages write one (the model itself adds nothing)."""
    text = ""
    for each in texts:
        needs_space = text and each and not text[-1].isspace() and not each[0].isspace()
        text += " " + each if needs_space and (text[-1].isascii() or each[0].isascii()) else each
    return text
