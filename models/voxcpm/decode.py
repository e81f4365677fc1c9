"""The step of a batch of slots: from the last token's state to the next patch's samples, all of it on the device.

With the usual number of solver steps it is one program (`Decode`), and so one CUDA graph. For another number it is
taken in parts: `Begin`, a `Turn` for each step of the solver, and `Finish`.
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

MAX_STEPS = 50
"""Of the solver, in a part-wise step."""


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


class Solves:
    """Solves under way between the parts of a step: one for each size. Recorded graphs know where they lie."""

    def __init__(self, workshop: Workshop) -> None:
        solver, device = workshop.network.solver, workshop.network.device
        self._flows: dict[int, tuple[Flow, Tensor]] = {}
        self._first = {}
        grids = []
        for num_steps in range(2, MAX_STEPS + 1):
            grids.append(solver.grid(num_steps))
            self._first[num_steps] = sum(len(grid.deltas) for grid in grids[:-1])
        self.taus = torch.cat([grid.taus for grid in grids])  # [moments, hidden]
        self.deltas = torch.tensor([delta for grid in grids for delta in grid.deltas], device=device)  # [moments]

    def moments(self, num_steps: int) -> range:
        """The steps of that grid, as rows of `taus` and `deltas`."""
        first = self._first[num_steps]
        return range(first, self._first.get(num_steps + 1, len(self.deltas)))

    def keep(self, size: int, flow: Flow, x: Tensor) -> None:
        kept = self._flows.get(size)
        if kept is None:
            known = None if flow.known is None else flow.known.clone()
            rows = None if flow.rows is None else flow.rows.clone()
            copied = Flow(flow.states.clone(), flow.condition.clone(), known, flow.cfg_value.clone(), rows)
            self._flows[size] = copied, x.clone()
            return
        for old, new in zip(_tensors(*kept), _tensors(flow, x), strict=True):
            old.copy_(new)

    def __getitem__(self, size: int) -> tuple[Flow, Tensor]:
        return self._flows[size]


def _tensors(flow: Flow, x: Tensor) -> list[Tensor]:
    each = (flow.states, flow.condition, flow.known, flow.cfg_value, flow.rows, x)
    return [tensor for tensor in each if tensor is not None]


class Begin(_Part):
    """A step up to its solve."""

    name = "begin"
    early = "stops"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves
        self.given = (*self._where, *self._read)
        self.told = self._flag

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        flow = self._workshop.begin(given, told, tell_early)
        self._solves.keep(given.num_rows, flow, given["noise"])


class Turn(_Part):
    """A step of the solver for the batch that `Begin` was launched for last; `moment` is the same in every row."""

    name = "turn"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves
        self.given = (Column(name="moment", dtype=torch.int64),)

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        solves, moment = self._solves, given["moment"][:1]
        flow, x = solves[given.num_rows]
        tau, delta = solves.taus[moment][0], solves.deltas[moment]
        x.copy_(self._workshop.network.solver.step(flow, x, tau, delta))


class Finish(_Part):
    """The rest of a step."""

    name = "finish"

    def __init__(self, workshop: Workshop, sizes: tuple[int, ...], solves: Solves) -> None:
        super().__init__(workshop, sizes)
        self._solves = solves
        self.given = (*self._where, *self._write)
        self.told = self._sound

    def run(self, given: Batch, told: Batch, tell_early: Callable[[], None]) -> None:
        _, x = self._solves[given.num_rows]
        self._workshop.finish(given, told, x)
