"""The flow solver: noise to a patch of latents by Euler steps with classifier-free guidance (CFG-Zero*)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .local import LocalDit

MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class _Grid:
    """The steps that move, for one number of steps."""

    deltas: tuple[float, ...]
    taus: Tensor  # [len(deltas), hidden], the model's dtype


class FlowSolver:
    """Solves for any rows at once. Not read from the checkpoint: the original's sampler is fixed in its code."""

    def __init__(self, dit: LocalDit, device: torch.device, dtype: torch.dtype) -> None:
        self._dit = dit
        self._device = device
        self._dtype = dtype
        self._grids: dict[int, _Grid] = {}

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

        The state stays in float32 whatever the network's precision. Both halves of the guidance are one batch: first
        the conditional rows, then the same without mu.
        """
        grid = self._grid(num_steps)
        condition = self._dit.condition(before.to(self._dtype)).repeat(2, 1, 1)  # [2 batch, patch, hidden]
        states = torch.cat([mu, torch.zeros_like(mu)])  # [2 batch, hidden]
        both = None if rows is None else rows.repeat(2)
        x = noise
        for delta, tau in zip(grid.deltas, grid.taus, strict=True):
            doubled = x.to(self._dtype).repeat(2, 1, 1)
            conditional, unconditional = self._dit.velocity(doubled, states + tau, condition, both).float().chunk(2)
            x = x - delta * guided(conditional, unconditional, cfg_value)
        return x

    def _grid(self, num_steps: int) -> _Grid:
        grid = self._grids.get(num_steps)
        if grid is None:
            deltas, times = time_grid(num_steps)
            taus = self._dit.time.at(times.to(self._device)).to(self._dtype)
            grid = self._grids[num_steps] = _Grid(deltas, taus)
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
