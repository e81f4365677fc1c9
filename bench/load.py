"""How many listeners one server carries: `python -m bench.load --ladder 250,500,1000 --codec pcm`.

With `--workers 1,2,4` each rung is climbed with so many web processes in turn, with `--each` by so many listeners for
each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from .report import RESULTS, table, write
from .rung import Load, LoadFailed, climb
from .server import Server, ServerFailed, running_server

QUICK_LISTENERS = 20
CODECS = {"pcm": "pcm_s16le", "opus": "opus"}


def main(argv: Sequence[str] | None = None) -> int:
    """0: every rung was measured (whatever its verdict); 1: one could not be."""
    options = _parse(argv)
    load = Load(
        model=options.model,
        language=options.language,
        codec=CODECS[options.codec],  # type: ignore[arg-type]  # they are codecs
        lead_ms=options.lead_ms,
        seconds=options.seconds,
        playheads_per_s=options.playheads,
        check_every=options.check_every,
        generators=options.generators,
    )
    if options.quick:
        load, options.ladder = replace(load, seconds=min(2.0, load.seconds)), [min(QUICK_LISTENERS, *options.ladder)]
    rungs: list[dict[str, Any]] = []
    try:
        for step, workers in product(options.ladder, options.workers):
            num_listeners = step * workers if options.each else step
            print(f"{num_listeners} listeners, {load.codec}, {load.seconds:g} s ...", file=sys.stderr, flush=True)
            flags = [*options.server_flags.split(), *(["--workers", str(workers)] if workers != 1 else [])]
            rung = measure(load, num_listeners, options.url, options.server_pid, flags)
            rungs.append({"workers": workers, **rung})
            print(table([_row(rung) for rung in rungs]), flush=True)
    except (ServerFailed, LoadFailed) as error:
        print(f"bench.load: {error}", file=sys.stderr)
        return 1
    finally:
        directory = options.output or (None if options.quick else RESULTS)
        if directory is not None and rungs:
            name = options.name or f"load-{Path(load.model).name}-{options.codec}"
            told = {"load": asdict(replace(load, model=Path(load.model).name)), "server_flags": options.server_flags}
            if options.note:
                told["note"] = options.note
            print(write(name, {**told, "rungs": rungs}, directory), file=sys.stderr)
    return 0


def measure(load: Load, num_listeners: int, url: str | None, pid: int | None, flags: Sequence[str]) -> dict[str, Any]:
    """A rung at a server of its own, or at the one that runs at `url`. Raises ServerFailed, LoadFailed."""
    if url is not None:
        return asyncio.run(climb(Server(url, pid), load, num_listeners))
    with running_server(load.model, flags) as server:
        return asyncio.run(climb(server, load, num_listeners))


def _row(rung: Mapping[str, Any]) -> dict[str, object]:
    """What of a rung fits a line; CPU is milliseconds per 1000 frames and per cent of a core."""
    lateness, cost, percent = rung["lateness_ms"], rung["cpu_ms_per_1000_frames"], rung["cpu_percent_of_a_core"]
    roles = ("web", "engine", "generator")
    return {
        "listeners": rung["listeners"],
        "workers": rung["workers"],
        "codec": rung["codec"],
        "late": rung["late_frames"],
        "lateness p50/p99/max": "/".join(f"{lateness[key] or 0:.1f}" for key in ("p50", "p99", "max")),
        "first audio p99": rung["first_audio_ms"]["p99"],
        "faults": rung["faults"],
        "CPU web/engine/gen": "/".join(f"{cost[role]:.0f}" if role in cost else "-" for role in roles),
        "core %": "/".join(f"{percent[role]:.0f}" if role in percent else "-" for role in roles),
        "web each %": "/".join(f"{each:.0f}" for each in rung["web_percent_of_a_core_each"]),
        "others %": rung["machine"]["others_percent_of_a_core"],
        "verdict": rung["verdict"],
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--ladder", type=_numbers, default=[250, 500, 1000], help="listeners of each rung")
    parser.add_argument("--model", default="tone", help="what the server speaks with")
    parser.add_argument("--language", default="en", choices=("en", "zh"))
    parser.add_argument("--codec", default="pcm", choices=tuple(CODECS))
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measured window")
    parser.add_argument("--lead-ms", type=int, default=320, help="how far ahead of its listeners the server works")
    parser.add_argument("--playheads", type=float, default=4.0, help="playheads a second of each listener; 0: none")
    parser.add_argument("--check-every", type=int, default=8, help="compare the samples of one tone frame in so many")
    parser.add_argument("--generators", type=int, default=2, help="processes that play the listeners")
    parser.add_argument("--url", help="a running server; otherwise one is started for each rung")
    parser.add_argument("--server-pid", type=int, help="its process id, to count its CPU")
    parser.add_argument("--workers", type=_numbers, default=[1], help="web processes of the servers that are started")
    parser.add_argument("--each", action="store_true", help="the ladder counts listeners for each web process")
    parser.add_argument("--name", help="of the result's file")
    parser.add_argument("--note", help="what the result is to say beside its figures")
    parser.add_argument("--server-flags", default="", help="further flags of the servers that are started")
    parser.add_argument("--quick", action="store_true", help=f"two seconds of {QUICK_LISTENERS}, no file")
    parser.add_argument("--output", type=Path, help="folder of the result, if not bench/results")
    return parser.parse_args(argv)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
