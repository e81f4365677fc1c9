"""A JSON file's fields, taken strictly: what is missing or of another kind is named, with its file and path."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..base import ModelError

MOST = 1 << 24
"""No size in these files comes near; beyond it a number is a slip, and would not fit into memory."""


class Fields:
    """One object of the file. Every method raises ModelError for a field that is not as its name says."""

    def __init__(self, path: Path, values: Any, where: str = "") -> None:
        """`where`: the path of the object in the file, with a dot at its end; empty for the whole of it."""
        self.path = path
        self._where = where
        if not isinstance(values, dict):
            name = f"'{where[:-1]}' was expected to be an object" if where else "an object was expected"
            raise self.error(f"{name}, but {_shown(values)} came")
        self.values: dict[str, Any] = values

    @classmethod
    def read(cls, path: Path) -> Fields:
        """The file's one object."""
        try:
            return cls(path, json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ModelError(f"A readable {path} was expected, but it is not: {error.strerror}.") from None
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: JSON was expected, but it is not: {error}.") from None

    def __contains__(self, name: str) -> bool:
        """Whether the field is there, and not null."""
        return self.values.get(name) is not None

    def value(self, name: str) -> Any:
        """Whatever there is."""
        if name not in self.values:
            raise self.error(f"the key '{self._where}{name}' was expected, but it is missing")
        return self.values[name]

    def object(self, name: str) -> Fields:
        return Fields(self.path, self.value(name), f"{self._where}{name}.")

    def integer(self, name: str, *, least: int = 1, most: int = MOST) -> int:
        value = self.value(name)
        if not _is_integer(value) or not least <= value <= most:
            raise self.unexpected(name, f"an integer from {least} to {most}")
        return int(value)

    def number(self, name: str) -> float:
        value = self.value(name)
        if not _is_positive(value):
            raise self.unexpected(name, "a positive number")
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        values = self.value(name)
        if not isinstance(values, list) or not values or not all(_is_positive(each) for each in values):
            raise self.unexpected(name, "a list of positive numbers")
        return tuple(float(each) for each in values)

    def integers(self, name: str, *, most: int = MOST) -> tuple[int, ...]:
        values = self.value(name)
        if not isinstance(values, list) or not values or not all(_is_integer(each, 1, most) for each in values):
            raise self.unexpected(name, f"a list of integers from 1 to {most}")
        return tuple(values)

    def flag(self, name: str, default: bool) -> bool:
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.unexpected(name, "true or false")
        return value

    def choice(self, name: str, default: str, served: tuple[str, ...]) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or value.lower() not in served:
            raise self.unexpected(name, f"one of {', '.join(served)}")
        return value.lower()

    def choices(self, name: str, served: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `served` that the list names; all of them without one."""
        values = self.values.get(name, list(served))
        if not isinstance(values, list) or any(each not in served for each in values):
            raise self.unexpected(name, f"a list of some of {', '.join(served)}")
        return tuple(each for each in served if each in values)

    def unexpected(self, name: str, expected: str) -> ModelError:
        return self.error(f"'{self._where}{name}' was expected to be {expected}, but {_shown(self.values[name])} came")

    def error(self, sentence: str) -> ModelError:
        return ModelError(f"{self.path}: {sentence}.")


def _is_integer(value: Any, least: int = -(1 << 62), most: int = 1 << 62) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
