"""English rules for numbers of all kinds: units, fractions, ordinals, telephones, versions, ranges."""

from __future__ import annotations

import re

from .english_context import NUM, SCALES, TO, UNIT, touches
from .numbers_english import cardinal, digits, group_in_name, number, ordinal
from .rewriter import Rule, rule
from .units_english import unit_name
from .verbalizer import Verbalizer

_SIDES = "long|wide|tall|high|deep|thick|screen|display|TV|x|by"
_VULGAR_VALUES = "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8"
_VULGAR = dict(zip("½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", _VULGAR_VALUES.split(), strict=True))
_DENOMINATORS = {2: "half", 4: "quarter"}
_FIXED = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty", "20/20": "twenty twenty"}


# Behind these a number is a name, said in pairs as far as it goes: room four oh four, flight twelve thirty four.
_NAMED = re.compile(
    r"\b(?:rooms?|flights?|bus(?:es)?|routes?|gates?|channels?|highways?|interstate|freeway|suite|apartment|apt\.|unit"
    r"|exit|platform|train|boeing|airbus|https?|errors?(?:\scode)?|status(?:\scode)?|area|studio)"
    r"\s(?:number\s(?:is\s)?|no\.\s|#|(?-i:[A-Z]{2})\s)?$",
    re.IGNORECASE,
)
# Behind these it is a code.
_CODE = re.compile(
    r"(?<!error )(?<!status )(?:\bcode|\bPIN|\bpassword|\bzip|\bextension|\bext\.)(?:\sis|:)?\s$", re.IGNORECASE
)
_CALLED = re.compile(
    r"\b(?:call|calling|called|dial|dialing|dialling|dialed|ring|text|texting|phone)\s$", re.IGNORECASE
)
_CALLED_NUMBERS = frozenset(("911", "988", "999", "112", "000", "111", "311", "411", "211", "811", "101"))


def rules(verbalizer: Verbalizer) -> list[Rule]:
    """In the order in which they are tried."""

    def long_tail(match: re.Match[str]) -> str | None:
        """A unit that is left to wetext, which knows it."""
        return verbalizer.say(match[0], "en")

    return [
        rule("digit", rf"(?P<n>\d{{3,6}})(?![\w%]|[.,:/-]\d|[\s-]?{UNIT})", _numbered),
        rule("digit", r"(?:1[-. ])?\d{3}([-. ])\d{3}\1\d{4}(?![\d\w])", _phone),
        rule("digit", r"(?P<v>\d+(?:\.\d+){2,})(?![\d\w])", lambda match: version(match["v"])),
        rule("sign", r"\+\d{1,3}(?:[-. ]?\(?\d{1,4}\)?){2,5}(?!\d)", _phone),
        rule("sign", r"\(\d{3}\)\s?\d{3}[-. ]\d{4}(?!\d)", _phone),
        rule("digit", r"\d{3}-\d{4}(?![\d\w-])", _phone),
        rule("digit", r"\d+(?:-\d+){2,}(?![\d\w])", _phone),
        rule("digit", rf"(?P<a>{NUM}){TO}(?P<b>{NUM})\s?%", lambda match: f"{_to(match)} percent"),
        rule("digit", rf"(?P<a>{NUM})\s?%", lambda match: f"{number(match['a'])} percent"),
        rule("digit", r"(?P<feet>\d{1,2})['’′](?P<inches>\d{1,2})(?:[\"”″]|''|(?!\d))", _height),
        rule("digit", rf"(?:(?P<a>{NUM}){TO})?(?P<b>{NUM})(?P<gap>[\s-]?){UNIT}(?P<stop>\.(?=\s[a-z]))?", _measure),
        rule("digit", rf"(?P<a>\d{{1,3}})[\"”″](?=\s(?:{_SIDES})\b)", _inches),
        rule("digit", rf"(?P<a>{NUM})\s?[-−–]\s?(?P<b>{NUM})(?=\s?=)", lambda match: _between(match, "minus")),
        rule("digit", r"0[xX](?P<digits>[0-9A-Fa-f]+)\b", lambda match: f"hex {_name(match, 'digits')}"),
        rule("digit", rf"(?P<n>{NUM})\s(?:sq\s(?:ft|mi|km|yd|in|m)|mol|Sv|cd|atm|cwt)\b", long_tail),
        rule("digit", r"(?:(?P<whole>\d+)\s)?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/\w])", _fraction),
        rule("digit", rf"(?P<whole>\d+)\s?(?P<vulgar>[{''.join(_VULGAR)}])", _fraction),
        rule("sign", rf"(?P<vulgar>[{''.join(_VULGAR)}])", _fraction),
        rule("digit", r"(?P<n>\d[\d,]*)(?:st|nd|rd|th)\b", _ordinal),
        rule("digit", rf"(?P<a>{NUM})\s?[x×]\s?(?P<b>{NUM})", lambda match: _between(match, "by")),
        rule("digit", rf"(?P<a>{NUM})x\b(?!\s?[-+=^*)²³])", _times),
        rule("digit", r"(?P<a>\d+(?:\.\d+)?)[eE](?P<minus>-)?\+?(?P<b>\d{1,3})\b", _scientific),
        rule("digit", r"(?P<a>\d+):(?P<b>\d+)(?!\w)", _to),
        rule("digit", rf"(?P<a>{NUM})(?P<scale>[kKM]|bn|B(?=\s[a-z]))\b", _scaled),
        rule("digit", r"(?P<name>\d{1,4}(?:[A-Za-z]+\d*)+)", _name),
        rule("digit", rf"(?P<a>{NUM})[-–—~](?P<b>{NUM})(?![\d-])", _to),
        rule("digit", rf"(?P<n>{NUM})", lambda match: number(match["n"])),
        rule("sign", r"(?P<n>\.\d+)", lambda match: None if touches(match) else number(match["n"])),
        rule("sign", r"[-−–](?=[.$€£¥₹]?\d)", _minus),
    ]


def _numbered(match: re.Match[str]) -> str | None:
    """The number of a room, a flight or a code, which counts nothing."""
    written, before = match["n"], match.string[: match.start()][-40:]
    if _NAMED.search(before):
        return group_in_name(written)
    ordered = before.endswith("#") and len(written) >= 5
    called = written in _CALLED_NUMBERS and _CALLED.search(before)
    return digits(written) if ordered or called or _CODE.search(before) else None


def _between(match: re.Match[str], word: str) -> str:
    return f"{number(match['a'])} {word} {number(match['b'])}"


def _to(match: re.Match[str]) -> str:
    return _between(match, "to")


def version(text: str) -> str:
    """As in "one point two point three"; an IP address is read digit by digit."""
    parts = text.split(".")
    if len(parts) == 4 and all(int(part[:4]) < 256 for part in parts):
        return " dot ".join(digits(part) for part in parts)
    if len(parts) == 2:
        return number(text)
    return " point ".join(number(part) for part in parts)


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    said = [digits(group) for group in groups]
    return f"plus {', '.join(said)}" if match[0][0] == "+" else ", ".join(said)


def _height(match: re.Match[str]) -> str | None:
    if int(match["inches"]) > 11:
        return None
    return f"{cardinal(int(match['feet']))} foot {cardinal(int(match['inches']))}"


_LONE_WORDS = frozenset(("in", "us", "bar"))


def _measure(match: re.Match[str]) -> str | None:
    gap, symbol = match["gap"], match["unit"]
    if (
        symbol in _LONE_WORDS and gap and not match["stop"] and match.string[match.end() :][:1] != "."
    ):  # "5 in every 10"
        return None
    before = match.string[: match.start()].lower()
    attributive = gap == "-" or before.endswith((" a ", " an ")) or before in ("a ", "an ")
    plural = not attributive and (match["b"] != "1" or match["a"] is not None)
    words = _to(match) if match["a"] else number(match["b"])
    return f"{words} {unit_name(symbol, plural=plural)}"


def _fraction(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if match[0] in _FIXED:
        return _FIXED[match[0]]
    vulgar = groups.get("vulgar")
    top, bottom = (int(part) for part in (_VULGAR[vulgar].split("/") if vulgar else (groups["top"], groups["bottom"])))
    whole = f"{number(groups['whole'])} and " if groups.get("whole") else ""
    if not vulgar and not whole:
        if bottom in (10, 100):
            return f"{cardinal(top)} out of {cardinal(bottom)}"
        if not 1 <= top < bottom or bottom > 20:
            return f"{cardinal(top)} over {cardinal(bottom)}"
    if bottom < 2:
        return f"{whole}{cardinal(top)} over {cardinal(bottom)}"
    name = _DENOMINATORS.get(bottom) or ordinal(bottom)
    if top != 1:
        name = "halves" if bottom == 2 else f"{name}s"
    return f"{whole}{'a' if whole and top == 1 else cardinal(top)} {name}"


def _ordinal(match: re.Match[str]) -> str | None:
    value = match["n"].replace(",", "")
    return ordinal(int(value)) if len(value) <= 15 else None


def _scientific(match: re.Match[str]) -> str:
    minus = "minus " if match["minus"] else ""
    return f"{number(match['a'])} times ten to the power of {minus}{cardinal(int(match['b']))}"


def _scaled(match: re.Match[str]) -> str | None:
    value, scale = match["a"], match["scale"]
    if scale in "kK" and len(value.split(".")[0]) < 2:  # 4K, 5k: a resolution, a run
        return None
    return f"{number(value)} {SCALES[scale]}"


def _inches(match: re.Match[str]) -> str:
    return f"{number(match['a'])} {unit_name('in', plural=match['a'] != '1')}"


def _name(match: re.Match[str], group: str = "name") -> str:
    parts = re.findall(r"\d+|[A-Za-z]+", match[group])
    return " ".join(group_in_name(part) if part.isdigit() else part for part in parts)


def _times(match: re.Match[str]) -> str | None:
    """Behind a sign of arithmetic 2x is a term."""
    return None if re.search(r"[-+=(]\s?$", match.string[: match.start()]) else f"{number(match['a'])} times"


def _minus(match: re.Match[str]) -> str | None:
    return None if touches(match) else "minus "
