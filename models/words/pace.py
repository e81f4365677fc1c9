"""How fast a voice speaks, in seconds a syllable, whatever the script."""

from __future__ import annotations

USUAL_SYLLABLE_S = 0.16

_FIRST_IDEOGRAPH = "\u2e80"
_SYLLABLES_IN_A_LETTER = 0.38  # of an alphabet


def expected_seconds(text: str, syllable_s: float) -> float:
    """How long a voice of that pace takes for a text."""
    return syllable_s * _num_syllables(text)


def measured_pace(text: str, seconds: float) -> float:
    """Seconds a syllable of a voice that took so long for a text; the usual pace where nothing was said."""
    num_syllables = _num_syllables(text)
    return seconds / num_syllables if num_syllables and seconds > 0 else USUAL_SYLLABLE_S


def _num_syllables(text: str) -> float:
    """Roughly."""
    return sum(1.0 if each >= _FIRST_IDEOGRAPH else _SYLLABLES_IN_A_LETTER for each in text if each.isalnum())
