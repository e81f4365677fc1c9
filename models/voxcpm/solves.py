"""Solves under way while a step is taken in parts, each row with its own number of solver steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import Flow, FlowSolver

MAX_STEPS = 50
"""Of the solver, in a part-wise step."""


@dataclass(frozen=True, slots=True)
class Solve:
    """One under way: what its steps share, where it has come to, and each row's next step."""

    flow: Flow
    x: Tensor  # float32 [batch, patch, feat]
    moment: Tensor  # int64 [batch]

    def take(self, other: Solve) -> None:
        """Copy all of another into this one's place."""
        for old, new in zip(self._tensors(), other._tensors(), strict=True):
            old.copy_(new)

    def copy(self) -> Solve:
        flow = self.flow
        known = None if flow.known is None else flow.known.clone()
        rows = None if flow.rows is None else flow.rows.clone()
        copied = Flow(flow.states.clone(), flow.condition.clone(), known, flow.cfg_value.clone(), rows)
        return Solve(copied, self.x.clone(), self.moment.clone())

    def _tensors(self) -> list[Tensor]:
        flow = self.flow
        each = (flow.states, flow.condition, flow.known, flow.cfg_value, flow.rows, self.x, self.moment)
        return [tensor for tensor in each if tensor is not None]


class Solves:
    """Solves under way between the parts of a step, one for each size, and the steps of every grid there is: a row of
    `taus` and `deltas` for each, and the step that follows it. The last row is for those whose solve is over."""

    def __init__(self, solver: FlowSolver, device: torch.device) -> None:
        self._solves: dict[int, Solve] = {}
        grids = [solver.grid(num_steps) for num_steps in range(2, MAX_STEPS + 1)]
        deltas: list[float] = []
        following: list[int] = []
        self._moments: dict[int, range] = {}
        for num_steps, grid in enumerate(grids, start=2):
            first = len(deltas)
            deltas += grid.deltas
            self._moments[num_steps] = range(first, len(deltas))
            following += range(first + 1, len(deltas) + 1)
        self.over = len(deltas)
        for moments in self._moments.values():
            following[moments[-1]] = self.over
        taus = [grid.taus for grid in grids]
        self.taus = torch.cat([*taus, torch.zeros_like(taus[0][:1])])  # [moments + 1, hidden]
        self.deltas = torch.tensor([*deltas, 0.0], device=device)  # float32 [moments + 1]
        self.following = torch.tensor([*following, self.over], device=device)  # int64 [moments + 1]

    def moments(self, num_steps: int) -> range:
        """The steps of that grid, as rows of `taus`."""
        return self._moments[num_steps]

    def keep(self, size: int, solve: Solve) -> None:
        """Recorded graphs know where the first of a size lies."""
        if size in self._solves:
            self._solves[size].take(solve)
        else:
            self._solves[size] = solve.copy()

    def __getitem__(self, size: int) -> Solve:
        return self._solves[size]
