"""The flow solver: noise to a patch of latents by Euler steps with classifier-free guidance (CFG-Zero*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .local import LocalDit

MAX_STEPS = 100


KNOWN_ROWS = 250
"""From so many rows of the solver on, what its first layer makes of the condition is computed once for all steps. A
product of fewer rows is a stream of weights, and costs the same for five tokens as for nine."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps that move, for one number of steps."""

    deltas: tuple[float, ...]
    taus: Tensor  # [len(deltas), hidden], the model's dtype


@dataclass(frozen=True, slots=True)
class Flow:
    """What the steps of one solve share. Both halves of the guidance are one batch: first the conditional rows, then
    the same without mu."""

    states: Tensor  # [2 batch, hidden]: mu, and zeros
    condition: Tensor  # [2 batch, patch, hidden]
    known: Tensor | None  # what the first layer makes of it
    cfg_value: Tensor  # float32 [batch]
    rows: Tensor | None  # each row's adapter number, [2 batch]


class FlowSolver:
    """Solves for any rows at once. Not read from the checkpoint: the original's sampler is fixed in its code."""

    def __init__(self, dit: LocalDit, device: torch.device, dtype: torch.dtype) -> None:
        self._dit = dit
        self._device = device
        self._dtype = dtype
        self._grids: dict[int, Grid] = {}

    def solve(
        self,
        mu: Tensor,
        before: Tensor,
        noise: Tensor,
        *,
        num_steps: int,
        cfg_value: Tensor,
        rows: Tensor | None = None,
    ) -> Tensor:
        """mu [batch, hidden]; the patches before [batch, patch, feat]; noise float32 [batch, patch, feat];
        cfg_value float32 [batch] -> latents float32 [batch, patch, feat].

        The state stays in float32 whatever the network's precision.
        """
        grid = self.grid(num_steps)
        flow = self.begin(mu, before, cfg_value, rows)
        x = noise
        for delta, tau in zip(grid.deltas, grid.taus, strict=True):
            x = self.step(flow, x, tau, delta)
        return x

    def begin(self, mu: Tensor, before: Tensor, cfg_value: Tensor, rows: Tensor | None = None) -> Flow:
        """The arguments are those of `solve`."""
        condition = self._dit.condition(before.to(self._dtype)).repeat(2, 1, 1)  # [2 batch, patch, hidden]
        both = None if rows is None else rows.repeat(2)
        num_rows = condition.shape[0] * (1 + 2 * condition.shape[1])
        known = self._dit.known(condition, both) if num_rows >= KNOWN_ROWS else None
        return Flow(torch.cat([mu, torch.zeros_like(mu)]), condition, known, cfg_value, both)

    def step(self, flow: Flow, x: Tensor, tau: Tensor, delta: Tensor | float) -> Tensor:
        """One Euler step: x float32 [batch, patch, feat] -> the next x. tau [hidden] and a number delta, or by row, tau
        [2 batch, hidden] and delta [batch, 1, 1]."""
        doubled = x.to(self._dtype).repeat(2, 1, 1)
        velocity = self._dit.velocity(doubled, flow.states + tau, flow.condition, flow.rows, flow.known)
        conditional, unconditional = velocity.float().chunk(2)
        return x - delta * guided(conditional, unconditional, flow.cfg_value)

    def grid(self, num_steps: int) -> Grid:
        grid = self._grids.get(num_steps)
        if grid is None:
            deltas, times = time_grid(num_steps)
            taus = self._dit.time.at(times.to(self._device)).to(self._dtype)
            grid = self._grids[num_steps] = Grid(deltas, taus)
        return grid


def guided(conditional: Tensor, unconditional: Tensor, cfg_value: Tensor) -> Tensor:
    """CFG-Zero* (Fan et al. 2025): the unconditional velocity is scaled onto the conditional one before guidance.

    Velocities float32 [batch, patch, feat], cfg_value [batch] -> [batch, patch, feat].
    """
    dot = (conditional * unconditional).sum((1, 2), keepdim=True)
    scale = dot / (unconditional.square().sum((1, 2), keepdim=True) + 1e-8)
    base = scale * unconditional
    return base + cfg_value[:, None, None] * (conditional - base)


def time_grid(num_steps: int) -> tuple[tuple[float, ...], Tensor]:
    """The steps of the sway-sampled grid that move the state, and the times float32 [steps] they are taken at.

    The first 4 % of the grid, at least one step, has velocity 0 (CFG-Zero*): those are left out, so that 10 steps
    cost 9 evaluations. Times are kept by repeated subtraction in float32, as the original does.
    """
    if not 1 <= num_steps <= MAX_STEPS:
        raise ValueError(f"expected 1 to {MAX_STEPS} steps, got {num_steps}")
    linear = torch.linspace(1, 0, num_steps + 1)
    grid = linear + (torch.cos(torch.pi / 2 * linear) - 1 + linear)
    num_still = max(1, math.floor(len(grid) * 0.04))
    time, delta = grid[0], grid[0] - grid[1]
    deltas: list[float] = []
    times: list[Tensor] = []
    for step in range(1, num_steps + 1):
        if step > num_still:
            deltas.append(float(delta))
            times.append(time)
        time = time - delta
        if step < num_steps:
            delta = time - grid[step + 1]
    return tuple(deltas), torch.stack(times) if times else torch.empty(0)
