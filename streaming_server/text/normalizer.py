"""Turns what is written into what is said: numbers, dates, money, units, addresses, signs. English and Chinese.

Text is not rewritten as a whole: rules find the tokens that need it, and everything else stays, letter by letter; so
nothing is damaged that was fine, and each spoken character knows its place in the original.
"""

from __future__ import annotations

from . import chinese_quantities, chinese_words, english_dates, english_money, english_quantities, english_words
from .rewriter import Rewriter, spaced
from .segment import Segment, positions
from .spoken import Spoken
from .verbalizer import Verbalizer

_CHINESE = frozenset(("cmn", "yue", "zho"))
# Full-width digits, letters and signs; the full-width stops stay.
_FULL_WIDTH_SIGNS = "＃％＆＋－．＜＝＞＠"
_HALF_WIDTH = {
    code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code).isalnum() or chr(code) in _FULL_WIDTH_SIGNS
}


class Normalizer:
    """Thread-safe; one serves all utterances."""

    def __init__(self) -> None:
        self._verbalizer = Verbalizer()
        english = [
            *english_dates.rules(),
            *english_money.rules(),
            *english_quantities.rules(self._verbalizer),
            *english_words.rules(),
        ]
        chinese = [*chinese_quantities.rules(self._verbalizer), *chinese_words.rules()]
        self._rewriters = {"en": Rewriter(english), "zh": Rewriter(chinese)}
        self._needed = {"en": english_words.NEEDED, "zh": chinese_words.NEEDED}

    def warm(self) -> None:
        """Load what a first call would have to load (about half a second)."""
        self._verbalizer.warm()

    def plain(self, segment: Segment) -> Spoken | None:
        """The segment as it is, if nothing in it needs normalising; fast enough for an event loop."""
        needed = self._needed.get(_primary(segment.language))
        return None if needed and needed.search(segment.text) else _as_written(segment)

    def normalize(self, segment: Segment) -> Spoken:
        """What is said. Never raises: what cannot be normalised stays as it is written. A few ms; not for a loop."""
        plain = self.plain(segment)
        if plain is not None:
            return plain
        origins = segment.origins
        pieces = spaced(self._rewriters[_primary(segment.language)].rewrite(segment.text.translate(_HALF_WIDTH)))
        if not pieces:
            return _as_written(segment)
        said: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for piece in pieces:
            said.append(piece.text)
            starts += [origins[piece.start]] * len(piece.text)
            ends += [origins[piece.end - 1] + 1] * len(piece.text)
        return Spoken("".join(said), positions(starts), positions(ends))


def _primary(language: str) -> str:
    """The language of a tag: en of en-GB, zh of cmn."""
    primary = language.partition("-")[0].lower()
    return "zh" if primary in _CHINESE else primary


def _as_written(segment: Segment) -> Spoken:
    return Spoken(segment.text, segment.origins, positions([origin + 1 for origin in segment.origins]))
