"""One of the peers that speak to many at once (bench.peers --streams), in a process of its own.

`python -m bench.peer_streams PLAN` prints a line of JSON when it is ready, one for each number of streams, and one at
the end. Nothing is paced: all speak as fast as they can, and a listener plays from the first chunk on.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from models.voxcpm.config import read_config
from models.voxcpm.passage import joined
from models.voxcpm.tokenizer import Tokenizer

from .gpu_streams import Scene, Sound, Streams, perform
from .peer import TEXT
from .peer_official import PROMPT_TEXT, Official

ALONE = 1
RAMP_S = 1.0
LIMIT_S = 60.0
AHEAD_S = 3600.0
"""Our streams are as far ahead of their listeners as the others': no one waits."""


class Spoken(Streams, Protocol):
    """A peer. `token_ids`: what it reads of prompt and text; `close` gives the device back."""

    max_streams: int
    token_ids: Sequence[int]

    def read(self, ids: Sequence[int]) -> None:
        """Take these for the token ids, whatever its own tokenizer says."""

    def extras(self) -> dict[str, Any]:
        """What only it can tell, measured at the end."""


def main() -> None:
    """The process."""
    plan = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a peer prints goes where errors go
    torch.set_num_threads(plan["threads"])
    checkpoint = Path(plan["checkpoint"])
    begun_at = time.perf_counter()
    peer = _made(plan, checkpoint)
    expected = token_ids(checkpoint)
    own = list(peer.token_ids)
    if own != expected:
        peer.read(expected)
    _tell(replies, {"load_s": round(time.perf_counter() - begun_at, 2), "own_token_ids": own == expected})
    for num_streams in plan["streams"]:
        if num_streams <= peer.max_streams:
            scene = _scene(num_streams, plan, peer)
            perform(peer, _scene(num_streams, plan | {"patches": plan["warm_up"]}, peer))
            _tell(replies, perform(peer, scene))
    _tell(replies, {"extras": peer.extras()})


def token_ids(checkpoint: Path) -> list[int]:
    """What all peers are to read, before the control token between text and speech."""
    tokenizer = Tokenizer(checkpoint, vocab_size=read_config(checkpoint).vocab_size)
    return list(tokenizer.encode(joined(PROMPT_TEXT, TEXT)))


def _scene(num_streams: int, plan: dict[str, Any], peer: Streams) -> Scene:
    """All equally long, arriving within a second; nobody follows."""
    return Scene(
        num_streams=num_streams,
        seconds=LIMIT_S,
        warm_up_s=0.0,
        ramp_s=0.0 if num_streams == ALONE else min(RAMP_S, plan["ramp_s"]),
        mean_s=plan["patches"] * peer.patch_samples / peer.rate_hz,
        sigma=0.0,
        replaced=False,
    )


def _made(plan: dict[str, Any], checkpoint: Path) -> Spoken:
    match plan["kind"]:
        case "nano":
            from .peer_nano import NanoStreams

            return NanoStreams(checkpoint, num_steps=plan["steps"], max_streams=max(plan["streams"]))
        case "official":
            return OfficialStreams(checkpoint, plan)
    return VoxwireStreams(checkpoint, plan)


class VoxwireStreams:
    """Ours: the engine, in this process."""

    def __init__(self, checkpoint: Path, plan: dict[str, Any]) -> None:
        from .gpu_engine import EngineStreams
        from .gpu_model import open_model
        from .gpu_stage import Plan

        self.max_streams = 8 if plan["device"] == "cpu" else 4096
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            opened = Plan(
                checkpoint=checkpoint, tiny=checkpoint, cache=folder, folder=folder, device=plan["device"],
                rehearse=False, seconds=0.0,
            )  # fmt: skip
            model = open_model(opened, num_slots=min(self.max_streams, max(plan["streams"])))
        self._streams = EngineStreams(model, lead_s=AHEAD_S, num_steps=plan["steps"])
        self.rate_hz, self.patch_samples = self._streams.rate_hz, self._streams.patch_samples
        self.token_ids: Sequence[int] = token_ids(checkpoint)

    def read(self, ids: Sequence[int]) -> None:
        raise ValueError("other token ids were not expected of ourselves")

    def start(self, key: int, num_patches: int) -> None:
        self._streams.start(key, num_patches)

    def step(self) -> Sequence[Sound]:
        return self._streams.step()

    def next_at(self) -> float | None:
        return self._streams.next_at()

    def extras(self) -> dict[str, Any]:
        self._streams.shutdown()
        return {}


class OfficialStreams:
    """The official package: one at a time."""

    max_streams = 1

    def __init__(self, checkpoint: Path, plan: dict[str, Any]) -> None:
        config = read_config(checkpoint)
        self.rate_hz, self.patch_samples = config.sample_rate, config.patch_samples
        self._official = Official(
            checkpoint, None, num_steps=plan["steps"], is_improved=False, device=plan["device"],
            is_compiled=plan["compiled"],
        )  # fmt: skip
        self.token_ids: Sequence[int] = list(self._official.tokenizer(joined(PROMPT_TEXT, TEXT)))
        self._key = self._num_left = 0
        self._patches: Iterator[Any] = iter(())

    def read(self, ids: Sequence[int]) -> None:
        own = self._official.tokenizer
        self._official.tokenizer = lambda text: list(ids) if text == joined(PROMPT_TEXT, TEXT) else own(text)

    def start(self, key: int, num_patches: int) -> None:
        self._key, self._num_left = key, num_patches
        self._patches = self._official.patches()

    def step(self) -> Sequence[Sound]:
        sound = next(self._patches).cpu()
        self._num_left -= 1
        return [Sound(self._key, sound.shape[-1], is_last=not self._num_left, is_flat=bool(sound.min() == sound.max()))]

    def next_at(self) -> float | None:
        return float("-inf") if self._num_left else None

    def extras(self) -> dict[str, Any]:
        return {}


def _tell(replies: Any, reply: dict[str, Any]) -> None:
    print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
