"""A streamed patch of 160 ms, ours and the official package's: `python -m bench.peers --official --dtype bfloat16`.

Two processes on the 1.5 shape with random weights speak the same text after the same prompt, two patches each in turn,
so that whatever else the machine does meets both alike. `--ladder` shows step by step what makes the difference.
`--streams 1,8,64` is for a CUDA device: we, nano-vllm-voxcpm and the official package, each with so many at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import peer_crowds
from .checkpoint import write_checkpoint
from .checkpoint_shapes import SHAPES
from .peer import STAGES
from .processes import machine_busy_s, usage
from .report import RESULTS, ROOT, table, write

PATCHES_PER_TURN = 2
TURNS_PER_UTTERANCE = 12
OWN = {"kind": "voxwire", "dtype": "float32", "int8": False, "steps": 10, "without": [], "improved": False}
OFFICIAL = OWN | {"kind": "official"}
LADDER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("official, codec with state, caches of 512", OFFICIAL | {"improved": True}),
    ("ours: fused QKV and SwiGLU, grouped attention", OWN | {"without": ["packing", "pruning", "hoisting"]}),
    ("+ condition and time hoisted, last layer pruned", OWN | {"without": ["packing"]}),
    ("+ packed weights", OWN),
    ("+ bfloat16", OWN | {"dtype": "bfloat16"}),
    ("+ int8 in DiT", OWN | {"dtype": "bfloat16", "int8": True}),
    ("+ 5 steps", OWN | {"dtype": "bfloat16", "int8": True, "steps": 5}),
)


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured; 1: a peer failed."""
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.checkpoint
        if checkpoint is None:
            checkpoint = Path(folder) / "checkpoint"
            write_checkpoint(checkpoint, SHAPES["1.5"], seed=1, never_stop=True, dtype="bfloat16")
        body: dict[str, Any]
        try:
            if options.streams:
                body = peer_crowds.measure(
                    checkpoint, kinds=options.peers, streams=options.streams, device=options.device,
                    steps=options.steps, patches=options.patches, threads=options.threads,
                    compiled=options.compiled, wheels=options.wheels,
                )  # fmt: skip
                print(table(peer_crowds.lines(body)), *peer_crowds.notes(body), sep="\n")
                name = "peers-streams"
            elif options.ladder:
                results = [{"step": step, **measure(checkpoint, plan, OFFICIAL, options)} for step, plan in LADDER]
                print(table([{"step": each["step"], **_row(each["voxwire"], each["official"])} for each in results]))
                name = "peers-ladder"
                body = {"ladder": results}
            else:
                own = OWN | {"dtype": options.dtype, "int8": options.int8, "steps": options.steps}
                other = OFFICIAL | {"dtype": options.dtype, "steps": options.steps} if options.official else None
                body = measure(checkpoint, own, other, options)
                print(table([{"peer": kind, **_row(body[kind], body.get("official"))} for kind in body["kinds"]]))
                name = f"peers-{options.dtype}{'-int8' if options.int8 else ''}"
        except subprocess.SubprocessError as error:
            print(f"bench.peers: {error}", file=sys.stderr)
            return 1
    if options.output:
        print(write(name, {"threads": options.threads, "rounds": options.rounds, **body}, options.output))
    return 0


def measure(
    checkpoint: Path, own: Mapping[str, Any], other: Mapping[str, Any] | None, options: argparse.Namespace
) -> dict[str, Any]:
    """Both in turn, `options.rounds` utterances: for each `kind` its plan, times, stages and memory; `speedup`."""
    plans = {"voxwire": dict(own)} | ({"official": dict(other)} if other else {})
    found: dict[str, dict[str, Any]] = {
        kind: {"plan": plan, "first_ms": [], "turns": []} for kind, plan in plans.items()
    }
    with contextlib.ExitStack() as stack:
        peers = {
            kind: stack.enter_context(_running(checkpoint, plan | {"threads": options.threads}))
            for kind, plan in plans.items()
        }
        busy_before, own_before = machine_busy_s(), usage([peer.pid for peer in peers.values()]).cpu_s
        for _ in range(options.rounds):
            for kind, peer in peers.items():
                found[kind]["first_ms"] += peer.speak(0)["patches_ms"]
            for _ in range(TURNS_PER_UTTERANCE):
                for kind, peer in peers.items():
                    found[kind]["turns"].append(peer.speak(PATCHES_PER_TURN))
        own_s = usage([peer.pid for peer in peers.values()]).cpu_s - own_before
        others_s = machine_busy_s() - busy_before - own_s
    body: dict[str, Any] = {
        "kinds": list(found),
        "load_average": os.getloadavg(),
        "others_cpu_s": round(others_s, 1),
        "own_cpu_s": round(own_s, 1),
    }
    body |= {kind: _summary(each) for kind, each in found.items()}
    if other:
        ratios = [
            sum(theirs["patches_ms"]) / sum(ours["patches_ms"])
            for ours, theirs in zip(found["voxwire"]["turns"], found["official"]["turns"], strict=True)
        ]
        body["speedup"] = {
            "of_minima": round(body["official"]["patch_ms"]["min"] / body["voxwire"]["patch_ms"]["min"], 2),
            "median_of_turns": round(statistics.median(ratios), 2),
        }
    return body


class _Process:
    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        """`said`: what it writes to standard error."""
        self._process, self._said = process, said
        self.pid = process.pid
        self._answer()

    def speak(self, num_patches: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(num_patches, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = self._said.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise subprocess.SubprocessError(f"a peer ended with {code}: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def _running(checkpoint: Path, plan: Mapping[str, Any]) -> Iterator[_Process]:
    """The peer, ready to speak. The official one reads the dtype from config.json, so both see a folder with theirs."""
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile("wb") as said:
        view = Path(folder)
        for path in checkpoint.resolve().iterdir():
            (view / path.name).symlink_to(path)
        config = json.loads((view / "config.json").read_text()) | {"dtype": plan["dtype"]}
        (view / "config.json").unlink()
        (view / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "bench.peer", json.dumps({**plan, "checkpoint": folder})]
        # A thread that waits must not spin for long: the one it waits for may need its core, where others work too.
        environment = {"GOMP_SPINCOUNT": "20000", **os.environ}
        with subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            env=environment,
        ) as process:  # fmt: skip
            try:
                yield _Process(process, Path(said.name))
            finally:
                process.kill()


def _summary(found: Mapping[str, Any]) -> dict[str, Any]:
    times_ms = sorted(time_ms for turn in found["turns"] for time_ms in turn["patches_ms"])
    laps = [lap for turn in found["turns"] for lap in turn["stages_ms"]]
    stages = {stage: _spread([lap[stage] for lap in laps]) for stage in STAGES}
    rests = [
        time_ms - sum(lap.values())
        for turn in found["turns"]
        for time_ms, lap in zip(turn["patches_ms"], turn["stages_ms"], strict=True)
    ]
    return {
        "plan": found["plan"],
        "patch_ms": _spread(times_ms),
        "first_ms": _spread(found["first_ms"]),
        "stages_ms": stages | {"rest": _spread(rests)},
        "rss_gb": round(found["turns"][-1]["rss_bytes"] / 1e9, 2),
        "peak_gb": round(found["turns"][-1]["peak_bytes"] / 1e9, 2),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 1), "p50": round(statistics.median(values), 1), "n": len(values)}


def _row(found: Mapping[str, Any], official: Mapping[str, Any] | None) -> dict[str, object]:
    patch = found["patch_ms"]
    row: dict[str, object] = {"patch ms min/p50": _pair(patch), "RTF of min": f"{patch['min'] / 160:.2f}"}
    if official:
        row["x of min/p50"] = "/".join(f"{official['patch_ms'][key] / patch[key]:.2f}" for key in ("min", "p50"))
    row |= {stage: _pair(spread) for stage, spread in found["stages_ms"].items()}
    return row | {"first ms": _pair(found["first_ms"]), "RSS GB": f"{found['rss_gb']:.2f}"}


def _pair(spread: Mapping[str, float]) -> str:
    return f"{spread['min']:.0f}/{spread['p50']:.0f}"


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--official", action="store_true", help="beside the official package, which must be installed")
    parser.add_argument("--ladder", action="store_true", help="every step from the official loop to the fastest")
    parser.add_argument("--streams", type=_numbers, help="so many at once, comma-separated: 1,8,16,32,64,128,256")
    parser.add_argument("--peers", type=_names, default=peer_crowds.KINDS, help="of --streams: which, comma-separated")
    parser.add_argument("--device", default="cuda", help="of --streams")
    parser.add_argument("--patches", type=int, default=50, help="of --streams: of each stream")
    parser.add_argument("--compiled", action="store_true", help="of --streams: the official package compiled")
    parser.add_argument("--wheels", type=Path, help="of --streams: a folder with the peers' wheels; none is installed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--int8", action="store_true", help="ours with int8 linear layers in DiT")
    parser.add_argument("--steps", type=int, default=10, help="of the flow solver")
    parser.add_argument("--rounds", type=int, default=3, help="utterances; each is 24 patches of either")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint that never stops; otherwise one is written first")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--quick", dest="output", action="store_const", const=None, help="write no result")
    return parser.parse_args(argv)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
