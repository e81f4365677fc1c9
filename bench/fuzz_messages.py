"""Right messages, to be spoilt."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from protocol.constraints import OneLine, OneOf, Range
from protocol.messages import VERSION

from .fuzz_fields import ENTRY, Field, Kind, all_fields


def right_message(field: Field, random: Random, *, fresh: str, live: str) -> dict[str, Any]:
    """One that holds the field and would be taken as it is. `fresh`: an utterance that is new; `live`: that is open."""
    known = _by_path(field.message)
    message: dict[str, Any] = {"type": field.message}
    for (key, *deeper), each in known.items():
        if each.is_required and not deeper and key != "type":
            message[key] = _right(each, each.kinds[0], random)
    if "utterance" in message:
        message["utterance"] = fresh if field.message == "start" else "*" if ENTRY in field.path else live
    if field.message == "start":
        message |= {"text": "Hi.", "end": True}
    place = message
    for depth, key in enumerate(field.path):
        each, is_last = known[field.path[: depth + 1]], depth == len(field.path) - 1
        kind = (each.kind(dict) if not is_last else None) or each.kinds[0]
        inner = place.setdefault("k" if key == ENTRY else key, _right(each, kind, random))
        if not is_last:
            place = inner
    if field.path == ("after",):
        message["after"] = live
    return message


@cache
def _by_path(message: str) -> dict[tuple[str, ...], Field]:
    return {each.path: each for each in all_fields() if each.message == message}


def _right(field: Field, kind: Kind, random: Random) -> Any:
    if field.path == ("version",) and field.message == "hello":
        return VERSION
    match kind.rule:
        case Range(low=low, high=high) if kind.raw is int:
            return random.choice([int(low), int(high), min(int(high), int(low) + random.randrange(1000))])
        case Range(low=low, high=high):
            return random.uniform(max(low, -1e6), min(high, 1e6))
        case OneOf(choices=choices):
            return random.choice(choices)
        case OneLine():
            return "x" + str(random.randrange(1000))
        case _ if kind.is_record:
            inner = {path[-1]: each for path, each in _by_path(field.message).items() if path[:-1] == field.path}
            return {key: _right(inner[key], inner[key].kinds[0], random) for key in kind.requires}
        case _:
            return {bool: random.random() < 0.5, dict: {}}.get(kind.raw, "Hi. ")
