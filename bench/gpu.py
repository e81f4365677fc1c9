"""What the engine does on a CUDA device, and the goals it meets: `python -m bench.gpu --minutes 8`.

Needs no network. Every stage runs in a process of its own within its share of the minutes; results are written after
each, so that what ran is kept if a later stage fails. Exit code 3: there is no CUDA device (`--rehearse` needs none).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from . import gpu_stage
from .checkpoint import write_checkpoint
from .checkpoint_shapes import SHAPES
from .gpu_report import markdown, plot
from .gpu_stage import Plan, tail
from .report import RESULTS, write

NO_DEVICE = 3
END_S = 3.0
"""For a stage that is told to end, before it is killed."""

REHEARSAL_MINUTES = 0.9
REHEARSED_S = 60.0
"""A stage of a rehearsal may take so long on a machine that has other work."""


@dataclass(frozen=True, slots=True)
class Share:
    """A stage: its module, `bench.gpu_NAME`, and its part of what time is left when it begins."""

    name: str
    weight: float


STAGES = (
    Share("machine", 10),
    Share("gates", 70),
    Share("steps", 50),
    Share("patches", 45),
    Share("ladder", 90),
    Share("server", 80),
    Share("offline", 25),
    Share("memory", 70),
    Share("peers", 130),
)


def main(argv: Sequence[str] | None = None) -> int:
    """0: every stage ran to its end (whatever the goals); 1: one failed or ran out of time; 3: no CUDA device."""
    options = _parse(argv)
    if not options.rehearse and not _has_cuda():
        print("no CUDA device")
        return NO_DEVICE
    unknown = set(options.stages) - {share.name for share in STAGES}
    if unknown:
        print(f"bench.gpu: stages of {', '.join(s.name for s in STAGES)} were expected, got {', '.join(unknown)}")
        return 2
    ends_at = time.monotonic() + 60 * (options.minutes or (REHEARSAL_MINUTES if options.rehearse else 8.0))
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(options, Path(folder), ends_at)
        try:
            run.prepare()
            run.stages([share for share in STAGES if share.name in options.stages])
        finally:
            run.finish()
    return 0 if all(each["outcome"] == "ok" for each in run.body["stages"].values()) else 1


class _Run:
    def __init__(self, options: argparse.Namespace, folder: Path, ends_at: float) -> None:
        self._options, self._folder, self._ends_at = options, folder, ends_at
        self._out: Path = options.out or (folder / "results" if options.rehearse else RESULTS)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([gpu_stage.__name__])
        self.body: dict[str, Any] = {"rehearsal": options.rehearse, "minutes": options.minutes, "stages": {}}
        if options.commit:
            self.body["commit"] = options.commit

    def prepare(self) -> None:
        """Two checkpoints, unless one is given, and the default voices of both: random weights never end theirs."""
        options, started_at = self._options, time.monotonic()
        tiny = self._folder / "tiny"
        write_checkpoint(tiny, SHAPES["tiny"], seed=1, never_stop=True)
        checkpoint = options.checkpoint or (tiny if options.rehearse else self._folder / "checkpoint")
        if not checkpoint.is_dir():
            print("writes a checkpoint of v1.5's shape ...", file=sys.stderr, flush=True)
            write_checkpoint(checkpoint, SHAPES["1.5"], seed=1, never_stop=True, dtype="bfloat16")
        self._plan = Plan(
            checkpoint=checkpoint.resolve(),
            tiny=tiny,
            cache=self._folder / "cache",
            folder=self._folder,
            device="cpu" if options.rehearse else "cuda",
            rehearse=options.rehearse,
            seconds=0.0,
            wheels=options.wheels,
        )
        self.body["prepared_s"] = round(time.monotonic() - started_at, 1)

    def stages(self, shares: Sequence[Share]) -> None:
        for index, share in enumerate(shares):
            left_s = self._ends_at - time.monotonic()
            limit_s = left_s * share.weight / sum(each.weight for each in shares[index:])
            limit_s = max(limit_s, REHEARSED_S if self._options.rehearse else 1.0)
            print(f"{share.name}, {limit_s:.0f} s at most ...", file=sys.stderr, flush=True)
            folder = self._folder / share.name
            folder.mkdir()
            found = {name: stage["found"] for name, stage in self.body["stages"].items()}
            plan = replace(self._plan, folder=folder, seconds=limit_s, found=found)
            self.body["stages"][share.name] = self._stage(share.name, plan, limit_s)
            self._write()

    def finish(self) -> None:
        """Table and plot of whatever there is."""
        path = self._write()
        table = markdown(self.body)
        path.with_suffix(".md").write_text(table, encoding="utf-8")
        print(table)
        sentence = plot(self.body, path.with_suffix(".png"))
        print(*filter(None, [sentence, f"results: {path}"]), sep="\n", file=sys.stderr)

    def _stage(self, name: str, plan: Plan, limit_s: float) -> dict[str, Any]:
        out = plan.folder / "found.json"
        process = self._context.Process(target=gpu_stage.main, args=(f"bench.gpu_{name}", plan, out))
        started_at = time.monotonic()
        process.start()
        try:
            process.join(limit_s)
            is_late = process.is_alive()
        finally:
            _end(process)
        found: Mapping[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
        error = found.get("error")
        if is_late:
            outcome = f"ran out of its {limit_s:.0f} s"
        elif process.exitcode:
            outcome = f"failed: {error or f'it ended with {process.exitcode}'}"
        else:
            outcome = "ok"
        if outcome != "ok":
            print(f"{name} {outcome}\n{tail(plan.folder)}", file=sys.stderr, flush=True)
        return {"outcome": outcome, "seconds": round(time.monotonic() - started_at, 1), "found": dict(found)}

    def _write(self) -> Path:
        return write("gpu-rehearsal" if self._options.rehearse else "gpu", self.body, self._out)


def _end(process: BaseProcess) -> None:
    """The stage, and all that it started and that is still there."""
    if process.is_alive() and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.join(END_S)
    if process.is_alive() and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # it may not have had the time to lead a group
        process.join()


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="for everything (default: 8; of a rehearsal, 0.9)")
    parser.add_argument("--rehearse", action="store_true", help="all of it in small, on the CPU; no figure counts")
    parser.add_argument("--out", type=Path, help="folder of the results, if not bench/results (a rehearsal: none)")
    parser.add_argument("--checkpoint", type=Path, help="of v1.5's shape and without an end; otherwise one is written")
    parser.add_argument("--stages", type=_names, default=[s.name for s in STAGES], help="only these, comma-separated")
    parser.add_argument("--wheels", type=Path, help="a folder with the peers' own wheels; nothing of it is installed")
    parser.add_argument("--commit", default="", help="what the results belong to, where the tree is no checkout")
    return parser.parse_args(argv)


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
