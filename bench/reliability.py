"""Everything that is promised of faults, one bench after the other: `python -m bench.reliability`.

It takes a quarter of an hour, alone on the machine, and ends with one table of goals. `bench.soak` is apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copy

from . import crashes, drains, idle, long_links, neural_crashes, poison, resets, slow_reader, storm, thin_link
from .goals import Goal
from .report import RESULTS, table

Main = Callable[[Sequence[str] | None], int]

BENCHES: dict[str, tuple[Main, tuple[str, ...]]] = {
    "resets": (resets.main, ("--trials", "4", "--together", "4")),
    "crashes": (crashes.main, ("--tone", "4", "--espeak", "0", "--trials", "1", "--chars", "40")),
    "neural-crashes": (neural_crashes.main, ("--streams", "2", "--trials", "1", "--chars", "60")),
    "poison": (poison.main, ("--streams", "4", "--killers", "1", "--trials", "1")),
    "drains": (drains.main, ("--streams", "8", "--drain-ms", "2000")),
    "slow-reader": (slow_reader.main, ("--quick",)),
    "thin-link": (thin_link.main, ("--seconds", "1", "--outage", "1")),
    "long-links": (long_links.main, ("--round-trips", "300", "--seconds", "2")),
    "idle": (idle.main, ("--connections", "100", "--seconds", "1")),
    "storm": (storm.main, ("--streams", "4", "--reconnects", "50", "--within", "1")),
}
"""What runs, and with which arguments it is small: for `--quick`."""


def main(argv: Sequence[str] | None = None) -> int:
    """0: every goal is met; 1: one is missed, or could not be measured."""
    options = _parse(argv)
    goals: list[Goal] = []
    for name in options.only or BENCHES:
        print(f"\nbench.{name.replace('-', '_')} ...", file=sys.stderr, flush=True)
        goals += measure(name, None if options.quick else options.output, quick=options.quick)
    print("\n" + table([goal.row for goal in goals]))
    return 0 if all(goal.is_met for goal in goals) else 1


def measure(name: str, directory: Path | None, *, quick: bool = False) -> list[Goal]:
    """What one bench found; its result is kept in `directory`, if there is one."""
    run, small = BENCHES[name]
    with tempfile.TemporaryDirectory(prefix="voxwire-") as folder:
        run([*(small if quick else ()), "--output", folder])
        results = sorted(Path(folder).glob("*.json"))
        if not results:
            return [Goal(what=f"bench.{name.replace('-', '_')}", goal="measured", measured="not", is_met=False)]
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            for result in results:
                print(copy(result, directory), file=sys.stderr)
        return [Goal(**goal) for result in results for goal in json.loads(result.read_text())["goals"]]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(BENCHES), help="not all of them")
    parser.add_argument("--quick", action="store_true", help="see in a minute that all of it works; nothing is kept")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
