"""Which form each operation takes at each shape: measured once, kept, and open to questions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

log = logging.getLogger(__name__)

PLAIN = "plain"

TOLERANCES = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 4e-2}
"""How far two forms of an operation may lie apart, relative to the size of what they compute."""

Run = Callable[[], Sequence[Tensor]]
"""One form on given inputs: what it returns, and what it wrote."""


Timer = Callable[[Callable[[], object]], float]
"""Calls what it is given, repeatedly, and says how long a call takes, in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What became of one operation at one shape."""

    form: str  # its name; PLAIN: the plain one
    times_us: dict[str, float] = field(default_factory=dict)  # by form
    failures: dict[str, str] = field(default_factory=dict)  # form -> reason

    def __str__(self) -> str:
        words = [PLAIN if self.form == PLAIN else f"fused {self.form}"]
        if self.form in self.times_us and self.times_us.keys() >= {PLAIN}:
            words.append(f"{self.times_us[self.form]:.1f} us, plain {self.times_us[PLAIN]:.1f} us")
        words += [f"{name} failed: {reason}" for name, reason in self.failures.items()]
        return "; ".join(words)


class Choices:
    """The chosen forms by key, "operation|shapes dtype"."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._chosen: dict[str, Choice] = {}

    def get(self, key: str) -> Choice | None:
        return self._chosen.get(key)

    def measure(self, key: str, plain: Run, fused: dict[str, Run]) -> None:
        """Times all forms of one operation on the same inputs, and keeps the fastest that agrees with the plain one."""
        expected = plain()
        times_us = {PLAIN: self._timer(plain)}
        failures: dict[str, str] = {}
        for name, run in fused.items():
            try:
                reason = difference(expected, run())
                if not reason:
                    times_us[name] = self._timer(run)
            except Exception as error:  # whatever a compiler or a driver may raise
                reason = first_line(error)
            if reason:
                failures[name] = reason
                log.warning("kernel %s of %s failed and is left out: %s", name, key, reason)
        fastest = min(times_us, key=lambda name: times_us[name])
        self._chosen[key] = Choice(form=fastest, times_us=times_us, failures=failures)

    def give_up(self, key: str, error: Exception) -> None:
        """The chosen form failed in use: the plain one from now on."""
        before = self._chosen[key]
        reason = first_line(error)
        self._chosen[key] = Choice(
            form=PLAIN, times_us=before.times_us, failures={**before.failures, before.form: reason}
        )
        log.warning("kernel %s of %s failed, the plain form takes its place: %s", before.form, key, reason)

    def described(self) -> dict[str, str]:
        return {key: str(choice) for key, choice in self._chosen.items()}

    def save(self, path: Path, place: dict[str, str]) -> None:
        """`place`: what a later process must share (device, versions) for the choices to hold there."""
        kept = {key: asdict(choice) for key, choice in self._chosen.items()}
        path.write_text(json.dumps({"place": place, "choices": kept}, indent=1), encoding="utf-8")

    def load(self, path: Path, place: dict[str, str]) -> bool:
        """Takes over what was saved at the same place. False, and nothing changes: another place, or no such file."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["place"] != place:
                return False
            read = {key: Choice(**choice) for key, choice in kept["choices"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.info("no choices of kernels in %s: %s", path, first_line(error))
            return False
        self._chosen |= read
        return True


def difference(expected: Sequence[Tensor], got: Sequence[Tensor]) -> str:
    """What is wrong with `got`, "" for nothing."""
    for should, has in zip(expected, got, strict=True):
        if should.shape != has.shape or should.dtype != has.dtype:
            return f"{has.dtype} {list(has.shape)} where {should.dtype} {list(should.shape)} was due"
        wide = should.float()
        size = wide.square().mean().sqrt() + wide.abs()
        worst = float(((has.float() - wide).abs() / size.clamp_min(1e-20)).max()) if should.numel() else 0.0
        if not worst <= TOLERANCES[should.dtype]:  # no number is over it, too
            return f"differs from the plain form by {worst:.3g} of its size"
    return ""


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"[:200]
