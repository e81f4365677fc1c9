"""Words whose full stop does not end a sentence."""

from __future__ import annotations

from enum import Enum, auto


class StopKind(Enum):
    """What a full stop after a word, and before a space, says."""

    END = auto()  # the sentence is over
    NEVER = auto()  # it belongs to the word
    BEFORE_CAPITAL = auto()  # over if a capital letter follows
    UNLESS_NUMBER = auto()  # over unless a number follows


_NEVER_WORDS = """
adm approx assn asst attn brig ca capt cf cmdr col cpl dept dr e.g eds ens esp est ex fr gen gov hon i.e incl lt maj
messrs mlle mm mme mr mrs ms mt mx nb orig pfc prof pvt rep rev sen sgt sr sra srta st ste supt tel viz vs z.b bzw d.h
u.a usw
"""
_BEFORE_CAPITAL_WORDS = """
a.d a.m al apt assoc ave b.c blvd bros c.e co corp ct ed etc ext ft hr hrs hwy inc intl jr ltd max mfg min mins misc
natl oz p.m p.s par pkg pl rd sec secs sq temp univ
jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
"""
_NEVER = frozenset(_NEVER_WORDS.split())
_BEFORE_CAPITAL = frozenset(_BEFORE_CAPITAL_WORDS.split())
_UNLESS_NUMBER = frozenset(("no", "nos", "nr", "art", "ch", "fig", "figs", "eq", "pp", "p", "pt", "vol", "vols", "ver"))


def stop_kind(word: str) -> StopKind:
    """Judge the full stop behind `word` (without the stop itself, quotes and brackets)."""
    lower = word.lower()
    if lower in _UNLESS_NUMBER:
        return StopKind.UNLESS_NUMBER
    if lower in _NEVER:
        return StopKind.NEVER
    if lower in _BEFORE_CAPITAL:
        return StopKind.BEFORE_CAPITAL
    if len(word) == 1 and word.isalpha() and word != "I":  # an initial or a short form: J. Smith, b. 1950
        return StopKind.NEVER
    if "." in word and all(len(part) <= 2 and part.isalpha() for part in word.split(".")):  # U.S. D.C. Ph.D.
        return StopKind.NEVER
    return StopKind.END
