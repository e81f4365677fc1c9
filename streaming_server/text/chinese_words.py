"""Chinese rules for Latin names, addresses and signs."""

from __future__ import annotations

import re

from .english_words import ENDINGS
from .numbers_chinese import cardinal, digits, number
from .rewriter import JOINED, Rule, rule

_SIGNS = {
    "+": "加",
    "=": "等于",
    "×": "乘",
    "÷": "除以",
    "±": "正负",
    "≈": "约等于",
    "≠": "不等于",
    "≤": "小于等于",
    "≥": "大于等于",
    "→": "到",
    "⇒": "到",
    "&": "和",
    "√": "根号",
    "∞": "无穷大",
    "π": "派",
    "№": "第",
    "²": "的平方",
    "³": "的立方",
}
_SUMS = {"<": "小于", ">": "大于", "<=": "小于等于", ">=": "大于等于"}
_SUMS |= {"*": "乘", "/": "除以", "-": "减", "−": "减"}

NEEDED = re.compile(
    rf"[0-9０-９{re.escape(''.join(_SIGNS))}$€£¥￥₹₩₽#＃@~～<>*^_|\\`{{}}\[\]™®©•½⅓⅔¼¾%％‰℃℉°−]|[A-Za-z]\.[A-Za-z]"
)
"""Text in which this is not found is spoken as it is written."""


def rules() -> list[Rule]:
    """In the order in which they are tried."""
    return [
        rule("word", r"[A-Za-z0-9][A-Za-z0-9_.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", _address),
        rule("word", r"[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.(?P<ending>[A-Za-z][A-Za-z0-9]*)", _domain),
        rule("word", r"[A-Za-z0-9]+(?:_+[A-Za-z0-9]+)+", lambda match: spelled(match[0])),
        rule("word", r"[vV]\.?(?P<v>\d+(?:\.\d+)+)", _version),
        rule("word", r"[Nn][Oo]\.\s?(?=\d)", lambda match: "第"),
        rule("word", r"(?P<a>[A-Z])(?P<n>[24])(?P<b>[A-Z])(?![A-Za-z0-9])", _between),
        rule("word", r"(?P<word>[A-Za-z])(?P<sign>#|\+\+)(?![A-Za-z0-9])", _language_name),
        rule("word", r"(?P<name>[A-Za-z]+)-?(?P<v>\d+\.\d+)", lambda match: f"{match['name']}{number(match['v'])}"),
        rule("word", r"[A-Za-z]+(?:-?\d+[A-Za-z]*)+", lambda match: spelled(match[0])),
        rule("sign", r"#(?=\d)", lambda match: "第"),
        rule("sign", r"\^\s?(?P<minus>-)?(?P<n>\d+)", _power),
        rule("sign", r"/(?=\s?[^\W\d])", _per),
        rule("sign", r"[-=]+>", lambda match: f"{JOINED}到{JOINED}"),
        rule("sign", r"<=|>=|[<>*/−-]", _sum),
        rule("sign", rf"[{re.escape(''.join(_SIGNS))}]", lambda match: f"{JOINED}{_SIGNS[match[0]]}{JOINED}"),
        rule("sign", r"[_|\\]", lambda match: " "),
        rule("sign", r"[*^`{}<>\[\]™®©•#]", lambda match: ""),
    ]


def touches(match: re.Match[str]) -> bool:
    """A Latin letter, a digit or what closes a term stands right before."""
    before = match.string[max(0, match.start() - 1) : match.start()]
    return before.isascii() and (before.isalnum() or before in ("%", ")", "]"))


def spelled(text: str) -> str:
    """Letters and digits of a name, apart: H264 is H二六四."""
    said = ""
    for part in re.findall(r"\d+|[^\d_-]+", text):
        if part.isdecimal():
            # 1080p and H264 are spelled out, 256GB is counted.
            counted = len(part) < 3 or (not said and len(part) < 5 and not text.endswith(("p", "P", "i")))
            said += cardinal(int(part)) if counted and part[0] != "0" else digits(part)
        else:
            said += f" {part}" if said and said[-1].isascii() else part
    return said


def _address(match: re.Match[str]) -> str:
    user, _, host = match[0].partition("@")
    return f"{_dotted(user)} at {_dotted(host)}"


def _domain(match: re.Match[str]) -> str | None:
    return _dotted(match[0]) if match["ending"].lower() in ENDINGS else None


def _dotted(text: str) -> str:
    return "点".join(spelled(part) for part in text.split("."))


def _version(match: re.Match[str]) -> str:
    return "v" + "点".join(digits(part) for part in match["v"].split("."))


def _between(match: re.Match[str]) -> str:
    """B2B and B4U, of which the digit is a word."""
    return f"{match['a']} {'to' if match['n'] == '2' else 'for'} {match['b']}"


def _language_name(match: re.Match[str]) -> str:
    return f"{match['word']}{' sharp' if match['sign'] == '#' else '加加'}"


def _power(match: re.Match[str]) -> str:
    return f"的{'负' if match['minus'] else ''}{number(match['n'])}次方"


def _per(match: re.Match[str]) -> str | None:
    """As in 10元/月."""
    return "每" if re.search(r"(?:[$€£¥￥]\s?[\d.,]+|元)$", match.string[: match.start()]) else None


def _sum(match: re.Match[str]) -> str | None:
    """A sign between two terms; a slash or a dash must stand between numbers, or it is just punctuation."""
    before, after = match.string[: match.start()].rstrip()[-1:], match.string[match.end() :].lstrip()[:1]
    if not before.isalnum() or not after.isalnum():
        return None
    if match[0] in "-−/" and not (before.isdigit() and after.isdigit()):
        return None
    if match[0] == "*" and not (before.isascii() and after.isascii()):
        return None
    return f"{JOINED}{_SUMS[match[0]]}{JOINED}"
