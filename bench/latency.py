"""How soon one hears: `python -m bench.latency`. First audio from the clause's last byte, by stage; cancel; a crowd."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import uvloop

from .conversation import STAGES
from .report import RESULTS, table, write
from .scenes import barge_in, crowd, one_listener
from .server import Server, ServerFailed, running_server
from .texts import LANGUAGES
from .websocket import Address, ConnectionFailed

ONE_LISTENER_P50_MS = 15.0
ONE_LISTENER_P99_MS = 40.0
CROWD_P99_MS = 120.0
CANCEL_MS = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """0: everything was measured (whatever the verdicts); 1: something could not be."""
    options = _parse(argv)
    found: list[dict[str, Any]] = []
    try:
        for model in options.model:
            context = nullcontext(Server(options.url)) if options.url else running_server(model)
            with context as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                for scene in runner.run(_scenes(Address.of(server.url), options)):
                    found.append({"model": model, **scene, "verdict": verdict(scene)})
            print(table([_row(scene) for scene in found]), flush=True)
    except (ServerFailed, ConnectionFailed, TimeoutError) as error:
        print(f"bench.latency: {str(error) or 'the server gave no answer in time'}", file=sys.stderr)
        return 1
    directory = options.output or (None if options.quick else RESULTS)
    if directory is not None:
        print(write("latency", {"scenes": found}, directory), file=sys.stderr)
    return 0


def verdict(scene: Mapping[str, Any]) -> str:
    """`ok`, or what misses its goal (issue 2, "Numbers to show")."""
    first = scene["first_audio_ms"]
    missed: list[str] = []
    if "underruns" in scene:
        missed += [f"p99 over {CROWD_P99_MS:g} ms"] * (first["p99"] > CROWD_P99_MS)
        missed += [f"{scene['underruns']['gaps']} underruns"] * (scene["underruns"]["gaps"] > 0)
    else:
        missed += [f"p50 over {ONE_LISTENER_P50_MS:g} ms"] * (first["p50"] > ONE_LISTENER_P50_MS)
        missed += [f"p99 over {ONE_LISTENER_P99_MS:g} ms"] * (first["p99"] > ONE_LISTENER_P99_MS)
    last_audio = scene.get("last_audio_after_cancel_ms")
    if last_audio is not None and last_audio["max"] > CANCEL_MS:
        missed.append(f"audio {last_audio['max']:g} ms after a cancel")
    return ", ".join(missed) or "ok"


async def _scenes(address: Address, options: argparse.Namespace) -> list[dict[str, Any]]:
    found = []
    for language in options.languages:
        print(f"one listener, {language} ...", file=sys.stderr, flush=True)
        found.append(await one_listener(address, language, options.utterances, options.warm_up))
        print(f"barge-in, {language} ...", file=sys.stderr, flush=True)
        found.append(await barge_in(address, language, options.cancels, options.warm_up))
    print(f"{options.listeners} listeners at once ...", file=sys.stderr, flush=True)
    languages = list(itertools.islice(itertools.cycle(options.languages), options.listeners))
    found.append(await crowd(address, languages, options.rounds, min(1, options.warm_up)))
    return found


def _row(scene: Mapping[str, Any]) -> dict[str, object]:
    """All in ms; stages are medians."""
    first, stages = scene["first_audio_ms"], scene["stages_ms"]
    last_audio = scene.get("last_audio_after_cancel_ms")
    return {
        "model": scene["model"],
        "scene": scene["scene"],
        "text": scene["language"],
        "n": first["n"],
        "first audio p50": first["p50"],
        "p95": first["p95"],
        "p99": first["p99"],
        "max": first["max"],
        "/".join(STAGES): "/".join(f"{stages[stage]['p50']:.1f}" for stage in STAGES),
        "cancel p99/max": None if last_audio is None else f"{last_audio['p99']:.1f}/{last_audio['max']:.1f}",
        "gaps": scene["underruns"]["gaps"] if "underruns" in scene else None,
        "verdict": scene["verdict"],
    }


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--model", type=_names, default=["espeak", "tone"], help="models to measure, comma-separated")
    parser.add_argument("--languages", type=_names, default=list(LANGUAGES), help="languages, comma-separated")
    parser.add_argument("--utterances", type=int, default=200, help="measured clauses of one listener, per language")
    parser.add_argument("--cancels", type=int, default=60, help="measured cancels, per language")
    parser.add_argument("--listeners", type=int, default=16, help="listeners at once")
    parser.add_argument("--rounds", type=int, default=13, help="clauses that each of them says")
    parser.add_argument("--warm-up", type=int, default=10, help="utterances that are not counted, before each scene")
    parser.add_argument("--url", help="a running server, whose model the first --model is; otherwise one is started")
    parser.add_argument("--quick", action="store_true", help="a few of each, one language, and nothing is written")
    parser.add_argument("--output", type=Path, help="folder of the result, if not bench/results")
    options = parser.parse_args(argv)
    if options.quick:
        options.utterances, options.cancels, options.rounds, options.warm_up = 5, 3, 1, min(1, options.warm_up)
        options.languages = options.languages[:1]
    return options


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
