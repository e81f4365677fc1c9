"""The Chinese rules in their order."""

from __future__ import annotations

from . import chinese_quantities, chinese_words
from .chinese_words import NEEDED
from .rewriter import Rule
from .verbalizer import Verbalizer

__all__ = ["NEEDED", "rules"]


def rules(verbalizer: Verbalizer) -> list[Rule]:
    """Quantities come before words, as in English."""
    return [*chinese_quantities.rules(verbalizer), *chinese_words.rules()]
