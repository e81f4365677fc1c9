"""English rules for words, names, addresses and signs."""

from __future__ import annotations

import re

from .english_context import capital_after, ends_text
from .english_quantities import version
from .numbers_english import cardinal, group_in_name, number, ordinal, roman
from .rewriter import Rule, rule

_ADDRESS_ENDINGS = """
com org net io ai dev edu gov co uk de fr cn jp ru app tv info xyz me eu ca au
py js ts md txt json yaml yml toml html css csv pdf png jpg jpeg gif svg mp3 mp4 wav flac ogg zip gz tar exe sh c cpp h
rs go java rb php sql log ini cfg conf docx xlsx pptx ipynb
"""
ENDINGS = frozenset(_ADDRESS_ENDINGS.split())
_TITLES = {"Mr": "Mister", "Mrs": "Missus", "Prof": "Professor", "Gen": "General", "Capt": "Captain", "Sen": "Senator"}
_TITLES |= {"Gov": "Governor", "Rep": "Representative", "Rev": "Reverend", "Lt": "Lieutenant", "Sgt": "Sergeant"}
_SHORT = {"vs": "versus", "etc": "et cetera", "approx": "approximately", "dept": "department", "est": "established"}
_SHORT |= {
    "ave": "avenue",
    "blvd": "boulevard",
    "jr": "junior",
    "sr": "senior",
    "misc": "miscellaneous",
    "min": "minutes",
}
_SHORT |= {"max": "maximum", "govt": "government", "hrs": "hours", "mins": "minutes", "ft": "fort", "mt": "mount"}
_NUMBERED = {"no": "number", "nos": "numbers", "fig": "figure", "figs": "figures", "vol": "volume", "ch": "chapter"}
_NUMBERED |= {"sec": "section", "eq": "equation", "pp": "pages", "p": "page", "pt": "part", "art": "article"}
_NUMBERED |= {"apt": "apartment", "ext": "extension"}
_DAYS = {"Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday"}
_DAYS |= {"Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday"}
_LONE_UNITS = {"tsp": "teaspoon", "tbsp": "tablespoon", "lb": "pound", "lbs": "pounds", "oz": "ounce", "hr": "hour"}
_LONE_UNITS |= {"yr": "year", "yrs": "years"}
_ROMAN_NOUNS = "War|Chapter|Part|Volume|Book|Act|Scene|Phase|Section|Type|Class|Level|Tier|Stage|Appendix|Article"
_ROMAN_NAMES = "Henry|Louis|Charles|George|Edward|James|William|Richard|Elizabeth|Pius|Benedict|Francis|Napoleon|Philip"
_ROMAN_NAMES += "|John Paul|Catherine|Frederick|Alexander|Ivan|Peter|Nicholas"
_SIGNS = {
    "+": " plus ",
    "=": " equals ",
    "×": " times ",
    "÷": " divided by ",
    "±": " plus or minus ",
    "≈": " approximately ",
    "≠": " is not equal to ",
    "≤": " less than or equal to ",
    "≥": " greater than or equal to ",
    "→": " to ",
    "⇒": " to ",
    "&": " and ",
    "√": " square root of ",
    "∞": " infinity ",
    "²": " squared ",
    "³": " cubed ",
    "π": " pi ",
    "§": " section ",
    "№": " number ",
    "‰": " per mille ",
    "%": " percent ",
    "°": " degrees ",
}
_STREET_NAME = re.compile(r"\b(?P<name>[A-Z][A-Za-z'’-]+|\d+(?:st|nd|rd|th))\s$")
_NO_STREETS_WORDS = """
A About After Also And Another Any As Ask At Aunt Because Before But By Call Can Contact Dear Did Do Does Each Every
Find For From Good Great Had Has Have Hello Her Hey Hi His How I If In Is It Like Maybe Meet My New No Now Of Oh Okay On
One Or Our Perhaps Please Right See Should So Thank Thanks That The Their Then There This To Try Uncle Until Was Well
What When Where While Who Why With Would Yes Your
"""
_NO_STREETS = frozenset(_NO_STREETS_WORDS.split())
_TERM_BEFORE = re.compile(r"[\w)\]²³]\s?$")
_TERM_AFTER = re.compile(r"\s?[-+(]?[\w.(]")


def rules() -> list[Rule]:
    """In the order in which they are tried."""
    return [
        rule("word", r"[A-Za-z0-9][\w.+-]*@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}", lambda match: address(match[0])),
        rule("word", r"[A-Za-z0-9][\w-]*(?:\.[\w-]+)*\.(?P<ending>[A-Za-z]\w*)(?P<path>(?:/[\w.%~-]+)*/?)", _domain),
        rule("word", r"\w*[A-Za-z0-9]_+\w+", lambda match: underscored(match[0])),
        rule("word", r"[vV]\.?\s?(?P<v>\d+(?:\.\d+)+)(?![\w])", _version),
        rule("word", r"St\.", _saint_or_street),
        rule("word", r"Dr\.", _doctor_or_drive),
        rule("word", rf"(?P<title>{'|'.join(_TITLES)})\.(?=\s[A-Z]|\s*$)", lambda match: _TITLES[match["title"]]),
        rule("word", r"e\.g\.", lambda match: "for example"),
        rule("word", r"i\.e\.", lambda match: "that is"),
        rule("word", r"w/o\b", lambda match: "without"),
        rule("word", r"w/(?=\s)", lambda match: "with"),
        rule("word", r"(?P<ap>[AaPp])\.[Mm]\.", lambda match: f"{match['ap'].upper()}M{_last_stop(match)}"),
        rule("word", r"Ph\.D\.", lambda match: f"PhD{_last_stop(match)}"),
        rule("word", r"(?:[A-Z]\.){2,}", lambda match: f"{' '.join(match[0].split('.')).strip()}{_last_stop(match)}"),
        rule("word", rf"(?P<day>{'|'.join(_DAYS)})\.", lambda match: f"{_DAYS[match['day']]}{_last_stop(match)}"),
        rule("word", r"(?P<word>[A-Za-z]+)\.", _shortened),
        rule("word", rf"(?P<unit>{'|'.join(_LONE_UNITS)})\b", lambda match: _LONE_UNITS[match["unit"]]),
        rule("word", r"vs\b", lambda match: "versus"),
        rule("word", rf"(?P<noun>{_ROMAN_NOUNS})\s(?P<n>[IVX]+)\b", _chapter),
        rule("word", rf"(?P<noun>{_ROMAN_NAMES})\s(?P<n>[IVX]{{2,}}|[VX])\b", _monarch),
        rule("word", r"(?P<word>[A-Za-z])(?P<sign>#|\+\+)(?!\w)", _language_name),
        rule("word", r"(?P<name>[A-Za-z]+)-(?P<v>\d+\.\d+)(?P<tail>[A-Za-z]*)(?![\w.])", _product),
        rule("word", r"[A-Za-z]+(?:-?\d+[A-Za-z]*)+", _name),
        rule("sign", r"#(?=\d)", lambda match: "number "),
        rule("sign", r"#(?=\w)", lambda match: "hashtag "),
        rule("sign", r"@(?=\s|\w)", lambda match: "at "),
        rule("sign", r"[-=]+>", lambda match: " to "),
        rule("sign", r"&&", lambda match: " and "),
        rule("sign", r"(?<![^\s(])(?P<sign>[<>])(?=\s?[$€£]?\d)", _bound),
        rule("sign", r"[~≈](?=\s?[$€£¥.]?\d)", lambda match: "about "),
        rule("sign", r"(?<!\S)(?P<path>~?(?:/[\w.-]+)+/?)", _path),
        rule("sign", r"\^\s?(?P<minus>-)?(?P<n>\d+)", _power),
        rule("sign", r"/(?=\s?\w)", _per),
        rule("sign", r"<=|>=|[<>*/–−-](?=\s)|[<>*/]", _sum),
        rule("sign", rf"[{re.escape(''.join(_SIGNS))}]", lambda match: _SIGNS[match[0]]),
        rule("sign", r"[_|\\]", lambda match: " "),
        rule("sign", r"[*^`{}<>\[\]™®©•~#]", lambda match: ""),
    ]


def _last_stop(match: re.Match[str]) -> str:
    """The full stop that an abbreviation shares with its sentence."""
    return "." if ends_text(match) else ""


def address(text: str, dot: str = " dot ", at: str = " at ") -> str:
    """As in "me at example dot com"."""
    return underscored(text.replace(".", dot).replace("@", at))


def underscored(text: str) -> str:
    words = text.replace("_", " ").split(" ")
    return " ".join(_spell(word) for word in words if word)


def _spell(word: str) -> str:
    """Letters and digits of a name, apart: "H264" -> "H two sixty four"."""
    parts = re.findall(r"\d+|[^\d-]+", word)
    return " ".join(group_in_name(part) if part.isdecimal() and part.isascii() else part for part in parts)


def _domain(match: re.Match[str]) -> str | None:
    if match["ending"].lower() not in ENDINGS:
        return None
    host = match[0][: match.start("path") - match.start()]
    path = [part for part in match["path"].split("/") if part][:3]
    return " slash ".join([address(host), *(address(part) for part in path)])


def _path(match: re.Match[str]) -> str | None:
    if not re.search(r"[A-Za-z]", match["path"]):
        return None
    return " ".join(f"slash {address(part)}" for part in match["path"].strip("~").split("/") if part)


def _version(match: re.Match[str]) -> str:
    named = match.string[: match.start()].lower().endswith("version ")
    return f"{'' if named else 'version '}{version(match['v'])}"


def _after_street_name(match: re.Match[str]) -> bool:
    """Behind "Main", "Martin Luther King" or "5th"; not behind "Hello," or "Dear"."""
    name = _STREET_NAME.search(match.string[: match.start()])
    return name is not None and name["name"] not in _NO_STREETS


def _saint_or_street(match: re.Match[str]) -> str:
    """A title that ends the text goes on in the next one: it loses its stop."""
    return f"Street{_last_stop(match)}" if _after_street_name(match) else "Saint"


def _doctor_or_drive(match: re.Match[str]) -> str:
    street = _after_street_name(match) and not capital_after(match)
    return f"Drive{_last_stop(match)}" if street else "Doctor"


def _shortened(match: re.Match[str]) -> str | None:
    word = match["word"]
    after = match.string[match.end() : match.end() + 2].strip()
    if word.lower() in _NUMBERED and after[:1].isdigit():
        said = _NUMBERED[word.lower()]
    elif word.lower() in _SHORT:
        said = _SHORT[word.lower()]
    else:
        return None
    return f"{said.capitalize() if word[0].isupper() else said}{_last_stop(match)}"


def _chapter(match: re.Match[str]) -> str | None:
    value = roman(match["n"])
    return f"{match['noun']} {cardinal(value)}" if value else None


def _monarch(match: re.Match[str]) -> str | None:
    value = roman(match["n"])
    return f"{match['noun']} the {ordinal(value)}" if value else None


def _language_name(match: re.Match[str]) -> str:
    return f"{match['word']} {'sharp' if match['sign'] == '#' else 'plus plus'}"


def _product(match: re.Match[str]) -> str:
    return " ".join(f"{match['name']} {number(match['v'])} {match['tail']}".split())


def _name(match: re.Match[str]) -> str:
    return _spell(match[0])


def _power(match: re.Match[str]) -> str:
    if match["n"] in ("2", "3") and not match["minus"]:
        return " squared" if match["n"] == "2" else " cubed"
    return f" to the power of {'minus ' if match['minus'] else ''}{number(match['n'])}"


_SUMS = {"<=": "less than or equal to", ">=": "greater than or equal to", "<": "less than", ">": "greater than"}
_SUMS |= {"*": "times", "/": "divided by", "-": "minus", "–": "minus", "−": "minus"}


def _bound(match: re.Match[str]) -> str | None:
    """A bound, as in "<5 minutes"; between two terms it is a comparison."""
    if _TERM_BEFORE.search(match.string[: match.start()]):
        return None
    return f"{_SUMS[match['sign']]} "


def _per(match: re.Match[str]) -> str | None:
    return " per " if re.search(r"[$€£¥₹]\s?[\d.,]+[kKMB]?\s?$", match.string[: match.start()]) else None


def _sum(match: re.Match[str]) -> str | None:
    """A sign between two terms; a slash or a dash must stand between numbers, or it is just punctuation."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    if not (_TERM_BEFORE.search(before) and _TERM_AFTER.match(after)):
        return None
    if match[0] == "*" and (before[-1] == " ") != (after[0] == " "):
        return None
    if match[0] in "-–−/" and not (before.rstrip()[-1:].isdigit() and after.lstrip()[:1].isdigit()):
        return None
    if match[0] in "<>" and before[-1:] != " " and not before[-1:].isdigit() and not after[:1].isdigit():
        return None
    return f" {_SUMS[match[0]]} "


NEEDED = re.compile(
    rf"[0-9０-９{re.escape(''.join(_SIGNS))}$€£¥￥₹₩₽¢#@~<>*^_|\\`{{}}\[\]™®©•½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞−]|\w\.\w|/\w+/|w/"
    rf"|\b(?:St|Dr|vs|tb?sp|{'|'.join((*_TITLES, *_SHORT, *_DAYS))})\b|\b[VIX]{{2,}}\b"
    rf"|\b(?:{_ROMAN_NOUNS}|{_ROMAN_NAMES})\s[IVX]+\b",
    re.IGNORECASE,
)
"""Text in which this is not found is spoken as it is written."""
