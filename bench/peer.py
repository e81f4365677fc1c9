"""One of two peers that speak in turn (bench.peers), in a process of its own.

A line on standard input is a number of patches. 0 opens an utterance anew and makes its first patch, with the prefill
of text and prompt; any other goes on with it. A line of JSON answers with what each patch took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

PROMPT_PATCHES = 25
TEXT = (
    "The ferry leaves at a quarter past nine, and whoever wants to stand outside should take a scarf, since the wind "
    "comes down from the glacier even in summer; but nobody who has seen the light there in the morning has minded."
)
STAGES = ("base LM", "residual LM", "DiT", "LocEnc", "VAE")


class Peer(Protocol):
    """Speaks `TEXT` after the prompt."""

    def patches(self) -> Iterator[object]:
        """A new utterance; a patch of sound has been made at each turn."""


class Stopwatch:
    """What the stages of a patch took, milliseconds."""

    def __init__(self) -> None:
        self._spent_ms = dict.fromkeys(STAGES, 0.0)

    def watch(self, owner: Any, method: str, stage: str) -> None:
        """Count every call of that method of that object from now on."""
        call: Callable[..., Any] = getattr(owner, method)

        def counted(*arguments: Any, **keywords: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **keywords)
            finally:
                self._spent_ms[stage] += 1000 * (time.perf_counter() - started)

        setattr(owner, method, counted)

    def lap(self) -> dict[str, float]:
        """What was spent since the last lap."""
        spent_ms, self._spent_ms = self._spent_ms, dict.fromkeys(STAGES, 0.0)
        return spent_ms


def prompt_latents(config: Any) -> torch.Tensor:
    """A prompt that both peers go on from, float32 [patches, patch, feat]: of random weights as good as any."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(PROMPT_PATCHES, config.patch_size, config.feat_dim, generator=generator)


def main() -> None:
    """`python -m bench.peer` with one argument, the JSON of what to be: see bench.peers."""
    plan = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a peer prints goes where errors go
    torch.set_num_threads(plan["threads"])
    watch = Stopwatch()
    started = time.perf_counter()
    peer = _make(plan, watch)
    _tell(replies, {"load_s": time.perf_counter() - started})
    patches: Iterator[object] = iter(())
    for line in sys.stdin:
        if int(line) == 0:
            patches = peer.patches()
        _tell(replies, _round(patches, watch, int(line) or 1))


def _make(plan: dict[str, Any], watch: Stopwatch) -> Peer:
    if plan["kind"] == "official":
        from .peer_official import Official

        return Official(Path(plan["checkpoint"]), watch, num_steps=plan["steps"], is_improved=plan["improved"])
    from .peer_voxwire import Voxwire

    return Voxwire(
        Path(plan["checkpoint"]), watch, dtype=plan["dtype"], int8=plan["int8"], threads=plan["threads"],
        num_steps=plan["steps"], without=plan["without"],
    )  # fmt: skip


def _round(patches: Iterator[object], watch: Stopwatch, num_patches: int) -> dict[str, Any]:
    times_ms: list[float] = []
    stages_ms: list[dict[str, float]] = []
    for _ in range(num_patches):
        started = time.perf_counter()
        next(patches)
        times_ms.append(1000 * (time.perf_counter() - started))
        stages_ms.append(watch.lap())
    return {"patches_ms": times_ms, "stages_ms": stages_ms, **_memory()}


def _memory() -> dict[str, int]:
    """Resident bytes, now and at their most (while loading)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: 1024 * int(fields[key].split()[0]) for name, key in (("rss_bytes", "VmRSS"), ("peak_bytes", "VmHWM"))}


def _tell(replies: Any, reply: dict[str, Any]) -> None:
    print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
