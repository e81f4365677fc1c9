"""What was promised, what was measured, and whether that is enough."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .report import table, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One line of a table that anybody can read."""

    what: str
    goal: str
    measured: str
    is_met: bool

    @property
    def row(self) -> dict[str, object]:
        return {"what": self.what, "goal": self.goal, "measured": self.measured, "": "met" if self.is_met else "MISSED"}


def tell(name: str, goals: Sequence[Goal], found: Mapping[str, Any], directory: Path) -> int:
    """Print the goals, and write them into `directory` with what was found. The exit status: 1 if one is missed."""
    print(table([goal.row for goal in goals]))
    print(write(name, {"goals": [asdict(goal) for goal in goals], **found}, directory), file=sys.stderr)
    return 0 if all(goal.is_met for goal in goals) else 1
