"""What a run of one punctuation character means: `**` before a word, `---` on a line of its own, `_` inside a name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from .characters import LINE_ENDS, is_ascii_alnum, is_space, is_speakable, is_unspaced

RUN_CHARS = frozenset("*_`~-=#+")
_MAX_KEPT = 3  # of a longer run that is text


@dataclass(frozen=True, slots=True)
class Run:
    """`num_chars` times `char` from code point `start` on; `previous` is the cleaned character before it."""

    char: str
    start: int
    num_chars: int
    previous: str
    opens_line: bool

    @property
    def end(self) -> int:
        return self.start + self.num_chars


class RunMeaning(Enum):
    TEXT = auto()
    MARKUP = auto()  # taken out
    RULE = auto()  # a line across the page, or under a heading
    GAP = auto()  # taken out, and the words beside it stay apart
    DASH = auto()  # a pause
    BULLET = auto()
    HEADING = auto()
    FENCE = auto()
    CODE = auto()


def meaning_of_run(run: Run, following: str) -> RunMeaning:
    """Judge a run by the two characters beside it; `following` is a line end where the text stops."""
    ends_line = following in LINE_ENDS
    before_space = ends_line or is_space(following)
    if run.opens_line:
        if run.char in "*-+" and run.num_chars == 1 and before_space:
            return RunMeaning.BULLET
        if run.char == "#" and run.num_chars <= 6 and before_space:
            return RunMeaning.HEADING
        if run.char in "`~" and run.num_chars >= 3:
            return RunMeaning.FENCE
        if (run.char in "-=_*" and ends_line) or (run.char in "-=" and run.num_chars >= 3):
            return RunMeaning.RULE
    after_space = run.previous in " \n\u2029"
    match run.char:
        case "`":
            return RunMeaning.CODE
        case "*":
            return _star(run, following, after_space and before_space)
        case "_":
            if _is_name_part(run.previous) and _is_name_part(following):
                return RunMeaning.TEXT
            return RunMeaning.GAP if run.num_chars > 2 else RunMeaning.MARKUP
        case "~":
            return RunMeaning.TEXT if run.num_chars == 1 else RunMeaning.MARKUP
        case "-":
            if run.num_chars == 1:
                return RunMeaning.TEXT
            if run.num_chars > 3:
                return RunMeaning.GAP
            return RunMeaning.TEXT if after_space and not before_space else RunMeaning.DASH
        case "#":
            return RunMeaning.MARKUP if run.num_chars > 6 or (after_space and ends_line) else RunMeaning.TEXT
        case _:
            return RunMeaning.TEXT if run.num_chars <= _MAX_KEPT else RunMeaning.GAP


def _star(run: Run, following: str, alone: bool) -> RunMeaning:
    """`2*3`, `f(x)*y`, `2 * 3` and `x**2` are sums; all other stars are emphasis."""
    before_term = is_ascii_alnum(following) or following == "("
    after_term = is_ascii_alnum(run.previous) or run.previous == ")"
    if run.num_chars == 1 and not run.opens_line and (alone or (after_term and before_term)):
        return RunMeaning.TEXT
    if run.num_chars == 2 and after_term and following.isdigit():
        return RunMeaning.TEXT
    return RunMeaning.MARKUP


def _is_name_part(char: str) -> bool:
    return is_speakable(char) and not is_unspaced(char)
