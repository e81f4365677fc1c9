"""How a server came back after its engine was killed, as its log tells (`--log-level debug --log-format json`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from streaming_server.engine_process import WATCH_EVERY_S

SAID = {
    "detected": "the connection to the voice engine is lost",
    "loads": "loading",
    "warms_up": "warming up",
    "ready": "ready",
    "connected": "connected to the voice engine again",
    "reopened": "utterances that were lost go on",
    "history_read": "patches that were heard before an interruption are read",
}
"""Stages of a recovery, in order, and what the log says at each. With an engine that stood by, none loads before they
are over."""

_LOG_S = 0.001  # times in a log are cut to milliseconds

OF_A_START = frozenset({"loads", "warms_up", "ready"})


def stages_s(log: Path, killed_at: float) -> Mapping[str, float]:
    """When each stage was reached: seconds after `killed_at` (as `time.time` has it). Those that the log knows of."""
    reached: dict[str, float] = {}
    for at, message in _lines(log):
        for stage, said in SAID.items():
            if said in message and at + _LOG_S >= killed_at and stage not in reached:
                reached[stage] = max(0.0, at - killed_at)
    over = reached.get("connected", 0.0) + WATCH_EVERY_S
    return {stage: at for stage, at in reached.items() if stage not in OF_A_START or at < over}


def num_ready(log: Path) -> int:
    """Engines that have been ready so far."""
    return sum(message == SAID["ready"] for _, message in _lines(log))


def _lines(log: Path) -> Iterator[tuple[float, str]]:
    for line in log.read_text(errors="replace").splitlines():
        try:
            fields = json.loads(line)
            yield datetime.fromisoformat(fields["time"]).timestamp(), fields["message"]
        except (ValueError, TypeError, KeyError):  # what a library prints, or the banner
            continue
