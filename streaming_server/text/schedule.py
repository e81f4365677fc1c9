"""How long a segment should be: the first short, for the sake of its listener, later ones long, for their melody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["auto", "sentence", "clause", "manual"]
MODES: tuple[Mode, ...] = get_args(Mode)

MAX_WEIGHT = 200
"""No segment weighs more, in any mode. See `characters.spoken_weight`; 200 is about 13 s of speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The least weight of speech for which each kind of boundary cuts, and the greatest that a segment may reach."""

    paragraph: int
    sentence: int
    clause: int
    limit: int


_NEVER = MAX_WEIGHT + 1
_AUTO = (
    # The first segment is whatever is complete first: "Hi." "Well," "嗯。" "你好，"; without punctuation, ten words.
    Sizes(paragraph=2, sentence=2, clause=4, limit=60),
    Sizes(paragraph=9, sentence=12, clause=30, limit=100),
    Sizes(paragraph=12, sentence=24, clause=60, limit=160),
    Sizes(paragraph=18, sentence=45, clause=110, limit=MAX_WEIGHT),
)
_SENTENCE = Sizes(paragraph=1, sentence=1, clause=_NEVER, limit=MAX_WEIGHT)
_CLAUSE = Sizes(paragraph=1, sentence=1, clause=4, limit=MAX_WEIGHT)
_MANUAL = Sizes(paragraph=_NEVER, sentence=_NEVER, clause=_NEVER, limit=MAX_WEIGHT)


def sizes_for(mode: Mode, rank: int) -> Sizes:
    """Sizes of the segment that is number `rank` since the utterance began or its writer paused."""
    match mode:
        case "auto":
            return _AUTO[min(rank, len(_AUTO) - 1)]
        case "sentence":
            return _SENTENCE
        case "clause":
            return _CLAUSE
        case _:
            return _MANUAL
