"""Kernels compiled before they are needed, side by side: one after the other they take most of a minute."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .launch import Launch

log = logging.getLogger(__name__)


class Plan:
    """What will be started, each program once."""

    def __init__(self) -> None:
        self._launches: dict[Hashable, Launch] = {}

    @property
    def launches(self) -> list[Launch]:
        """One for each program; in place of tensors there are some of their types, without memory."""
        return list(self._launches.values())

    def add(self, launch: Launch) -> None:
        kinds = tuple(_kind(argument) for argument in launch.arguments.values())
        key = (launch.kernel, *launch.constants.items(), *kinds, launch.num_warps, launch.num_stages)
        if key not in self._launches:
            arguments = {name: _without_memory(each) for name, each in launch.arguments.items()}
            self._launches[key] = replace(launch, arguments=arguments)

    def compile(self, device: torch.device) -> None:
        """All of it. What fails here fails, and is handled, when it is used."""
        begin = partial(torch.cuda.set_device, device)
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="compile", initializer=begin) as pool:
            failures = [error for error in pool.map(_compiled, self.launches) if error is not None]
        log.info("compiled %d kernels ahead, %d failed", len(self._launches) - len(failures), len(failures))


def _kind(argument: Tensor | int | float) -> Hashable:
    """What the compiler heeds of an argument."""
    if isinstance(argument, Tensor):
        return argument.dtype
    return (argument == 1, argument % 16 == 0) if isinstance(argument, int) else "float"


def _without_memory(argument: Tensor | int | float) -> Tensor | int | float:
    return torch.empty(1, dtype=argument.dtype, device="meta") if isinstance(argument, Tensor) else argument


def _compiled(launch: Launch) -> Exception | None:
    try:
        launch.kernel.warmup(
            **launch.arguments,
            **launch.constants,
            grid=launch.grid,
            num_warps=launch.num_warps,
            num_stages=launch.num_stages,
        )
    except Exception as error:  # whatever a compiler may raise
        return error
    return None
