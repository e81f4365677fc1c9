"""The step of a batch of slots: from the last token's state to the next patch's samples, all of it on the device.

With the usual number of solver steps it is one program (`Decode`), and so one CUDA graph. Rows with other numbers, each
with its own, are taken together in parts: `Begin`, a `Turn` for each step of the longest solve, and `Finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..engine.batch import Batch, Column
from .backbone import Places
from .flow import Flow
from .network import VoxCPM
from .slot_state import SlotState
from .solves import Solve, Solves


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all programs of a model work on."""

    network: VoxCPM
    state: SlotState

    def rows(self, given: Batch) -> Tensor | None:
        """Each row's adapter number."""
        return None if self.network.adapters is None else given["adapter"]

    def begin(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> Flow:
        """From the slots' tokens to the conditions of their patches; tells which of them are the last."""
        network, state = self.network, self.state
        slots, rows = given["slot"], self.rows(given)
        tokens = state.token[slots]  # [batch, hidden]
        lm_state = network.read(tokens, given["is_audio"] != 0, Places(slots, given["position"]), rows)
        told["stops"].copy_(network.stops(lm_state))
        tell_early()
        return network.begin(lm_state, state.before[slots], given["cfg_value"], rows)

    def finish(self, given: Batch, told: Batch, latents: Tensor) -> None:
        """From latents float32 [batch, patch, feat] to the slots' next tokens and the listeners' samples."""
        network, state, slots = self.network, self.state, given["slot"]
        token = network.embed_patches(latents, self.rows(given))  # [batch, hidden]
        state.token.index_copy_(0, slots, token)
        state.before.index_copy_(0, slots, latents)
        state.spoken.index_put_((slots, given["index"]), token)
        audio = state.decoder.step(slots, latents)  # float32 [batch, samples]
        told["latents"].copy_(latents)
        pcm, is_sound = state.decoder.to_pcm(audio, given["volume"])
        told["pcm"].copy_(pcm)
        told["is_sound"].copy_(is_sound)


class _Part:
    """A program over rows of slots."""

    name = ""
    early: str | None = None

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self._workshop = workshop
        config = workshop.network.config
        patch, scratch = (config.patch_size, config.feat_dim), workshop.network.num_slots
        spare = workshop.state.spoken.shape[1] - 1
        self._where = (
            Column(name="slot", dtype=torch.int64, padding=scratch),
            Column(name="adapter", dtype=torch.int64),
        )
        self._read = (
            Column(name="position", dtype=torch.int64),
            Column(name="is_audio", dtype=torch.uint8),
            Column(name="cfg_value", dtype=torch.float32, padding=1),
            Column(name="noise", dtype=torch.float32, shape=patch),
        )
        self._write = (
            Column(name="index", dtype=torch.int64, padding=spare),
            Column(name="volume", dtype=torch.float32),
        )
        self._flag = (Column(name="stops", dtype=torch.uint8),)
        self._sound = (
            Column(name="is_sound", dtype=torch.uint8),
            Column(name="latents", dtype=torch.float32, shape=patch),
            Column(name="pcm", dtype=torch.int16, shape=(config.patch_samples,)),
        )
        self.given: Sequence[Column] = ()
        self.told: Sequence[Column] = ()


class Decode(_Part):
    """A whole step, with the usual number of solver steps."""

    name = "decode"
    early = "stops"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], *, num_steps: int) -> None:
        super().__init__(workshop, sizes)
        self.num_steps = num_steps
        self.given = (*self._where, *self._read, *self._write)
        self.told = (*self._flag, *self._sound)

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        workshop, solver = self._workshop, self._workshop.network.solver
        flow = workshop.begin(given, told, tell_early)
        grid = solver.grid(self.num_steps)
        x = given["noise"]
        for delta, tau in zip(grid.deltas, grid.taus, strict=True):
            x = solver.step(flow, x, tau, delta)
        workshop.finish(given, told, x)


class Begin(_Part):
    """A step up to its solve."""

    name = "begin"
    early = "stops"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves
        self.given = (*self._where, *self._read, Column(name="moment", dtype=torch.int64, padding=solves.over))
        self.told = self._flag

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        flow = self._workshop.begin(given, told, tell_early)
        self._solves.keep(given.num_rows, Solve(flow, given["noise"], given["moment"]))


class Turn(_Part):
    """Each row's next step of the solver, for the batch that `Begin` was launched for last; rows that are over rest."""

    name = "turn"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        solves = self._solves
        solve = solves[given.num_rows]
        moment, x = solve.moment, solve.x
        tau = solves.taus[moment].repeat(2, 1)  # [2 batch, hidden]
        delta = solves.deltas[moment][:, None, None]  # [batch, 1, 1]
        stepped = self._workshop.network.solver.step(solve.flow, x, tau, delta)
        x.copy_(torch.where(delta != 0, stepped, x))
        moment.copy_(solves.following[moment])


class Finish(_Part):
    """The rest of a step."""

    name = "finish"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves
        self.given = (*self._where, *self._write)
        self.told = self._sound

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        self._workshop.finish(given, told, self._solves[given.num_rows].x)
