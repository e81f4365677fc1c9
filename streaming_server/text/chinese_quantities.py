"""Chinese rules for what begins with a digit, a currency sign or a sign of a number."""

from __future__ import annotations

import re

from . import numbers_english
from .chinese_words import spelled, touches
from .numbers_chinese import cardinal, digits, number
from .rewriter import Rule, rule
from .verbalizer import Verbalizer

_NUM = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
_TO = r"\s?[-–—~～到至]\s?"
_MONEY = {
    "US$": "美元",
    "$": "美元",
    "€": "欧元",
    "£": "英镑",
    "¥": "元",
    "￥": "元",
    "₩": "韩元",
    "₽": "卢布",
    "₹": "卢比",
}
_CURRENCY = r"[$€£¥￥₹₩₽]"
_DEGREES = {"℃": "摄氏度", "°C": "摄氏度", "℉": "华氏度", "°F": "华氏度", "°": "度"}
_VULGAR = {"½": "二分之一", "⅓": "三分之一", "⅔": "三分之二", "¼": "四分之一", "¾": "四分之三"}
# Units that wetext does not know, or knows wrongly (5mA: 五米A).
_UNITS = {
    "g": "克",
    "t": "吨",
    "l": "升",
    "Hz": "赫兹",
    "kHz": "千赫兹",
    "MHz": "兆赫兹",
    "GHz": "吉赫兹",
    "mV": "毫伏",
    "V": "伏",
    "W": "瓦",
    "kWh": "千瓦时",
    "mA": "毫安",
    "mAh": "毫安时",
    "dB": "分贝",
    "Pa": "帕",
    "kPa": "千帕",
    "J": "焦",
    "px": "像素",
    "fps": "帧每秒",
}
# What two of are 两, not 二.
_COUNTED = frozenset(
    "个只张条本位件块杯瓶种次天周年倍斤米元人名家台部场套份口层项组对双棵朵头匹把支"
    "枝辆架艘座间栋幅首句段篇页分秒点刻小公百千万亿兆片颗粒滴碗盘桶袋箱包盒根面顿趟遍回门节"
)
# Behind these a number is a code, read digit by digit.
_CODE = re.compile(
    r"(?:电话|手机|拨打|致电|热线|客服|验证码|号码|编号|代号|尾号|邮编|密码|代码|账号|卡号|学号"
    r"|工号|房间|航班|车牌|微信|QQ|ID)(?:号码?)?(?:是|为|：|:)?\s?(?:\d{3,5}(?:、|或者?|和))*$"
)
_SCORE = re.compile(r"(?:比分|战绩|比例|胜|负|平)[^，。]{0,6}$")
_MOBILE = r"1[3-9]\d(?P<gap>[- ]?)\d{4}(?P=gap)\d{4}"
_LANDLINE = r"0\d{2,3}[- ]\d{3,4}[- ]?\d{4}|[48]00-?\d{3}-?\d{4}"
_UNIT = r"(?P<unit>(?:[a-zµLVWJ][a-zA-Z]{0,4}|[HMGP][Hza]{1,2})(?:/[a-z]+)?[²³]?|[㎡㎥])(?![A-Za-z0-9²³/])"
_BEFORE_YEAR = r"(?=年代?|届|级|款|赛季|财年|学年)"


def rules(verbalizer: Verbalizer) -> list[Rule]:
    """In the order in which they are tried."""

    def measure(match: re.Match[str]) -> str | None:
        """wetext knows the units: 100km/h is 每小时一百公里."""
        if re.search(r"[A-Za-z]\s$", match.string[: match.start()]):  # "iPhone 5s" is a name
            return None
        unit = match["unit"].replace("㎡", "m²").replace("㎥", "m³")
        if unit in _UNITS:
            said: str | None = f"{_amount(match['b'])}{_UNITS[unit]}"
        else:
            said = verbalizer.say(f"{_trimmed(match['b'])}{unit}", "zh")
        if said is None or re.search(r"[A-Za-z²³]", said):
            return None
        return f"{number(match['a'])}到{said}" if match["a"] else said

    return [
        rule("digit", r"(?P<y>[12]\d{3})(?P<sep>[-/.])(?P<m>\d\d?)(?P=sep)(?P<d>\d\d?)(?!\d)(?:T(?=\d\d:))?", _date),
        rule("digit", rf"(?P<y>\d{{4}})\s?{_BEFORE_YEAR}", lambda match: digits(match["y"])),
        rule("digit", rf"(?P<a>\d{{4}}){_TO}(?P<b>\d{{4}})(?=年|学年|赛季|财年)", _years),
        rule("digit", r"\d{1,2}[.·]?\d{1,2}(?=事件|地震|大地震|大促|购物节)", lambda match: digits(match[0])),
        rule("digit", r"(?:12306|12315|12333|10086|10010|95\d{3})(?![\d\w.]|[-.]\d)", _phone),
        rule("digit", r"\d{3,4}(?=号?房间|号房|号?航班|路(?:公交|汽?车))", lambda match: digits(match[0])),
        rule("digit", r"(?P<y>\d{2})(?=后|届)", lambda match: digits(match["y"])),
        rule("digit", r"(?P<v>\d+(?:\.\d+){2,})(?![A-Za-z0-9])", lambda match: version(match["v"])),
        rule("digit", r"(?P<h>\d\d?)[:：](?P<m>[0-5]\d)(?:[:：](?P<s>[0-5]\d))?(?!\d)", _time),
        rule("digit", r"(?P<a>\d+)[:：](?P<b>\d+)", lambda match: f"{number(match['a'])}比{number(match['b'])}"),
        rule("sign", r"\+\d{1,3}(?:[-. ]?\d{2,11}){1,4}(?!\d)", _phone),
        rule("digit", rf"(?:{_MOBILE}|{_LANDLINE}|\d+(?:-\d+){{2,}})(?!\d)", _phone),
        *_money(),
        rule("digit", rf"(?P<a>{_NUM})%?{_TO}(?P<b>{_NUM})%", _percents),
        rule("sign", rf"[-−](?P<a>{_NUM})%", lambda match: None if touches(match) else f"负{_percent(match)}"),
        rule("digit", rf"(?P<a>{_NUM})%", lambda match: _percent(match)),
        rule("digit", rf"(?P<a>{_NUM})‰", lambda match: f"千分之{number(match['a'])}"),
        rule("digit", rf"(?P<a>{_NUM})\s?(?P<unit>{'|'.join(_DEGREES)})", _degrees),
        rule("digit", r"24/7(?!\d)", lambda match: "七乘二十四"),
        rule("digit", rf"(?P<a>{_NUM})\s?(?P<sign>[-−/])\s?(?P<b>{_NUM})(?=\s?=)", _difference),
        rule("digit", r"(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/])", _fraction),
        rule("digit", rf"(?:(?P<a>{_NUM}){_TO})?(?P<b>{_NUM})\s?{_UNIT}", measure),
        rule("digit", rf"(?P<a>{_NUM})\s?[x×*]\s?(?={_NUM})", lambda match: f"{number(match['a'])}乘"),
        rule("digit", r"\d{1,4}(?:[A-Za-z]+\d*)+", lambda match: spelled(match[0])),
        rule("digit", rf"(?P<a>{_NUM})[-–—~～](?P<b>{_NUM})(?![\d-])", _range),
        rule("digit", rf"(?P<n>{_NUM})", _plain),
        rule("sign", r"[-−](?=\d)", lambda match: None if touches(match) else "负"),
        rule("sign", rf"[-–—~～](?={_CURRENCY}?\d)", _to),
        rule("sign", r"[~～≈](?=\d)", lambda match: "约"),
        rule("sign", f"[{''.join(_VULGAR)}]", lambda match: _VULGAR[match[0]]),
        rule("sign", "[℃℉°]", lambda match: _DEGREES[match[0]]),
    ]


def _trimmed(amount: str) -> str:
    """Without commas and idle zeros: 10.50 is 10.5."""
    amount = amount.replace(",", "")
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def _date(match: re.Match[str]) -> str | None:
    month, day = int(match["m"]), int(match["d"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{digits(match['y'])}年{cardinal(month)}月{cardinal(day)}日"


def _years(match: re.Match[str]) -> str:
    return f"{digits(match['a'])}到{digits(match['b'])}"


def _time(match: re.Match[str]) -> str | None:
    hour, minute, second = int(match["h"]), int(match["m"]), int(match["s"] or 0)
    if hour > 24 or _SCORE.search(match.string[: match.start()]):
        return None
    words = f"{_amount(str(hour))}点"
    if minute or second:
        words += f"{'零' if 0 < minute < 10 else ''}{cardinal(minute)}分"
    if second:
        words += f"{'零' if second < 10 else ''}{cardinal(second)}秒"
    return words


def version(text: str) -> str:
    """一点二点三; an IP address with 幺, as it is told on the telephone."""
    parts = text.split(".")
    address = len(parts) == 4 and all(int(part[:4]) < 256 for part in parts)
    return "点".join(digits(part, "幺" if address else "一") for part in parts)


def _phone(match: re.Match[str]) -> str:
    groups = [digits(group, "幺") for group in re.findall(r"\d+", match[0])]
    return f"{'加' if match[0][0] == '+' else ''}{'，'.join(groups)}"


def _money() -> list[Rule]:
    pattern = rf"(?P<sign>US\$|{_CURRENCY})\s?(?P<a>{_NUM})(?:{_TO}{_CURRENCY}?(?P<b>{_NUM}))?(?P<scale>[百千万亿]*)"
    return [
        rule("sign", pattern, _price),
        rule("word", pattern, _price),
        rule("digit", rf"(?P<a>{_NUM})(?P<b>)(?P<scale>[百千万亿]*)\s?(?P<sign>[€£¥￥₹₩₽])", _price),
        rule("digit", rf"(?P<a>{_NUM})(?=元|块)", lambda match: _amount(_trimmed(match["a"]))),
    ]


def _price(match: re.Match[str]) -> str:
    amount = _amount(_trimmed(match["a"]))
    if match["b"]:
        amount = f"{amount}到{_amount(_trimmed(match['b']))}"
    return f"{amount}{match['scale']}{_MONEY[match['sign']]}"


def _amount(written: str) -> str:
    return "两" if written == "2" else number(written)


def _percent(match: re.Match[str], group: str = "a") -> str:
    return f"百分之{number(match[group])}"


def _percents(match: re.Match[str]) -> str:
    return f"{_percent(match)}到{_percent(match, 'b')}"


def _degrees(match: re.Match[str]) -> str:
    return f"{number(match['a'])}{_DEGREES[match['unit']]}"


def _difference(match: re.Match[str]) -> str:
    return f"{number(match['a'])}{'除以' if match['sign'] == '/' else '减'}{number(match['b'])}"


def _fraction(match: re.Match[str]) -> str | None:
    return f"{number(match['bottom'])}分之{number(match['top'])}" if int(match["bottom"]) else None


def _range(match: re.Match[str]) -> str:
    return f"{number(match['a'])}到{_before(match['b'], match.string[match.end() :])}"


def _to(match: re.Match[str]) -> str | None:
    return "到" if re.search(r"[\d%点分日月年℃度元]$", match.string[: match.start()]) else None


def _before(written: str, following: str) -> str:
    """A number as it is read before `following`: 两个, 二号."""
    counted = written == "2" and following[:1] in _COUNTED
    return "两" if counted else number(written)


def _plain(match: re.Match[str]) -> str:
    written, before, after = match["n"], match.string[: match.start()], match.string[match.end() :]
    if re.search(r"(?:\b[a-z]+|\bI)\s$", before) and re.match(r"\s[a-z]+", after):  # inside an English phrase
        return numbers_english.number(written)
    if written.isdigit() and len(written) >= 3 and _CODE.search(before):
        return digits(written, "幺")
    if written.isdigit() and 3 <= len(written) <= 4 and re.search(r"[A-Za-z]\s$", before):  # RTX 4090
        return digits(written)
    return number(written) if before.endswith("第") else _before(written, after)
