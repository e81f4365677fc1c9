"""Stage: the peers on the same device and checkpoint, in the same run (bench.peers)."""

from __future__ import annotations

from typing import Any

from . import peer_crowds
from .gpu_stage import Keep, Plan

STREAMS = (1, 8, 16, 32, 64, 128, 256)
LONG_S = 240.0
"""With so much time the official package is compiled, which takes a minute or two."""


def run(plan: Plan, keep: Keep) -> None:
    def kept(body: dict[str, Any]) -> None:
        for name, value in body.items():
            keep(name, value)
        keep("against", _against(plan, body))

    rehearse = plan.rehearse
    body = peer_crowds.measure(
        plan.checkpoint,
        kinds=("voxwire", "nano") if rehearse else ("voxwire", "official", "nano"),  # who loads longest comes last
        streams=(1,) if rehearse else STREAMS,
        device=plan.device,
        patches=4 if rehearse else 50,
        warm_up=2 if rehearse else 12,
        threads=1 if rehearse else 2,
        compiled=plan.seconds > LONG_S,
        wheels=plan.wheels,
        seconds=plan.seconds - 2,
        kept=kept,
    )
    kept(body)


def _against(plan: Plan, body: dict[str, Any]) -> dict[str, Any]:
    """As there, except that our streams are those of the ladder, whose rungs go further."""
    against: dict[str, Any] = {kind: dict(each) for kind, each in (body.get("against") or {}).items()}
    ours = plan.found.get("ladder", {}).get("highest_passing") or 0
    for each in against.values():
        if each["highest_without_gap"]:
            most = max(ours, peer_crowds.highest_without_gap(row for row in body["rows"] if row["peer"] == "voxwire"))
            each["streams"] = round(most / each["highest_without_gap"], 2)
    return against
