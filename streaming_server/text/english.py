"""The English rules in their order."""

from __future__ import annotations

from . import english_quantities, english_words
from .english_words import NEEDED
from .rewriter import Rule
from .verbalizer import Verbalizer

__all__ = ["NEEDED", "rules"]


def rules(verbalizer: Verbalizer) -> list[Rule]:
    """Quantities come before words: "$3" and "3 m" before "$" and "m"."""
    return [*english_quantities.rules(verbalizer), *english_words.rules()]
