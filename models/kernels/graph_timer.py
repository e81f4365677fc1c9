"""How long a piece of work takes on a CUDA device when a graph replays it."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch


class GraphTimer:
    """Times calls as a step will meet them: launched by a graph, with weights that are not in the device's cache."""

    def __init__(self, device: torch.device, *, num_turns: int = 20) -> None:
        self._device = device
        self._num_turns = num_turns
        self._cold: torch.Tensor | None = None
        self._stream: torch.cuda.Stream | None = None
        self._latest: torch.cuda.CUDAGraph | None = None  # keeps the memory that all graphs share, in turn

    def __call__(self, work: Callable[[], object]) -> float:
        """Median time of a call in microseconds. Runs `work` a few times more, to warm up and to capture."""
        with torch.cuda.device(self._device):
            return self._time(work)

    def forget(self) -> None:
        """Gives back the memory that it keeps between calls, and what the work was captured in."""
        if self._cold is not None:
            self._cold = self._latest = None
            torch.cuda.empty_cache()

    def _time(self, work: Callable[[], object]) -> float:
        if self._cold is None:
            cached_bytes = torch.cuda.get_device_properties(self._device).L2_cache_size
            self._cold = torch.empty(2 * cached_bytes, dtype=torch.uint8, device=self._device)
        if self._stream is None:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        pool = torch.cuda.graph_pool_handle() if self._latest is None else self._latest.pool()
        graph, stream = torch.cuda.CUDAGraph(), self._stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                work()
            torch.cuda.synchronize()
            graph.capture_begin(pool)
            try:
                work()
            finally:
                graph.capture_end()
            times_ms = [self._replay_ms(graph, self._cold) for _ in range(self._num_turns)]
        torch.cuda.current_stream().wait_stream(stream)
        self._latest = graph
        return statistics.median(times_ms) * 1000

    @staticmethod
    def _replay_ms(graph: torch.cuda.CUDAGraph, cold: torch.Tensor) -> float:
        begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        cold.zero_()  # while the device is busy with it, the host queues the rest
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end))
