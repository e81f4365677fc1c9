"""What is done to a field, or to the bytes it stands in: each kind of wrong, in either encoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import msgpack

from protocol.constraints import OneLine, OneOf, Range
from protocol.errors import ErrorCode
from protocol.messages import VERSION

from .fuzz_fields import ENTRY, Field

MESSAGE_BYTES: Final = 65_536
"""The server's default `limits.message_bytes`."""
INVALID_TEXT, TOO_LARGE = 1007, 1009

NOBODYS_FAULT: Final = frozenset({ErrorCode.INTERNAL, ErrorCode.ENGINE_FAILED, ErrorCode.SLOW_CONSUMER})
"""No message may ever bring these about."""
REFUSALS: Final = frozenset(
    {
        *(ErrorCode.UNKNOWN_UTTERANCE, ErrorCode.DUPLICATE_UTTERANCE, ErrorCode.TOO_MANY_UTTERANCES),
        *(ErrorCode.UNKNOWN_VOICE, ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.TEXT_LIMIT, ErrorCode.BUSY),
        ErrorCode.RESUME_FAILED,
    }
)
"""What may come of a message that is well made."""
BAD_VALUE: Final = frozenset({ErrorCode.BAD_VALUE, ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNSUPPORTED_VERSION})
BAD_TYPE: Final = frozenset({ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_TYPE})
BAD_MESSAGE: Final = frozenset({ErrorCode.BAD_MESSAGE})


@dataclass(frozen=True, slots=True)
class Due:
    """What may answer a message: nothing (`passes`), one error, or a close without one."""

    passes: bool = False
    codes: frozenset[str] = frozenset()
    closes: frozenset[int] = frozenset()


WELL_MADE: Final = Due(passes=True, codes=REFUSALS)
UNDECODABLE: Final = Due(codes=BAD_MESSAGE)
NOT_TEXT: Final = Due(closes=frozenset({INVALID_TEXT}))
OPEN: Final = Due(passes=True, codes=frozenset(ErrorCode) - NOBODYS_FAULT, closes=NOT_TEXT.closes)
OVERSIZE: Final = Due(codes=frozenset({ErrorCode.TOO_LARGE}), closes=frozenset({TOO_LARGE}))


@dataclass(frozen=True, slots=True)
class Written:
    """A value as its bytes, in both encodings: what no library would write."""

    json: bytes
    packed: bytes

    @classmethod
    def of(cls, json_text: bytes, value: Any) -> Written:
        return cls(json_text, msgpack.packb(value))


@dataclass(frozen=True, slots=True)
class Twice:
    """A key's value, for a key that is written twice."""

    value: Any


@dataclass(frozen=True, slots=True)
class Probe:
    """One message to be sent, and what is due."""

    payload: bytes
    is_text: bool
    due: Due


Value = Callable[[Field, Any, Random, bool], Any]
"""Of a field, a right value of it, a random source, and whether it will be JSON: what to write instead."""


def _wrong_type(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    taken = {kind.raw for kind in field.kinds}
    taken |= {int} if float in taken else set()
    others: list[Any] = ["word", 7, 0.5, True, [], [1, "a"], {"x": 1}]
    others += [] if is_json else [b"bytes"]
    return random.choice([other for other in others if type(other) not in taken])


def _truth(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return random.choice([0, 1, "true", "false"] if field.kind(bool) else [True, False])


def _huge(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    if is_json and random.random() < 0.2:
        return Written(b"9" * 20_000, b"")  # more digits than Python reads
    power = random.choice([53, 63, 64, 70, 1023, 1024, 4000] if is_json else [53, 62, 63])
    return (1 << power) + random.randrange(1 << 30)


def _negative(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return random.choice([-1, -2, -(2**31), -(2**53), -(2**63)])


def _not_finite(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    text = random.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
    return Written.of(text, float(text))


def _long(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return random.choice("xé字😀") * random.choice([65, 257, 4097, 12_000, 12_000, 70_000])


def _bad_utf8(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    wrong = random.choice([b"\xff", b"a\xc3", b"\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"])
    return Written(b'"' + wrong + b'"', bytes([0xA0 | len(wrong)]) + wrong)


def _surrogate(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    value = random.choice([0xD800, 0xDBFF, 0xDC00, 0xDFFF])
    raw = b"a" + chr(value).encode(errors="surrogatepass")
    return Written(f'"a\\u{value:04x}"'.encode(), bytes([0xA0 | len(raw)]) + raw)


def _control(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return random.choice(["a\nb", "\0", "a\u202eb", "\x1b[31m", "a\u2028b", "\x7f", "\ufeffa"])


def _deep(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    depth = random.choice([9, 10, 100, 1000, 5000])
    if random.random() < 0.5:
        return Written(b"[" * depth + b"]" * depth, b"\x91" * depth + b"\x90")
    return Written(b'{"a":' * depth + b"1" + b"}" * depth, b"\x81\xa1a" * depth + b"\x01")


def _extension(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    """JSON has none: what comes nearest is a constructor."""
    packed = [
        msgpack.packb(msgpack.ExtType(random.randrange(128), random.randbytes(random.randrange(20)))),
        msgpack.packb(msgpack.Timestamp(random.randrange(1 << 33), random.randrange(10**9))),
        b"\xd4\xff\x00",
    ]
    return Written(random.choice([b"new Date(0)", b"undefined", b"0x10", b"'a'", b"+1", b".5"]), random.choice(packed))


def _twice(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return Twice(right)


def _empty(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    return random.choice([kind.raw() for kind in field.kinds if kind.raw in (str, dict)] or ["", {}, []])


def _wrong_word(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    word = "".join(random.choices("abcdefghijklmnopqrstuvwxyz_", k=random.randrange(9, 20)))
    return random.choice([word, word, "../../etc/passwd", "%s%n", "' OR 1=1 --", "*", "__class__"])


def _boundary(field: Field, right: Any, random: Random, is_json: bool) -> Any:
    kind = random.choice(field.kinds)
    match kind.rule:
        case Range(low=low, high=high) if kind.raw is int:
            return random.choice([int(low), int(low) - 1, int(low) + 1, int(high), int(high) - 1, int(high) + 1])
        case Range(low=low, high=high):
            return random.choice([low, high, low - 1e-9 * max(1, abs(low)), high + 1e-9 * max(1, abs(high))])
        case OneOf(choices=choices):
            word = random.choice([str(choice) for choice in choices])
            if kind.raw is int:
                return int(word) + random.choice([-1, 0, 1])
            return random.choice([word, word.upper(), word + " ", word[:-1], word + "\0"])
        case OneLine(low=low, high=high):
            return "x" * max(0, random.choice([low - 1, low, low + 1, high - 1, high, high + 1]))
        case _:
            return {bool: not right, str: random.choice(["", "x"])}.get(kind.raw, right)


VALUES: Final[Mapping[str, Value]] = {
    "wrong type": _wrong_type,
    "bool": _truth,
    "missing": lambda field, right, random, is_json: ...,
    "null": lambda field, right, random, is_json: None,
    "unknown key": lambda field, right, random, is_json: right,
    "huge": _huge,
    "negative": _negative,
    "zero": lambda field, right, random, is_json: 0,
    "not finite": _not_finite,
    "long": _long,
    "bad UTF-8": _bad_utf8,
    "surrogate": _surrogate,
    "control": _control,
    "deep": _deep,
    "extension": _extension,
    "key twice": _twice,
    "empty": _empty,
    "wrong word": _wrong_word,
    "boundary": _boundary,
}
BYTES: Final = ("cut off", "bits", "trailing", "other frame")
MUTATIONS: Final = (*VALUES, *BYTES)


def mutated(field: Field, message: dict[str, Any], mutation: str, random: Random, *, is_json: bool) -> Probe:
    """A right message with one thing wrong at the field, or with its bytes. What is due is judged here."""
    *above, key = field.path
    place = message
    for step in above:
        place = place[step]
    key = next(iter(place)) if key == ENTRY else key
    right = place[key]
    value = VALUES[mutation](field, right, random, is_json) if mutation in VALUES else right
    due = _due(field, mutation, value, is_json)
    if value is ...:
        del place[key]
    else:
        place[key] = value
    if mutation == "unknown key":
        place[_name(random)[:64]] = 1 if field.is_entry else random.choice([1, None, [], {"a": [1]}, "x" * 100])
    elif mutation == "deep" and not field.is_entry and random.random() < 0.3:
        place[key], place[_name(random)], due = right, value, UNDECODABLE
    payload = written(message, is_json)
    is_text = is_json
    match mutation:
        case "cut off":
            payload = payload[: random.randrange(1, len(payload))]
        case "bits":
            payload = _flipped(payload, written({key: right}, is_json)[1:-1] if is_json else b"", random)
        case "trailing":
            payload += random.choice([b"x", payload, b"{}" if is_json else b"\xc0", b"\0"])
        case "other frame":
            is_text = not is_json
    if len(payload) > MESSAGE_BYTES:
        due = OVERSIZE
    elif is_text and not _is_utf8(payload):
        due = NOT_TEXT
    return Probe(payload, is_text, due)


def written(value: Any, is_json: bool) -> bytes:
    """The bytes of a message, however wrong."""
    match value:
        case Written():
            return value.json if is_json else value.packed
        case dict():
            pairs = [(key, each) for key, each in value.items() for _ in range(2 if isinstance(each, Twice) else 1)]
            told = [
                (written(key, is_json), written(each.value if isinstance(each, Twice) else each, is_json))
                for key, each in pairs
            ]
            if is_json:
                return b"{" + b",".join(key + b":" + each for key, each in told) + b"}"
            return bytes(msgpack.Packer().pack_map_header(len(told))) + b"".join(map(b"".join, told))
        case _:
            return json.dumps(value, ensure_ascii=False).encode() if is_json else bytes(msgpack.packb(value))


def _due(field: Field, mutation: str, value: Any, is_json: bool) -> Due:
    wrong = BAD_TYPE if field.is_type else BAD_VALUE
    if mutation == "bits":
        return OPEN
    if mutation in BYTES or mutation == "key twice" or (mutation, is_json) == ("bad UTF-8", False):
        return UNDECODABLE
    if isinstance(value, Written) and mutation == "huge":
        return UNDECODABLE
    if mutation == "extension":
        return UNDECODABLE
    if mutation == "not finite":
        return UNDECODABLE if is_json and b"e" not in value.json else Due(codes=wrong)
    if mutation == "deep":
        return Due(codes=wrong | BAD_MESSAGE)
    is_right = not field.is_required if value is ... else field.takes(value)
    if not is_right or (field.name == "hello.version" and value not in (..., None, VERSION)):
        return Due(codes=wrong)
    if field.name == "cancel.played":
        return Due(passes=True, codes=REFUSALS | BAD_VALUE)  # an integer goes with one utterance, a map with all
    return WELL_MADE


def _flipped(payload: bytes, piece: bytes, random: Random) -> bytes:
    begin = payload.find(piece) if piece else 0
    flipped = bytearray(payload)
    for _ in range(random.randrange(1, 4)):
        flipped[begin + random.randrange(len(piece) or len(payload))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _name(random: Random) -> str:
    return "x-" + "".join(random.choices("abcdefgh", k=random.choice([1, 5, 80])))
