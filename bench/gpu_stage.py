"""A stage of bench.gpu, in a process of its own: it keeps what it finds as it goes, and may be ended at any moment."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

Keep = Callable[[str, Any], None]
"""Called with a name and what was found under it, which must go into JSON; a later call of the name replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a stage is to do. `found`: what the stages before it found, by stage."""

    checkpoint: Path  # of v1.5's shape, or a tiny one in a rehearsal
    tiny: Path  # a tiny checkpoint in float32
    cache: Path  # default voices of both, made beforehand
    folder: Path  # for what the stage needs to write
    device: str
    rehearse: bool
    seconds: float  # after which it is ended
    wheels: Path | None = None  # the peers' wheels, which are not installed
    found: Mapping[str, Any] = field(default_factory=dict)


class Stage(Protocol):
    def run(self, plan: Plan, keep: Keep) -> None: ...


def main(module: str, plan: Plan, out: Path) -> None:
    """The process: its own group, so that whatever it starts can be ended with it."""
    os.setsid()
    with (plan.folder / "log").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    found: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        found[name] = value
        staged = out.with_suffix(".new")
        staged.write_text(json.dumps(found), encoding="utf-8")
        staged.replace(out)

    if plan.device == "cpu":
        torch.set_num_threads(1)
    try:
        stage: Any = importlib.import_module(module)
        stage.run(plan, keep)
    except BaseException as error:
        traceback.print_exc()
        keep("error", f"{type(error).__name__}: {error}".partition("\n")[0][:400])
        sys.exit(1)


def tail(folder: Path, num_chars: int = 1500) -> str:
    """The end of a stage's log."""
    with contextlib.suppress(OSError):
        return (folder / "log").read_text(encoding="utf-8", errors="replace")[-num_chars:].strip()
    return ""
