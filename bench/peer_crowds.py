"""Peers that speak to many at once, one after the other on the same device: the part of bench.peers for `--streams`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Timer
from typing import Any

from .peer import PROMPT_PATCHES
from .report import ROOT

KINDS = ("voxwire", "nano", "official")
STREAMS = (1, 8, 16, 32, 64, 128, 256)
WHEELS = {"nano": "nano_vllm_voxcpm", "official": "voxcpm"}
"""The peers' own wheels, by how their files' names begin; what these need must be installed."""


def measure(
    checkpoint: Path,
    *,
    kinds: Sequence[str] = KINDS,
    streams: Sequence[int] = STREAMS,
    device: str = "cuda",
    steps: int = 10,
    patches: int = 50,
    warm_up: int = 12,
    threads: int = 2,
    compiled: bool = False,
    wheels: Path | None = None,
    seconds: float | None = None,
    kept: Callable[[dict[str, Any]], None] = lambda body: None,
) -> dict[str, Any]:
    """`rows`: one for each peer and number of streams; `left_out`: why a peer has none; `against`: ours to theirs.

    A peer that fails leaves the others alone, and what it said before it did is kept. `seconds` for all: each may take
    half of what is left, the last one all. `kept` is called with the body after every line that a peer says.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    body: dict[str, Any] = {"rows": [], "left_out": {}, "peers": {}, "prompt_patches": PROMPT_PATCHES, "steps": steps}
    for kind in kinds:
        if kind == "nano" and device == "cpu":
            body["left_out"][kind] = "nano-vllm-voxcpm needs a CUDA device, and this is a CPU."
            continue
        plan = {
            "kind": kind, "checkpoint": str(checkpoint), "streams": list(streams), "device": device, "steps": steps,
            "patches": patches, "warm_up": warm_up, "threads": threads, "compiled": compiled,
            "ramp_s": 0.1 if device == "cpu" else 1.0,
        }  # fmt: skip
        said: dict[str, Any] = {}
        try:
            share = 1.0 if kind == kinds[-1] else 0.5
            timeout_s = None if ends_at is None else max(0.0, share * (ends_at - time.monotonic()))
            for line in _lines(plan, wheels, timeout_s):
                if "streams" in line:
                    body["rows"].append(_row(kind, line))
                else:
                    said |= line
                body["peers"][kind] = said
                body["against"] = _against(body["rows"])
                kept(body)
        except subprocess.SubprocessError as error:
            body["left_out"][kind] = str(error)
    return body


def _lines(plan: Mapping[str, Any], wheels: Path | None, timeout_s: float | None) -> Iterator[dict[str, Any]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = [*_unpacked(plan["kind"], wheels, folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | ({"PYTHONPATH": os.pathsep.join(path)} if path else {})
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.peer_streams", json.dumps(plan)],
                cwd=ROOT, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
        with process:
            watchdog = stack.enter_context(_killed_after(process, timeout_s))
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
            code = process.wait()
        if code:
            last = (folder / "said").read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            reason = f"ran out of its {timeout_s:.0f} s" if watchdog() else last or f"it ended with {code}"
            reason = reason.removeprefix("RuntimeError: ")
            raise subprocess.SubprocessError(reason)


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[str], timeout_s: float | None) -> Iterator[Any]:
    """Yields what says whether it was killed."""
    is_over = Event()

    def end() -> None:
        is_over.set()
        process.kill()

    timer = Timer(timeout_s, end) if timeout_s is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield is_over.is_set
    finally:
        if timer is not None:
            timer.cancel()
        process.kill()


def _unpacked(kind: str, wheels: Path | None, folder: Path) -> list[str]:
    """A folder with the peer's wheel in it, for its process alone: nothing is installed over anything of ours."""
    name = WHEELS.get(kind)
    found = sorted(wheels.glob(f"{name}-*.whl")) if wheels is not None and name else []
    for path in found[-1:]:
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(folder / "wheel")
        return [str(folder / "wheel")]
    return []


def _row(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """`step_ms`: the median of the steps with the commonest number of rows."""
    steps = found["steps"]
    commonest = max(steps, key=lambda rows: steps[rows]["n"], default=None)
    return {
        "peer": kind,
        "streams": found["streams"],
        "rows_of_a_step": None if commonest is None else int(commonest),
        "step_ms": None if commonest is None else steps[commonest]["p50"],
        "audio_s_per_s": found["audio_s_per_s"],
        "first_audio_ms": found["first_audio_ms"],
        "underruns": found["underruns"],
        "refused": found["refused"],
        "flat_patches": found["flat_patches"],
    }


def _against(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many times less time a step alone takes, and how many times more streams go without a gap, by peer."""
    found: dict[str, Any] = {}
    ours = {row["streams"]: row for row in rows if row["peer"] == "voxwire"}
    for kind in KINDS[1:]:
        theirs = {row["streams"]: row for row in rows if row["peer"] == kind}
        if not ours or not theirs:
            continue
        one, other = ours.get(1), theirs.get(1)
        most, least = highest_without_gap(ours.values()), highest_without_gap(theirs.values())
        found[kind] = {
            "step": round(other["step_ms"] / one["step_ms"], 2) if one and other else None,
            "streams": round(most / least, 2) if least else None,
            "highest_without_gap": least,
        }
    return found


def highest_without_gap(rows: Any) -> int:
    """The most streams that nobody heard a gap in, and nobody was refused."""
    return max((row["streams"] for row in rows if not row["underruns"]["streams"] and not row["refused"]), default=0)


def lines(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For a table."""
    return [
        {
            "peer": row["peer"],
            "streams": str(row["streams"]),
            "rows of a step": str(row["rows_of_a_step"]),
            "step ms": row["step_ms"],
            "audio s/s": row["audio_s_per_s"],
            "first audio p50/p99": f"{row['first_audio_ms']['p50']}/{row['first_audio_ms']['p99']}",
            "with gaps": f"{row['underruns']['streams']} of {row['underruns']['of']}",
            "largest gap ms": row["underruns"]["largest_gap_ms"],
        }
        for row in body["rows"]
    ]


def notes(body: Mapping[str, Any]) -> list[str]:
    """What a reader of the table must know, a sentence each."""
    found = [f"{kind} is left out: {reason}" for kind, reason in body["left_out"].items()]
    for kind, said in body["peers"].items():
        if said.get("own_token_ids") is False:
            found.append(f"{kind}'s tokenizer gives other ids here; it was given ours.")
        for share in (said.get("extras") or {}).get("stand_in", ()):
            found.append(
                f"{kind}, {share['rows']} rows: the stand-in for flash-attn takes {share['attention_ms']:.2f} of "
                f"{share['graph_ms']:.2f} ms of a captured step, {100 * share['share']:.0f} %."
            )
    return found
