"""English rules for dates, times, years and decades."""

from __future__ import annotations

import re

from .english_context import UNIT, capital_after, ends_text, touches
from .numbers_english import cardinal, ordinal, pair, plural_decade, year
from .rewriter import Rule, rule

_MONTH_NAMES = "January February March April May June July August September October November December"
MONTHS = tuple(_MONTH_NAMES.split())
MONTH = "|".join(MONTHS) + r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)(?:\.(?=\s\d)|\b)"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_HALF_DAY = r"(?P<ap>[AaPp])(?:\.[Mm]\.|[Mm]\b)"
_YEAR_WORDS = re.compile(
    r"\b(?:in|since|by|from|of|around|circa|year|until|till|before|after|AD|spring|summer|autumn|fall|winter"
    rf"|{'|'.join(MONTHS)})\s$",
    re.IGNORECASE,
)
_DATE_WORDS = re.compile(r"\b(?:on|by|until|since|before|after|from)\s$", re.IGNORECASE)


def rules() -> list[Rule]:
    """In the order in which they are tried."""
    return [
        rule("digit", r"(?P<y>[12]\d{3})(?P<sep>[-/.])(?P<m>\d\d?)(?P=sep)(?P<d>\d\d?)(?!\d)(?:T(?=\d\d:))?", _ymd),
        rule("digit", r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>[12]\d{3}|\d{2})(?!\d)", _ymd),
        rule("digit", rf"{_DAY}\s(?:of\s)?(?P<m>{MONTH})(?:,?\s(?P<y>\d{{4}}))?\b(?!\s\d)", _day_month),
        rule("digit", rf"(?P<h>\d\d?):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?!\d)(?:\s?{_HALF_DAY})?", _time),
        rule("digit", rf"(?P<h>\d\d?)\s?{_HALF_DAY}", _time),
        rule("digit", r"(?P<n>[12]\d\d0)['’]?s\b", _decade),
        rule("digit", r"(?P<n>[2-9]0)['’]?s\b", _short_decade),
        rule("sign", r"['’](?P<n>[2-9]0)s\b", _decade),
        rule("digit", r"(?P<a>[12]\d{3})[-–/](?P<b>[12]\d{3})(?![\d\w-])", _years),
        rule("digit", r"(?P<a>(?:19|20)\d\d)[-–/](?P<b>\d\d)(?![\d\w-])", _years_or_month),
        rule("digit", r"(?P<m>\d{1,2})/(?P<d>\d{1,2})(?![\d/\w])", _month_slash_day),
        rule("digit", rf"(?P<y>[12]\d{{3}})(?![\d\w]|[.,:/-]\d|\s?[x×%]|[\s-]?{UNIT})", _lone_year),
        rule("sign", r"[-–—~]\s?(?=\d\d?(?::\d\d|\s?[AaPp]\.?[Mm]\b))", _until),
        rule("word", rf"(?P<m>{MONTH})\s{_DAY}(?:(?P<comma>,?)\s(?P<y>\d{{4}}))?(?![\d:\w])", _month_day),
        rule("word", rf"(?P<m>{MONTH})\s(?P<y>[12]\d{{3}})(?![\d\w])", _month_year),
    ]


def _ymd(match: re.Match[str]) -> str | None:
    month, day = int(match["m"]), int(match["d"])
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    number_of_year = int(match["y"])
    if number_of_year < 100:
        number_of_year += 2000 if number_of_year < 50 else 1900
    time_follows = " " if match[0].endswith("T") else ""
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(number_of_year)}{time_follows}"


def _month_name(written: str) -> str:
    return next(month for month in MONTHS if month.startswith(written.rstrip(".")[:3]))


def _day_month(match: re.Match[str]) -> str | None:
    day = int(match["d"])
    if not 1 <= day <= 31:
        return None
    article = "" if match.string[: match.start()].lower().endswith("the ") else "the "
    tail = f" {year(int(match['y']))}" if match["y"] and int(match["y"]) >= 1000 else ""
    return f"{article}{ordinal(day)} of {_month_name(match['m'])}{tail}"


def _time(match: re.Match[str]) -> str | None:
    hour = int(match["h"])
    groups = match.groupdict()
    half = f" {groups['ap'].upper()}M" if groups["ap"] else ""
    minute, second = int(groups.get("m") or 0), groups.get("s")
    after_date = re.search(r"\dT$", match.string[: match.start()])
    if hour > (12 if half else 24) or (touches(match) and not after_date):
        return None
    words = cardinal(hour)
    if minute:
        words += f" {pair(minute)}"
    elif not half and not second:
        words += " o'clock" if hour <= 12 else " hundred"
    if second and int(second):
        words += f" and {cardinal(int(second))} second{'s' * (second != '01')}"
    stops = match[0].endswith(".") and (ends_text(match) or capital_after(match))
    return f"{words}{half}{'.' if stops else ''}"


def _until(match: re.Match[str]) -> str | None:
    """Between two times of the day."""
    return " to " if re.search(r"(?:\d:\d\d|\d\s?[AaPp]\.?[Mm]\.?)\s?$", match.string[: match.start()]) else None


def _decade(match: re.Match[str]) -> str:
    return plural_decade(int(match["n"]))


def _short_decade(match: re.Match[str]) -> str | None:
    """Behind an article 60s are the sixties; alone they are seconds."""
    before = match.string[: match.start()].lower()
    return plural_decade(int(match["n"])) if before.endswith(("the ", "early ", "late ", "mid-", "mid ")) else None


def _years(match: re.Match[str]) -> str:
    end = int(match["b"])
    return f"{year(int(match['a']))} to {year(end) if end >= 1000 else cardinal(end)}"


def _years_or_month(match: re.Match[str]) -> str:
    """2010-11 is a season, 2027-10 a month."""
    start, end = int(match["a"]), int(match["b"])
    if 1 <= end <= 12 and end != (start + 1) % 100:
        return f"{MONTHS[end - 1]} {year(start)}"
    return _years(match)


def _month_slash_day(match: re.Match[str]) -> str | None:
    """Behind "on" and its kin 3/14 is a day, not a fraction."""
    month, day = int(match["m"]), int(match["d"])
    if not (1 <= month <= 12 and 1 <= day <= 31 and _DATE_WORDS.search(match.string[: match.start()])):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}"


def _lone_year(match: re.Match[str]) -> str | None:
    """Four digits are a year if they are likely to be one, or if the word before says so."""
    value = int(match["y"])
    named = 1000 < value < 2200 and _YEAR_WORDS.search(match.string[: match.start()][-16:])
    return year(value) if 1900 <= value <= 2099 or named else None


def _month_day(match: re.Match[str]) -> str | None:
    day = int(match["d"])
    if not 1 <= day <= 31:
        return None
    tail = f"{match['comma']} {year(int(match['y']))}" if match["y"] and int(match["y"]) >= 1000 else ""
    return f"{_month_name(match['m'])} {ordinal(day)}{tail}"


def _month_year(match: re.Match[str]) -> str:
    return f"{_month_name(match['m'])} {year(int(match['y']))}"
