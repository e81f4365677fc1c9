"""What the benches have spoken: plain clauses without end, none like the one before, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from models.tone import CODE_POINT_SAMPLES, SAMPLE_RATE

LANGUAGES = ("en", "zh")

PACE_S = CODE_POINT_SAMPLES / SAMPLE_RATE
"""The test voice speaks a code point in so long."""

_EN = (
    "The old harbour|Our little engine|A quiet river|The northern train|Every second window|The last ferry",
    "slowly|almost never|often|usually|at first|now and then|without a sound",
    "follows|remembers|crosses|carries|surrounds|watches|repeats",
    "the morning light|a winding road|several green hills|the evening news|some forgotten music|the western shore",
)
_EN_LINKS = ", and | while | because | until | before "
_ZH = (
    "这条小河|旧的码头|北方的列车|我们的老师|街角的书店|最后一班船|邻居家的孩子",
    "总是|慢慢地|有时候|已经|常常|悄悄地|又一次",
    "记得|穿过|带来|围绕|看着|重复|等待",
    "早晨的阳光|弯弯的山路|远处的灯火|昨天的新闻|安静的村庄|西边的海岸|古老的歌谣",
)
_ZH_LINKS = "，然后|，而且|，因为|，直到|，所以"
_TOKEN = re.compile(r" ?[A-Za-z]+|[^A-Za-z]{1,2}")


class Texts:
    """An endless supply for one listener. The same seed gives the same texts."""

    def __init__(self, language: str, seed: int) -> None:
        """Raises ValueError for a language that there are no words of."""
        if language not in LANGUAGES:
            raise ValueError(f"expected one of {', '.join(LANGUAGES)}, got {language}")
        self._is_english = language == "en"
        self._parts = [part.split("|") for part in (_EN if self._is_english else _ZH)]
        self._links = (_EN_LINKS if self._is_english else _ZH_LINKS).split("|")
        self._random = Random(seed)

    def clause(self) -> str:
        """A clause with all that makes it whole: in English its end is the space behind the comma."""
        return self._phrase() + (", " if self._is_english else "，")

    def sentence(self) -> str:
        """Two clauses and a full stop: four to six seconds of speech."""
        first, second = self._phrase(), self._phrase()
        if self._is_english:
            second = second[0].lower() + second[1:]
        return first + self._random.choice(self._links) + second + (". " if self._is_english else "。")

    def sentences(self, num_chars: float) -> str:
        """Whole ones, of at least so many characters in all."""
        text = ""
        while len(text) < num_chars:
            text += self.sentence()
        return text

    def _phrase(self) -> str:
        return (" " if self._is_english else "").join(self._random.choice(part) for part in self._parts)


def deltas(text: str) -> Iterator[str]:
    """The text as a language model would write it: a word with the space before it, or two characters at a time."""
    return iter(_TOKEN.findall(text))
