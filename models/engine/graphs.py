"""CUDA graphs: work of fixed shapes, recorded once and then launched as one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Graphs:
    """Records work on one device. All recordings share one pool of memory, since only one runs at a time; what they
    read and write that outlives a run must lie outside of it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._recording = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._is_copying = False

    def try_out(self, work: Callable[[], None]) -> None:
        """Run it once where it will be recorded: libraries choose their kernels, and take what they take once for each
        stream, before anything is recorded there."""
        present = torch.cuda.current_stream(self._device)
        self._recording.wait_stream(present)
        with torch.cuda.stream(self._recording):
            work()
        present.wait_stream(self._recording)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work`, which has been tried out, as one launch. It may neither wait for the device nor keep memory that it
        takes. Record the largest first: the smaller then find theirs in the pool."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._recording):
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
