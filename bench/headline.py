"""All figures that the project quotes, one after the other: `python -m bench.headline`. A quarter of an hour, alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import latency, load

RUNS = (
    (latency.main, ()),
    (load.main, ("--codec", "pcm", "--ladder", "250,500,1000")),
    (load.main, ("--codec", "opus", "--ladder", "100,150,250")),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Arguments are handed on to every run. 0 when all were measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.headline", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that all of it works; nothing is written")
    parser.add_argument("--output", help="folder of the results, if not bench/results")
    options = parser.parse_args(argv)
    more = [*(["--quick"] if options.quick else []), *(["--output", options.output] if options.output else [])]
    return max(run([*arguments, *more]) for run, arguments in RUNS)


if __name__ == "__main__":
    sys.exit(main())
