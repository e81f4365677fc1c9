"""A stretch of speech as the language models read it: a text, and the patches that speak it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(slots=True)
class Passage:
    """Its text and how many patches speak it; where they lie as tokens is known to whoever made them."""

    text: str
    num_patches: int = 0


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
