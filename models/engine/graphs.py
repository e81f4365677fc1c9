"""CUDA graphs: work of fixed shapes, recorded once and then launched as one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 1
"""Eager runs before a recording: libraries choose their kernels and take their workspaces in them."""


class Graphs:
    """Records work on one device. All recordings share one pool of memory, since only one runs at a time; what they
    read and write that outlives a run must lie outside of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        # What libraries take for a stream they take once, and before anything is recorded on it.
        self._recording = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._is_copying = False

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work` as one launch. It may neither wait for the device nor allocate what it has not allocated before.

        Record the largest first: the smaller then find their memory in the pool.
        """
        beside = self._recording
        beside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream(self._device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=beside):
            work()
        return graph.replay

    def copy_beside(self, target: Tensor, source: Tensor) -> None:
        """Copy to pinned host memory beside the work that follows; `join` before the recording ends."""
        self._copying.wait_stream(torch.cuda.current_stream(self._device))
        self._is_copying = True
        with torch.cuda.stream(self._copying):
            target.copy_(source, non_blocking=True)

    def join(self) -> None:
        """Whatever follows waits for the copies, if there are any."""
        if self._is_copying:
            self._is_copying = False
            torch.cuda.current_stream(self._device).wait_stream(self._copying)
