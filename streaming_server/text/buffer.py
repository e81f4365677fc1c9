"""The text since the last cut, and the places where it could be cut."""

from __future__ import annotations

from .characters import (
    BREAKS,
    OPENERS,
    is_mark,
    is_space,
    is_speakable,
    is_unspaced,
    spoken_weight,
)
from .glyphs import Glyph

_MAX_REPEATS = 3  # of one silent character: "!!!!!!!!"
_MAX_WORD = 24  # characters of a word that is looked up
_BEFORE_PHRASE = frozenset("但和与或而因所如并且")
_AFTER_PHRASE = frozenset("的了着吗呢吧啊は、をが")
# English words before which a long text breathes, and words after which it does not.
_CONJUNCTIONS = frozenset(
    (
        "and",
        "but",
        "or",
        "because",
        "so",
        "which",
        "that",
        "when",
        "while",
        "if",
        "before",
        "after",
        "where",
        "who",
        "then",
    )
)
_DANGLING = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "with",
        "by",
        "from",
        "as",
        "my",
        "your",
        "his",
        "her",
        "its",
    )
) | {"our", "their", "this", "is", "are", "was", "were", "be", "not", "very", "I", "we", "you", "they"}
_LEADING_VOWELS = frozenset("เแโใไ")  # Thai: written before the consonant they follow


class Buffer:
    """Glyphs of the segment in work. Positions are between glyphs: 0 is before the first."""

    def __init__(self) -> None:
        self.glyphs: list[Glyph] = []
        self._weights: list[int] = []  # running sum
        self._places: dict[str, int] = {}  # the last place fit for a forced cut, by quality
        self.has_kana = False

    def __len__(self) -> int:
        return len(self.glyphs)

    @property
    def weight(self) -> int:
        """Of all of it; see `characters.spoken_weight`."""
        return self._weights[-1] if self._weights else 0

    def weight_until(self, here: int) -> int:
        return self._weights[here - 1] if here else 0

    def char(self, index: int) -> str:
        """Empty outside."""
        return self.glyphs[index][0] if 0 <= index < len(self.glyphs) else ""

    def append(self, glyph: Glyph) -> None:
        char = glyph[0]
        self._note_place(char)
        self.glyphs.append(glyph)
        self._weights.append(self.weight + spoken_weight(char))
        self.has_kana = self.has_kana or "\u3040" <= char <= "\u30ff"

    def stretch(self, end: int) -> None:
        """The last glyph also stands for markup up to `end`."""
        if self.glyphs:
            char, start, _ = self.glyphs[-1]
            self.glyphs[-1] = (char, start, end)

    def replace(self, index: int, char: str) -> None:
        _, start, end = self.glyphs[index]
        self.glyphs[index] = (char, start, end)

    def repeats(self, char: str) -> bool:
        """True for one more of a silent character that has been there often enough."""
        last = self.glyphs[-_MAX_REPEATS:]
        return len(last) == _MAX_REPEATS and not is_speakable(char) and all(glyph[0] == char for glyph in last)

    def without_trailing_space(self) -> int:
        """The position behind the last visible glyph."""
        here = len(self.glyphs)
        while here and (is_space(self.char(here - 1)) or self.char(here - 1) in BREAKS):
            here -= 1
        return here

    def word_start(self, end: int, longest: int = _MAX_WORD) -> int:
        """Where the word that ends at `end` begins; at most `longest` characters back."""
        start = end
        while start and end - start < longest:
            char = self.char(start - 1)
            if is_space(char) or char in BREAKS or is_unspaced(char):
                break
            start -= 1
        return start

    def word_before(self, end: int) -> str:
        """The word that ends at `end`, without quotation marks and brackets."""
        return "".join(char for char, _, _ in self.glyphs[self.word_start(end) : end]).strip("\"'“”‘’()[]{}«»")

    def note_clause(self, here: int) -> None:
        """A clause ends at `here`, though no segment was cut there."""
        self._places["clause"] = here

    def _note_place(self, char: str) -> None:
        """Remember the place before `char` if a word ends there."""
        here = len(self.glyphs)
        previous = self.char(here - 1)
        if previous == " ":
            word = self.word_before(here - 1)
            self._places["word" if word in _DANGLING or word.isdigit() else "phrase"] = here
            if word in _CONJUNCTIONS:
                self._places["joint"] = self.word_start(here - 1)
        elif (is_unspaced(char) or is_unspaced(previous)) and is_speakable(char) and previous not in OPENERS:
            if is_mark(char) or previous in _LEADING_VOWELS:
                return
            self._places["word"] = here
            if previous in _AFTER_PHRASE or char in _BEFORE_PHRASE:
                self._places["phrase"] = here

    def forced_place(self) -> int:
        """Where to cut a text that has become too long: the best place that is not too near the beginning."""
        for quality, percent in (("clause", 30), ("joint", 50), ("phrase", 30), ("word", 30)):
            here = self._places.get(quality, 0)
            if here and 100 * self.weight_until(here) >= percent * self.weight:
                return here
        return len(self.glyphs)
