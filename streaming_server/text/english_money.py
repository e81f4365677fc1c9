"""English rules for money."""

from __future__ import annotations

import re

from .english_context import NUM, SCALES, TO
from .numbers_english import cardinal, number
from .rewriter import Rule, rule

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
_YEN_SIGNS = ("¥", "￥")
_UNCOUNTED = frozenset(("yen", "won"))


def rules() -> list[Rule]:
    """In the order in which they are tried."""
    sign = r"(?P<sign>US\$|[$€£¥￥₹₩₽])"
    scale = r"(?:\s?(?P<scale>(?:thousand|million|billion|trillion)\b|(?:[kKmMB]|bn)\b))?"
    other = r"[$€£¥￥₹₩₽]?"
    pattern = rf"{sign}\s?(?P<a>{NUM}){scale}(?:{TO}{other}(?P<b>{NUM})(?P<scale2>[kKmMB]\b)?)?"
    return [
        rule("sign", pattern, _price),
        rule("word", pattern, _price),
        rule("digit", rf"(?P<a>{NUM})\s?(?P<sign>[€£₹₽])", _price),
        rule("digit", r"(?P<a>\d+)\s?¢", lambda match: f"{number(match['a'])} cent{'s' * (match['a'] != '1')}"),
    ]


def _price(match: re.Match[str]) -> str:
    groups = match.groupdict()
    name, _ = _CURRENCIES[groups["sign"]]
    names = name if name in _UNCOUNTED else f"{name}s"
    scale = SCALES.get(groups.get("scale") or "", groups.get("scale") or "")
    if groups.get("b"):
        scale2 = SCALES.get(groups["scale2"] or "", scale)
        first = f"{number(groups['a'])} {scale if scale2 != scale else ''}".strip()
        return " ".join(f"{first} to {number(groups['b'])} {scale2} {names}".split())
    if scale:
        return f"{number(groups['a'])} {scale} {names}"
    attributive = re.search(r"\b[Aa]n?\s$", match.string[: match.start()]) and re.match(
        r"\s[a-z]", match.string[match.end() :]
    )
    return _coins(groups["a"], groups["sign"], name, name if attributive else names)


def _coins(amount: str, sign: str, name: str, names: str) -> str:
    whole, _, fraction = amount.replace(",", "").partition(".")
    coin = _CURRENCIES[sign][1]
    if fraction and sign in _YEN_SIGNS:  # no sum of yen has a fraction, so it is the other money of that sign
        amount = f"{whole}.{fraction}".rstrip("0").rstrip(".")
        return f"{number(amount)} yuan"
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
