"""Numbers in Mandarin: 两千零二十四, 三点一四, 幺三八."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_SCALES = ("", "万", "亿", "万亿")
_MAX_CARDINAL_DIGITS = 16


def cardinal(number: int) -> str:
    """0 <= number < 10**16. Two is 两 before 千, 万 and 亿, and before 百 at the beginning."""
    if not number:
        return _DIGITS[0]
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10_000)
        groups.append(group)
    words = ""
    gap = False
    for scale in range(len(groups) - 1, -1, -1):
        group = groups[scale]
        if not group:
            gap = bool(words)
            continue
        if words and (gap or group < 1000):
            words += "零"
        gap = False
        part = _below_ten_thousand(group, leading=not words)
        if scale and group == 2:
            part = "两"
        words += part + _SCALES[scale]
    return words[1:] if words.startswith("一十") else words


def _below_ten_thousand(number: int, *, leading: bool) -> str:
    words = ""
    gap = False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if not digit:
            gap = bool(words)
            continue
        if gap:
            words += "零"
            gap = False
        two = digit == 2 and (place == 3 or (place == 2 and leading and not words))
        words += ("两" if two else _DIGITS[digit]) + _PLACES[place]
    return words


def digits(text: str, one: str = "一") -> str:
    """Digit by digit; other characters are passed over. `one`: 幺 in telephone numbers and codes."""
    return "".join(_DIGITS[int(char)] for char in text if char.isdecimal()).replace("一", one)


def number(text: str) -> str:
    """A written number: "1,234" "3.14" "007". What is too long to be counted is read digit by digit."""
    whole, point, fraction = text.replace(",", "").partition(".")
    if len(whole) > _MAX_CARDINAL_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits(whole)
    elif len(whole) >= 9 and not whole.endswith("000"):
        words = digits(whole, "幺")
    else:
        words = cardinal(int(whole or "0"))
    return f"{words}点{digits(fraction)}" if point else words
