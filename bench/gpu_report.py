"""What bench.gpu found, as a page to read and as a plot."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import peer_crowds
from .gpu_goals import at, judged
from .report import table


def markdown(body: Mapping[str, Any]) -> str:
    """Everything that fits a table, goals first. A rehearsal says of every number that it is one."""
    found = {name: stage["found"] for name, stage in body["stages"].items()}
    rehearsal = bool(body["rehearsal"])
    mark = " (rehearsal on a CPU: no figure counts)" if rehearsal else ""
    device = at("machine", "device", "name")(found) or "unknown device"
    parts = [f"# bench.gpu on {device}{mark}"]
    goals = judged(found, rehearsal=rehearsal)
    parts += ["## Goals" + mark, table([_goal_row(row) for row in goals])]
    missed = [row for row in goals if row["verdict"] == "missed"]
    parts += [f"Missed: {row['goal']}. What the stage shows: `{row.get('profile')}`" for row in missed]
    stages = [
        {"stage": name, "outcome": stage["outcome"], "s": stage["seconds"]} for name, stage in body["stages"].items()
    ]
    parts += ["## Stages", table(stages)]
    for title, rows in _tables(found):
        if rows:
            parts += [f"## {title}{mark}", table(rows)]
    parts += peer_crowds.notes({"left_out": {}, "peers": {}} | found.get("peers", {}))
    return "\n\n".join(parts) + "\n"


def _tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Titles and rows."""
    yield "Gates", [_gate(row) for row in at("gates", "gates")(found) or []]
    yield "A step, by rows", [_step(row) for row in at("steps", "buckets")(found) or []]
    programs = at("steps", "prefill")(found) or []
    yield (
        "Other programs, by rows",
        [{"program": row["program"], "rows": str(row["size"]), "ms p50/p95": _pair(row)} for row in programs],
    )
    yield (
        "Patches of one, two and four latents: one utterance alone",
        [_patches(row) for row in at("patches", "patches")(found) or []],
    )
    rungs = [*(at("ladder", "rungs")(found) or []), *filter(None, [at("ladder", "longest")(found)])]
    yield "Real-time listeners, in process", [_rung(row) for row in rungs]
    yield "Over WebSockets, generators in processes of their own", list(_sockets(found))
    yield "Peers, in the same run", peer_crowds.lines({"rows": at("peers", "rows")(found) or []})
    kernels = at("steps", "kernels")(found) or {}
    yield "Kernels", [{"operation": name.replace("|", " "), "form": form} for name, form in kernels.items()]


def _gate(row: Mapping[str, Any]) -> dict[str, Any]:
    is_equal = row.get("dB") is None and row["passed"]
    return {
        "gate": row["gate"],
        "on": row["on"],
        "dB": "equal" if is_equal else row.get("dB"),
        "needed": row.get("needed_dB"),
        "passed": row.get("left_out") or row.get("error") or row["passed"],
    }


def _step(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rows": str(row["rows"]),
        "wall ms p50/p95": _pair(row["wall_ms"]),
        "graph ms p50/p95": _pair(row.get("graph_ms")),
        "codec %": _percent(row.get("vae_share")),
        "RTF": f"{row['rtf']:.4f}",
        "audio s/s": row["audio_s_per_s"],
        "MFU %": _percent(row["mfu"]),
    }


def _patches(row: Mapping[str, Any]) -> dict[str, Any]:
    memory = row.get("memory") or {}
    return {
        "whose": row["whose"],
        "Hz": f"{row['hz']:g}",
        "s": f"{row['seconds']:.2f}",
        "of audio s": row.get("audio_s"),
        "memory GB": row["memory_gb"],
        "of it in tensors GiB": memory.get("allocated_gib"),
    }


def _sockets(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One listener, the highest rung, and newcomers; the last in process, too, to tell what the sockets cost."""
    one, rung = at("server", "one_listener")(found), at("server", "rung")(found)
    if one:
        yield _heard("one listener", one["first_audio_ms"], "")
    if rung:
        gaps = rung["underruns"]
        yield _heard(
            f"{rung['listeners']} listeners",
            rung["first_audio_ms"],
            f"{rung['verdict']}; {gaps['gaps']} gaps of {gaps['listeners']} listeners",
        )
    newcomers = at("server", "poisson")(found)
    if newcomers:
        live = f"newcomers onto {newcomers['live']}, {newcomers['newcomers_per_s']:g} a second"
        yield _heard(live, newcomers["newcomers_first_audio_ms"], f"the others: {newcomers['live_verdict']}")
    inside = at("ladder", "poisson")(found)
    if inside:
        live = f"newcomers onto {inside['streams']}, {inside['newcomers_per_s']:g} a second, in process"
        gaps = inside["underruns"]
        yield _heard(live, inside["newcomers_first_audio_ms"], f"{gaps['streams']} of {gaps['of']} with gaps")


def _heard(who: str, first: Mapping[str, Any], note: str) -> dict[str, Any]:
    return {"who": who, "first audio p50/p99": _pair(first, "p50", "p99"), "n": str(first["n"]), "note": note}


def _rung(row: Mapping[str, Any]) -> dict[str, Any]:
    underruns = row["underruns"]
    return {
        "streams": str(row["streams"]),
        "s": row["seconds"],
        "passed": row["passed"],
        "first audio p50/p95/p99": "/".join(
            f"{row['first_audio_ms'][p]:.1f}" for p in ("p50", "p95", "p99") if row["first_audio_ms"][p] is not None
        ),
        "with gaps": f"{underruns['streams']} of {underruns['of']}",
        "largest gap ms": underruns["largest_gap_ms"],
        "C50/C100/C200": "/".join(str(underruns[name]) for name in ("c50", "c100", "c200")),
        "audio s/s": row["audio_s_per_s"],
        "busy %": _percent(row["busy"]),
    }


def plot(body: Mapping[str, Any], path: Path) -> str:
    """Step time and listeners as a picture; what became of it, in one sentence where there is none."""
    found = {name: stage["found"] for name, stage in body["stages"].items()}
    buckets, rungs = at("steps", "buckets")(found) or [], at("ladder", "rungs")(found) or []
    if not buckets and not rungs:
        return "no plot: neither steps nor listeners were measured"
    try:
        matplotlib: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        return "no plot: matplotlib is not installed"
    figure = matplotlib.Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([row["rows"] for row in buckets], [row["wall_ms"]["p50"] for row in buckets], "o-", label="as served")
    if all("graph_ms" in row for row in buckets):
        left.plot([row["rows"] for row in buckets], [row["graph_ms"]["p50"] for row in buckets], "o-", label="graph")
    left.set(xlabel="rows of a step", ylabel="ms", title="a step")
    left.legend()
    rows = [row for row in rungs if row["first_audio_ms"]["p99"] is not None]
    for percent in ("p50", "p99"):
        firsts = [row["first_audio_ms"][percent] for row in rows]
        right.plot([row["streams"] for row in rows], firsts, "o-", label=f"first audio {percent}")
    right.set(xlabel="listeners", ylabel="ms", title="real-time listeners")
    right.legend()
    if body["rehearsal"]:
        figure.suptitle("rehearsal on a CPU: no figure counts")
    figure.savefig(path)
    return ""


def _goal_row(row: Mapping[str, Any]) -> dict[str, Any]:
    measured = None if row["measured"] is None else f"{row['measured']:g}"
    return {key: value for key, value in row.items() if key != "profile"} | {"measured": measured}


def _pair(spread: Mapping[str, Any] | None, first: str = "p50", second: str = "p95") -> str | None:
    if spread is None or spread[first] is None:
        return None
    return f"{spread[first]:.2f}/{spread[second]:.2f}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"
