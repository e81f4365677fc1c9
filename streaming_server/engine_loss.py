"""How a stream was lost: what its keeper is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The engine ended, or failed in a step.

    `num_suspects`: the streams of which one may be why, this one among them; 0: it is not. `index`: of its latest patch
    that was under way. `on_trial`: none but the suspects had the engine's attention.
    """

    num_suspects: int = 0
    index: int = 0
    on_trial: bool = False
