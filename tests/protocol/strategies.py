"""Hypothesis strategies for messages, made from their annotations, and for what is nearly one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from protocol.constraints import OneLine, OneOf, Range, WellFormed
from protocol.messages import ABSENT, CLIENT_TYPES, SERVER_TYPES, Absent

prose = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def line(rule: OneLine) -> SearchStrategy[str]:
    text = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=rule.low, max_size=min(rule.high, 20))
    return text.filter(lambda value: value != rule.reserved and value.isprintable())


def value_for(annotation: Any) -> SearchStrategy[Any]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        match args[1]:
            case Range(low, high) if args[0] is float:
                return st.floats(low, high)
            case Range(low, high):
                return st.integers(int(low), int(high))
            case OneOf(choices):
                return st.sampled_from(choices)
            case OneLine() as rule:
                return line(rule)
            case WellFormed():
                return prose
    if origin in (Union, UnionType):
        return st.one_of([value_for(arg) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(value_for(args[0]), max_size=4).map(tuple)
    if origin is Mapping:
        return st.dictionaries(value_for(args[0]), value_for(args[1]), max_size=3)
    simple: dict[Any, SearchStrategy[Any]] = {
        NoneType: st.none(),
        Absent: st.just(ABSENT),
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        int: st.integers(-(2**53) + 1, 2**53 - 1),
    }
    if annotation in simple:
        return simple[annotation]
    if is_dataclass(annotation):
        return record(annotation)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return st.tuples(*map(value_for, get_type_hints(annotation).values())).map(lambda row: annotation(*row))


def record(kind: type[Any]) -> SearchStrategy[Any]:
    """A dataclass of the wire, with some of its optional fields left at their defaults."""
    hints = get_type_hints(kind, include_extras=True)
    given = {
        each.name: value_for(hints[each.name])
        for each in fields(kind)
        if each.default is MISSING and each.default_factory is MISSING
    }
    if hints.get("version") is int:
        hints["version"] = Literal[1]
    optional = {each.name: value_for(hints[each.name]) for each in fields(kind) if each.name not in given}
    built = st.fixed_dictionaries(given, optional=optional).map(lambda values: kind(**values))
    return built.filter(lambda value: value.fault() is None) if hasattr(kind, "fault") else built


client_messages = st.one_of([record(kind) for kind in CLIENT_TYPES.values()])
server_messages = st.one_of([record(kind) for kind in SERVER_TYPES.values()])

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(), max_size=8)  # lone surrogates included
)
trees = st.recursive(
    scalars | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
names = sorted({each.name for kind in (*CLIENT_TYPES.values(), *SERVER_TYPES.values()) for each in fields(kind)})
near_messages = st.builds(
    lambda name, utterance, others: {"type": name, "utterance": utterance} | others,
    st.sampled_from([*CLIENT_TYPES, *SERVER_TYPES]) | scalars,
    st.just("u") | scalars,
    st.dictionaries(st.sampled_from(names), trees, max_size=4),
)
