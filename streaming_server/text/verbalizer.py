"""wetext, behind one lock: says single tokens, and admits it when it cannot."""

from __future__ import annotations

import re
from threading import Lock
from typing import Any, Literal

_DIGITS = re.compile(r"\d")


class Verbalizer:
    """Thread-safe. It is given tokens, never sentences: in a sentence wetext changes what it should leave alone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._engines: dict[str, Any] = {}

    def warm(self) -> None:
        """Load both languages (about half a second)."""
        self.say("1 kg", "en")
        self.say("1kg", "zh")

    def say(self, token: str, language: Literal["en", "zh"]) -> str | None:
        """The words for a token; None if wetext fails, changes nothing or leaves a digit."""
        with self._lock:
            engine = self._engines.get(language)
            if engine is None:
                from wetext import Normalizer  # takes a quarter of a second, which no import should

                engine = self._engines[language] = Normalizer(lang=language, operator="tn")
            try:
                said = str(engine.normalize(token)).strip()
            except Exception:  # it asserts on some tokens ("#1"), and any failure means the same here
                return None
        return said if said and said != token and not _DIGITS.search(said) else None
