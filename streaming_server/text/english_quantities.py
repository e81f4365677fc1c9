"""English rules for what begins with a digit, a currency sign or a sign of a number."""

from __future__ import annotations

import re

from .numbers_english import (
    cardinal,
    digits,
    group_in_name,
    number,
    ordinal,
    pair,
    plural_decade,
    year,
)
from .rewriter import Rule, Say, Start
from .units_english import SYMBOLS, unit_name
from .verbalizer import Verbalizer

NUM = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
TO = r"\s?[-–—~]\s?"
DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_HALF_DAY = r"(?P<ap>[AaPp])(?:\.[Mm]\.|[Mm]\b)"
_UNIT = rf"(?P<unit>{'|'.join(re.escape(symbol) for symbol in SYMBOLS)})(?![\w²³]|/[a-z])"
_SIDES = "long|wide|tall|high|deep|thick|screen|display|TV|x|by"
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "US$": ("US dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "￥": ("yen", ""),
    "₹": ("rupee", "paisa"),
    "₩": ("won", ""),
    "₽": ("ruble", "kopeck"),
}
_UNCOUNTED = frozenset(("yen", "won"))
_SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "B": "billion", "bn": "billion"}
_MONTH_NAMES = "January February March April May June July August September October November December"
MONTHS = tuple(_MONTH_NAMES.split())
MONTH = "|".join(MONTHS) + r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)(?:\.(?=\s\d)|\b)"
_YEAR_WORDS = re.compile(
    r"\b(?:in|since|by|from|of|around|circa|year|until|till|before|after|AD|spring|summer|autumn|fall|winter"
    rf"|{'|'.join(MONTHS)})\s$",
    re.IGNORECASE,
)
_VULGAR_VALUES = "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8"
_VULGAR = dict(zip("½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞", _VULGAR_VALUES.split(), strict=True))
_DENOMINATORS = {2: "half", 4: "quarter"}
_FIXED = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty", "20/20": "twenty twenty"}
_DATE_WORDS = re.compile(r"\b(?:on|by|until|since|before|after|from)\s$", re.IGNORECASE)


def rules(verbalizer: Verbalizer) -> list[Rule]:
    """In the order in which they are tried."""

    def long_tail(match: re.Match[str]) -> str | None:
        """A unit that only wetext knows: "20 Wb"."""
        said = verbalizer.say(match[0], "en")
        return said if said and match["unit"] not in said.split() else None

    return [
        _rule("digit", r"(?P<y>[12]\d{3})(?P<sep>[-/.])(?P<m>\d\d?)(?P=sep)(?P<d>\d\d?)(?!\d)(?:T(?=\d\d:))?", _ymd),
        _rule("digit", r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4}|\d{2})(?!\d)", _ymd),
        _rule("digit", rf"{DAY}\s(?:of\s)?(?P<m>{MONTH})(?:,?\s(?P<y>\d{{4}}))?\b(?!\s\d)", _day_month),
        _rule("digit", r"(?:1[-. ])?\d{3}([-. ])\d{3}\1\d{4}(?![\d\w])", _phone),
        _rule("digit", r"(?P<v>\d+(?:\.\d+){2,})(?![\d\w])", lambda match: version(match["v"])),
        _rule("digit", rf"(?P<h>\d\d?):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?!\d)(?:\s?{_HALF_DAY})?", _time),
        _rule("digit", rf"(?P<h>\d\d?)\s?{_HALF_DAY}", _time),
        _rule("sign", r"\+\d{1,3}(?:[-. ]?\(?\d{1,4}\)?){2,5}(?!\d)", _phone),
        _rule("sign", r"\(\d{3}\)\s?\d{3}[-. ]\d{4}(?!\d)", _phone),
        _rule("digit", r"\d{3}-\d{4}(?![\d\w-])", _phone),
        _rule("digit", r"\d+(?:-\d+){2,}(?![\d\w])", _phone),
        *_money(),
        _rule("digit", rf"(?P<a>{NUM}){TO}(?P<b>{NUM})\s?%", lambda match: f"{_to(match)} percent"),
        _rule("digit", rf"(?P<a>{NUM})\s?%", lambda match: f"{number(match['a'])} percent"),
        _rule("digit", r"(?P<feet>\d{1,2})['’′](?P<inches>\d{1,2})(?:[\"”″]|''|(?!\d))", _height),
        _rule("digit", r"(?P<n>[12]\d\d0)['’]?s\b", _decade),
        _rule("digit", r"(?P<n>[2-9]0)['’]?s\b", _short_decade),
        _rule("sign", r"['’](?P<n>[2-9]0)s\b", _decade),
        _rule("digit", rf"(?:(?P<a>{NUM}){TO})?(?P<b>{NUM})(?P<gap>[\s-]?){_UNIT}", _measure),
        _rule(
            "digit", r"(?P<a>\d{1,3})[\"”″](?=\s(?:long|wide|tall|high|deep|thick|screen|display|TV|x|by)\b)", _inches
        ),
        _rule("digit", rf"(?P<a>{NUM})\s?[-−–]\s?(?P<b>{NUM})(?=\s?=)", lambda match: _between(match, "minus")),
        _rule("digit", r"0[xX](?P<digits>[0-9A-Fa-f]+)\b", lambda match: f"hex {_name(match, 'digits')}"),
        _rule("digit", r"(?:(?P<whole>\d+)\s)?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/\w])", _fraction),
        _rule("digit", rf"(?P<whole>\d+)\s?(?P<vulgar>[{''.join(_VULGAR)}])", _fraction),
        _rule("sign", rf"(?P<vulgar>[{''.join(_VULGAR)}])", _fraction),
        _rule("digit", r"(?P<n>\d[\d,]*)(?:st|nd|rd|th)\b", _ordinal),
        _rule("digit", rf"(?P<a>{NUM})\s?[x×]\s?(?P<b>{NUM})", lambda match: _between(match, "by")),
        _rule("digit", rf"(?P<a>{NUM})x\b", lambda match: f"{number(match['a'])} times"),
        _rule("digit", r"(?P<a>\d+(?:\.\d+)?)[eE](?P<minus>-)?\+?(?P<b>\d{1,3})\b", _scientific),
        _rule("digit", r"(?P<a>\d+):(?P<b>\d+)(?!\w)", _to),
        _rule("digit", rf"(?P<a>{NUM})(?P<scale>[kKM]|bn|B(?=\s[a-z]))\b", _scaled),
        _rule("digit", r"(?P<name>\d{1,4}(?:[A-Za-z]+\d*)+)", _name),
        _rule("digit", rf"(?P<n>{NUM})\s(?P<unit>[A-Z][a-z]|[a-z][A-Z])\b", long_tail),
        _rule("digit", r"(?P<a>[12]\d{3})[-–](?P<b>[12]\d{3})(?![\d\w])", _years),
        _rule("digit", rf"(?P<a>{NUM})[-–—~](?P<b>{NUM})(?![\d-])", _to),
        _rule("digit", rf"(?P<n>{NUM})", _plain),
        _rule("sign", r"(?P<n>\.\d+)", lambda match: None if _touches(match) else number(match["n"])),
        _rule("sign", r"[-−–](?=[.$€£¥₹]?\d)", _minus),
    ]


def _rule(start: Start, pattern: str, say: Say) -> Rule:
    return Rule(start, re.compile(pattern), say)


def _before(match: re.Match[str], num_chars: int = 1) -> str:
    return match.string[max(0, match.start() - num_chars) : match.start()]


def _touches(match: re.Match[str]) -> bool:
    """A letter, digit or closing bracket stands right before."""
    before = _before(match)
    return before.isalnum() or before in (")", "]", "'", "’") if before else False


def _ends_text(match: re.Match[str]) -> str:
    """The full stop that an abbreviation shares with its sentence."""
    after = match.string[match.end() :].strip("\"'”’) ")
    return "." if match[0].endswith(".") and (not after or after[0].isupper()) else ""


def _between(match: re.Match[str], word: str) -> str:
    return f"{number(match['a'])} {word} {number(match['b'])}"


def _to(match: re.Match[str]) -> str:
    return _between(match, "to")


def _years(match: re.Match[str]) -> str:
    return f"{year(int(match['a']))} to {year(int(match['b']))}"


def _ymd(match: re.Match[str]) -> str | None:
    month, day = int(match["m"]), int(match["d"])
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    number_of_year = int(match["y"])
    if number_of_year < 100:
        number_of_year += 2000 if number_of_year < 50 else 1900
    if number_of_year < 1000:
        return None
    time_follows = " " if match[0].endswith("T") else ""
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(number_of_year)}{time_follows}"


def month_name(written: str) -> str:
    return next(month for month in MONTHS if month.startswith(written.rstrip(".")[:3]))


def _day_month(match: re.Match[str]) -> str | None:
    day = int(match["d"])
    if not 1 <= day <= 31:
        return None
    article = "" if _before(match, 4).lower() == "the " else "the "
    tail = f" {year(int(match['y']))}" if match["y"] and int(match["y"]) >= 1000 else ""
    return f"{article}{ordinal(day)} of {month_name(match['m'])}{tail}"


def version(text: str) -> str:
    """As in "one point two point three"; an IP address is read digit by digit."""
    parts = text.split(".")
    if len(parts) == 4 and all(int(part[:4]) < 256 for part in parts):
        return " dot ".join(digits(part) for part in parts)
    if len(parts) == 2:
        return number(text)
    return " point ".join(number(part) for part in parts)


def _time(match: re.Match[str]) -> str | None:
    hour = int(match["h"])
    groups = match.groupdict()
    half = f" {groups['ap'].upper()}M" if groups["ap"] else ""
    minute, second = int(groups.get("m") or 0), groups.get("s")
    if hour > (12 if half else 24) or _touches(match):
        return None
    words = cardinal(hour)
    if minute:
        words += f" {pair(minute)}"
    elif not half and not second:
        words += " o'clock" if hour <= 12 else " hundred"
    if second and int(second):
        words += f" and {cardinal(int(second))} second{'s' * (second != '01')}"
    return f"{words}{half}{_ends_text(match) if half else ''}"


def _phone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    said = [digits(group) for group in groups]
    return f"plus {', '.join(said)}" if match[0][0] == "+" else ", ".join(said)


def _money() -> list[Rule]:
    sign = r"(?P<sign>US\$|[$€£¥￥₹₩₽])"
    scale = r"(?:\s?(?P<scale>(?:thousand|million|billion|trillion)\b|(?:[kKmMB]|bn)\b))?"
    other = r"[$€£¥￥₹₩₽]?"
    pattern = rf"{sign}\s?(?P<a>{NUM}){scale}(?:{TO}{other}(?P<b>{NUM})(?P<scale2>[kKmMB]\b)?)?"
    return [
        _rule("sign", pattern, _price),
        _rule("word", pattern, _price),
        _rule("digit", rf"(?P<a>{NUM})\s?(?P<sign>[€£₹₽])", _price),
        _rule("digit", r"(?P<a>\d+)\s?¢", lambda match: f"{number(match['a'])} cent{'s' * (match['a'] != '1')}"),
    ]


def _price(match: re.Match[str]) -> str:
    groups = match.groupdict()
    name, _ = _CURRENCIES[groups["sign"]]
    names = name if name in _UNCOUNTED else f"{name}s"
    scale = _SCALES.get(groups.get("scale") or "", groups.get("scale") or "")
    if groups.get("b"):
        scale2 = _SCALES.get(groups["scale2"] or "", scale)
        first = f"{number(groups['a'])} {scale if scale2 != scale else ''}".strip()
        return " ".join(f"{first} to {number(groups['b'])} {scale2} {names}".split())
    if scale:
        return f"{number(groups['a'])} {scale} {names}"
    return _coins(groups["a"], groups["sign"], name, names)


def _coins(amount: str, sign: str, name: str, names: str) -> str:
    whole, _, fraction = amount.replace(",", "").partition(".")
    coin = _CURRENCIES[sign][1]
    if not fraction or not coin or len(fraction) > 2:
        return f"{number(amount)} {name if amount == '1' else names}"
    cents = int(fraction.ljust(2, "0"))
    coins = coin if cents == 1 else {"penny": "pence", "paisa": "paise"}.get(coin, f"{coin}s")
    if not int(whole or "0"):
        return f"{cardinal(cents)} {coins}" if cents else f"zero {names}"
    words = f"{number(whole)} {name if whole == '1' else names}"
    if not cents:
        return words
    return f"{words} {cardinal(cents)}" if cents >= 10 else f"{words} and {cardinal(cents)} {coins}"


def _height(match: re.Match[str]) -> str | None:
    if int(match["inches"]) > 11:
        return None
    return f"{cardinal(int(match['feet']))} foot {cardinal(int(match['inches']))}"


_LONE_WORDS = frozenset(("in", "us", "bar"))


def _measure(match: re.Match[str]) -> str | None:
    gap, symbol = match["gap"], match["unit"]
    if gap and not gap.isspace() and not match["a"] and not symbol.isalpha():
        return None
    if symbol in _LONE_WORDS and gap and match.string[match.end() : match.end() + 1] != ".":  # "5 in every 10"
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
        if 1 <= top <= 12 and 1 <= bottom <= 31 and _DATE_WORDS.search(match.string[: match.start()]):
            return f"{MONTHS[top - 1]} {ordinal(bottom)}"
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


def _decade(match: re.Match[str]) -> str:
    return plural_decade(int(match["n"]))


def _short_decade(match: re.Match[str]) -> str | None:
    """Behind an article 60s are the sixties; alone they are seconds."""
    before = match.string[: match.start()].lower()
    return plural_decade(int(match["n"])) if before.endswith(("the ", "early ", "late ", "mid-", "mid ")) else None


def _scientific(match: re.Match[str]) -> str:
    minus = "minus " if match["minus"] else ""
    return f"{number(match['a'])} times ten to the power of {minus}{cardinal(int(match['b']))}"


def _scaled(match: re.Match[str]) -> str | None:
    value, scale = match["a"], match["scale"]
    if scale in "kK" and len(value.split(".")[0]) < 2:  # 4K, 5k: a resolution, a run
        return None
    return f"{number(value)} {_SCALES[scale]}"


def _inches(match: re.Match[str]) -> str:
    return f"{number(match['a'])} {unit_name('in', plural=match['a'] != '1')}"


def _name(match: re.Match[str], group: str = "name") -> str:
    parts = re.findall(r"\d+|[A-Za-z]+", match[group])
    return " ".join(group_in_name(part) if part.isdigit() else part for part in parts)


def _plain(match: re.Match[str]) -> str:
    written = match["n"]
    before = match.string[: match.start()]
    if len(written) == 4 and written.isdigit() and written[0] != "0":
        value = int(written)
        if 1900 <= value <= 2099 or (1000 < value < 2200 and _YEAR_WORDS.search(before[-16:])):
            return year(value)
    return number(written)


def _minus(match: re.Match[str]) -> str | None:
    return None if _touches(match) else "minus "
