"""Everything that steps run through, for a network and its slots: state, programs, runner."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from ..base import ModelOptions, tell_nobody
from ..engine.runner import Program, Runner
from .context import ENCODED_TOGETHER, Encode, Prefill, Warm
from .decode import Begin, Decode, Finish, Turn, Workshop
from .memory import GIB, MAX_SLOTS, device_budget, most_slots
from .network import VoxCPM
from .slot_state import SlotState
from .solves import Solves
from .vae_precision import settled

log = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 7, 14, 28, 56, 112)
"""Rows of a step on a GPU. The solver has 18 for each, and its products work in tiles of 128: multiples of 7 waste
least."""

DETERMINISTIC_ROWS = 28
PREFILL_TOKENS = (64, 128, 256, 512, 1024, 2048)

CPU_PREFILL_TOKENS = 32
"""On a CPU contexts are filled up to a multiple: a kernel is made and kept for each number of rows that occurs."""

USUAL_STEPS = 10
MAX_HALVINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """`buckets`: rows that a step is made for, none for any. `alone`: contexts are read one by one.

    `reads_ahead`: text is read as it comes. On a CPU that would keep from their steps those who speak, and in a pinned
    batch the moment at which text comes would change how sums are rounded.
    """

    workshop: Workshop
    runner: Runner
    solves: Solves
    buckets: tuple[int, ...]
    max_batch: int
    max_latest_patches: int
    alone: bool
    reads_ahead: bool

    @classmethod
    @torch.inference_mode()
    def of(
        cls, network: VoxCPM, options: ModelOptions, *, on_gpu: bool, buckets: tuple[int, ...] | None = None
    ) -> Machinery:
        """For the network's present slots; nothing has run yet. `on_gpu`: in the sizes that are recorded there.

        `buckets`: others than suit so many slots; rows in which nobody is share the scratch slot.
        """
        if buckets is None:
            buckets = step_sizes(network.num_slots, on_gpu=on_gpu, deterministic=options.deterministic)
        prefill = prefill_sizes(network.num_positions, on_gpu=on_gpu)
        max_latest = max_latest_patches(network, options)
        workshop = Workshop(network, SlotState.of(network, max_spoken=max_latest, max_context=prefill[-1]))
        solves = Solves(network.solver, network.device)
        programs: tuple[Program, ...] = (
            Decode(workshop, buckets, num_steps=USUAL_STEPS),
            Begin(workshop, buckets, solves),
            Turn(workshop, buckets, solves),
            Finish(workshop, buckets, solves),
            Prefill(workshop, prefill),
            Encode(workshop, (ENCODED_TOGETHER,)),
            Warm(workshop),
        )
        return cls(
            workshop=workshop,
            runner=Runner(programs, network.device),
            solves=solves,
            buckets=buckets,
            max_batch=min(network.num_slots, buckets[-1]) if buckets else network.num_slots,
            max_latest_patches=max_latest,
            alone=options.deterministic,
            reads_ahead=on_gpu and not options.deterministic,
        )


def machinery(network: VoxCPM, options: ModelOptions) -> Machinery:
    """Ready to run: on a GPU with as many slots as fit and every program recorded. Raises ModelError."""
    if network.device.type != "cuda":
        return Machinery.of(network, options, on_gpu=False)
    with torch.cuda.device(network.device):  # kernels are started on the thread's device, wherever their memory is
        budget = device_budget(network.device, options.gpu_memory)
        options.progress("compares precisions of the codec")
        network.decoder = settled(network.decoder)
        made = _recorded(network, options, _fitting(network, options, budget))
        reserved = torch.cuda.memory_reserved(network.device)
    log.info("%d slots take %.1f of %.1f GiB with all else", network.num_slots, reserved / GIB, budget / GIB)
    return made


def step_sizes(num_slots: int, *, on_gpu: bool, deterministic: bool) -> tuple[int, ...]:
    """Rows that a step is made for; on a CPU any number is as good as the next, unless one is pinned."""
    if deterministic:
        return (min(num_slots, DETERMINISTIC_ROWS),)
    return _up_to(num_slots, BUCKETS) if on_gpu else ()


def prefill_sizes(num_positions: int, *, on_gpu: bool) -> tuple[int, ...]:
    """Tokens that contexts are read in; the largest holds any one of them."""
    if on_gpu:
        return _up_to(num_positions, PREFILL_TOKENS)
    return tuple(range(CPU_PREFILL_TOKENS, num_positions + CPU_PREFILL_TOKENS, CPU_PREFILL_TOKENS))


def _up_to(largest: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes up to the first that holds the largest."""
    needed = next((index for index, size in enumerate(sizes) if size >= largest), len(sizes) - 1)
    return sizes[: needed + 1]


def max_latest_patches(network: VoxCPM, options: ModelOptions) -> int:
    """Of a segment that the next one goes on from."""
    config = network.config
    return int(options.context_s * config.sample_rate / config.patch_samples)


def _fitting(network: VoxCPM, options: ModelOptions, budget: int) -> int:
    """Slots beside the weights and the work space of the steps that so many need. Raises ModelError."""
    taken = torch.cuda.memory_allocated(network.device)
    return most_slots(
        budget,
        taken=taken,
        work=lambda rows: _work_bytes(network, options, rows, taken),
        slot=network.slot_bytes + SlotState.slot_bytes(network, max_spoken=max_latest_patches(network, options)),
        sizes=step_sizes(options.num_slots or MAX_SLOTS, on_gpu=True, deterministic=options.deterministic),
        asked=options.num_slots,
    )


def _work_bytes(network: VoxCPM, options: ModelOptions, rows: int, taken: int) -> int:
    """Memory that a step of so many rows takes beside what was `taken`, or one of the contexts of its rows."""
    device = network.device
    torch.cuda.empty_cache()
    probe = Machinery.of(network, options, on_gpu=True, buckets=(rows,))
    _try_out(probe, options)  # measuring takes memory of its own, for a while
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        probe.runner.prepare(tell_nobody, recorded=False)
    return torch.cuda.max_memory_allocated(device) - taken


def _recorded(network: VoxCPM, options: ModelOptions, num_slots: int) -> Machinery:
    for _ in range(1 + MAX_HALVINGS):
        made = _made(network, options, num_slots)
        if made is not None:
            return made
        log.warning("%d slots do not fit the device's memory after all", num_slots)
        num_slots //= 2
    raise MemoryError(f"not even {2 * num_slots} slots fit the device's memory")


def _made(network: VoxCPM, options: ModelOptions, num_slots: int) -> Machinery | None:
    """With every program recorded; None where there is no memory for so many slots, and for fewer there may be."""
    torch.cuda.empty_cache()
    try:
        network.give_slots(num_slots)
        made = Machinery.of(network, options, on_gpu=True)
        _try_out(made, options)  # some kernels' shapes have the number of slots in them
        with torch.inference_mode():
            made.runner.prepare(options.progress)
    except torch.cuda.OutOfMemoryError:
        if options.num_slots or num_slots == 1:
            raise
        return None
    return made


def _try_out(made: Machinery, options: ModelOptions) -> None:
    """Run every program once; kernels whose fastest form is not known from an earlier start are measured."""
    kernels = made.workshop.network.kernels
    path = options.cache / "kernels.json" if options.cache else None
    if path is not None and not kernels.choices():
        kernels.load(path)
    options.progress("compiles kernels")
    decoder, config = made.workshop.state.decoder, made.workshop.network.config
    decoder.compile_ahead((1, *made.buckets), config.patch_size)
    with torch.inference_mode():
        if not kernels.has_loaded:
            with kernels.planning():
                made.runner.prepare(tell_nobody, recorded=False)
        with kernels.measuring():
            made.runner.prepare(options.progress, recorded=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kernels.save(path)
