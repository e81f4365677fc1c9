"""Numbers in English words, without hyphens: "forty two", "one hundred and one"."""

from __future__ import annotations

_ONES_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_ONES = tuple(_ONES_WORDS.split())
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", "thousand", "million", "billion", "trillion")
_MAX_CARDINAL_DIGITS = 3 * len(_SCALES)
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """0 <= number < 10**15."""
    if number < 20:
        return _ONES[number]
    groups: list[str] = []
    rest, scale = number, 0
    while rest:
        rest, group = divmod(rest, 1000)
        if group:
            words = _below_thousand(group)
            if scale == 0 and rest and group < 100:
                words = f"and {words}"
            groups.append(f"{words} {_SCALES[scale]}".rstrip())
        scale += 1
    return " ".join(reversed(groups))


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = []
    if hundreds:
        words.append(f"{_ONES[hundreds]} hundred")
        if rest:
            words.append("and")
    if rest:
        words.append(_below_hundred(rest))
    return " ".join(words)


def _below_hundred(number: int) -> str:
    tens, ones = divmod(number, 10)
    if number < 20:
        return _ONES[number]
    return f"{_TENS[tens]} {_ONES[ones]}" if ones else _TENS[tens]


def ordinal(number: int) -> str:
    """As in "twenty first". 0 <= number < 10**15."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}th"
    return f"{head} {last}".lstrip()


def year(number: int) -> str:
    """As in "nineteen oh five", "two thousand and one", "twenty twenty four". 1000 <= number <= 9999."""
    century, rest = divmod(number, 100)
    if not century % 10 and rest < 10:
        return cardinal(number)
    return f"{cardinal(century)} {pair(rest) if rest else 'hundred'}"


def pair(number: int) -> str:
    """Two digits as in a year or a time: "oh five", "forty five". 0 < number < 100."""
    return f"oh {_ONES[number]}" if number < 10 else _below_hundred(number)


def digits(text: str) -> str:
    """Digit by digit; other characters are passed over."""
    return " ".join(_ONES[int(char)] for char in text if char.isdecimal())


def number(text: str) -> str:
    """A written number: "1,234" "3.14" ".5" "007". What is too long to be counted is read digit by digit."""
    whole, point, fraction = text.replace(",", "").partition(".")
    words = digits(whole) if _is_code(whole) else cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(fraction)}".lstrip() if point else words


def _is_code(whole: str) -> bool:
    """A number that nobody counted: 007, or ten digits that are not round."""
    size = len(whole)
    return size > _MAX_CARDINAL_DIGITS or (size >= 10 and whole[-3:] != "000") or (size > 1 and whole[0] == "0")


def plural_decade(number: int) -> str:
    """As in "nineteen nineties", "nineties", "two thousands". `number` is a multiple of ten."""
    words = year(number) if number >= 1000 else cardinal(number)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def group_in_name(text: str) -> str:
    """The digits of a name such as H264, 1080p or A380, as they are called."""
    if len(text) > 4 or text[0] == "0":
        return digits(text)
    if len(text) < 3:
        return cardinal(int(text))
    head, tail = int(text[:-2]), int(text[-2:])
    if not tail:
        return cardinal(int(text)) if not head % 10 else f"{cardinal(head)} hundred"
    return f"{cardinal(head)} {pair(tail)}"


_ROMAN = (("X", 10), ("IX", 9), ("V", 5), ("IV", 4), ("I", 1))


def roman(text: str) -> int:
    """The value of a Roman numeral below forty; 0 if it is not one."""
    value, rest = 0, text
    for letters, worth in _ROMAN:
        limit = 3 if worth in (1, 10) else 1
        while rest.startswith(letters) and limit:
            value, rest, limit = value + worth, rest[len(letters) :], limit - 1
    return 0 if rest else value
