"""nano-vllm-voxcpm (the wheel, 2.0.5) as a peer, driven in this process: its engine without its queues.

It imports flash-attn, which few machines have: bench/peer_modules stands in for it, and what share of a captured step
that is, is measured. Its server class brings the prompt, the request and the step; nothing of it is copied here.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import statistics
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from models.voxcpm.config import read_config
from models.voxcpm.passage import joined

from .gpu_clock import device_times_ms
from .gpu_streams import Sound
from .peer import TEXT, prompt_latents
from .peer_official import PROMPT_TEXT

PACKAGE = "nanovllm_voxcpm"
NEEDS = ("torch", "triton", "transformers", "xxhash", "tqdm", "pydantic", "huggingface_hub", PACKAGE)
UNUSED = ("torchaudio", "librosa", "torchcodec")
"""Imported by the wheel to read sound files only."""

MODULES = Path(__file__).parent / "peer_modules"
MAX_POSITIONS = 1024
MEMORY_SHARE = 0.5
NUM_TIMED = 20
CONTEXT = 256
"""Tokens that every row of the measured attention reads."""


def missing() -> str:
    """Why it cannot run here, in one sentence; empty where it can."""
    if not torch.cuda.is_available():
        return "nano-vllm-voxcpm needs a CUDA device, and there is none."
    absent = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    return f"nano-vllm-voxcpm needs {', '.join(absent)}, which is not installed." if absent else ""


def make_importable() -> None:
    """Stand-ins for what it imports and this measurement does not use, or has otherwise."""
    if str(MODULES) not in sys.path:
        sys.path.insert(0, str(MODULES))
    for name in UNUSED:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules[name] = module


class NanoStreams:
    """Its requests by their number. It speaks without seeds, which cost it a generator a row and step."""

    def __init__(self, checkpoint: Path, *, num_steps: int, max_streams: int) -> None:
        if reason := missing():
            raise RuntimeError(reason)
        make_importable()
        server = importlib.import_module(f"{PACKAGE}.models.voxcpm.server")
        config = read_config(checkpoint)
        self.rate_hz, self.patch_samples = config.sample_rate, config.patch_samples
        self.max_streams = max_streams
        self._patch_size, self._num_evaluations = config.patch_size, num_steps - 1
        self._server = server.VoxCPMServerImpl(
            str(checkpoint),
            inference_timesteps=num_steps,
            max_num_seqs=max_streams,
            max_model_len=MAX_POSITIONS,
            gpu_memory_utilization=MEMORY_SHARE,
        )
        self._latents = prompt_latents(config).numpy().tobytes()
        self.token_ids: Sequence[int] = list(self._server.llm.tokenizer(joined(PROMPT_TEXT, TEXT)))

    def read(self, ids: Sequence[int]) -> None:
        self._server.llm.tokenizer = lambda text: list(ids)

    def start(self, key: int, num_patches: int) -> None:
        self._server.add_request(
            str(key),
            TEXT,
            prompt_latents=self._latents,
            prompt_text=PROMPT_TEXT + " ",
            max_generate_length=num_patches,
            cfg_value=2.0,
        )

    def step(self) -> Sequence[Sound]:
        sounds: list[Sound] = []
        for sequence in self._server.step():
            sound = sequence.custom_payload.generated_waveforms[-1]
            is_flat = bool(sound.min() == sound.max())
            sounds.append(Sound(int(sequence.seq_id), len(sound), is_last=sequence.is_finished, is_flat=is_flat))
        return sounds

    def next_at(self) -> float | None:
        return None if self._server.is_finished() else float("-inf")

    def extras(self) -> dict[str, Any]:
        """By its graphs' sizes: milliseconds of the whole graph, of its attention calls alone, and their share."""
        runner = self._server.llm.model_runner
        shares: list[dict[str, Any]] = []
        for size, graph in sorted(runner.graphs["base"].items()):
            whole_ms = _timed_ms(graph.replay)
            attention_ms = _timed_ms(_recorded(self._attention(runner, size)))
            shares.append(
                {
                    "rows": size,
                    "graph_ms": round(whole_ms, 3),
                    "attention_ms": round(attention_ms, 3),
                    "share": round(attention_ms / whole_ms, 4),
                }
            )
        return {"stand_in": shares}

    def _attention(self, runner: Any, size: int) -> Callable[[], None]:
        """All attention of a step of so many rows, as the model calls it, and nothing else."""
        stand_in = importlib.import_module("flash_attn")  # the one that the model has
        layers = {name: module for name, module in runner.model.named_modules() if type(module).__name__ == "Attention"}
        causal = [layer for layer in layers.values() if layer.is_causal]
        encoder = [layer for name, layer in layers.items() if name.startswith("feat_encoder")]
        dit = [layer for name, layer in layers.items() if name.startswith("feat_decoder")]
        lengths = torch.full((size,), CONTEXT, dtype=torch.int32, device="cuda")
        num_pages = -(-CONTEXT // runner.block_size)
        pages = torch.arange(size * num_pages, dtype=torch.int32, device="cuda") % causal[0].k_cache.shape[0]
        table = pages.view(size, num_pages)

        def heads(layer: Any, *shape: int) -> list[Any]:
            counts = (layer.num_heads, layer.num_kv_heads, layer.num_kv_heads)
            return [torch.randn(*shape, n, layer.head_dim, dtype=torch.bfloat16, device="cuda") for n in counts]

        one = heads(causal[0], size, 1)[0]
        patch = heads(encoder[0], size, self._patch_size + 1)
        noise = heads(dit[0], 2 * size, 2 * self._patch_size + 1)

        def work() -> None:
            for layer in causal:
                stand_in.flash_attn_with_kvcache(
                    one, layer.k_cache, layer.v_cache, cache_seqlens=lengths, block_table=table,
                    softmax_scale=layer.scale, causal=True,
                )  # fmt: skip
            for layer in encoder:
                stand_in.flash_attn_func(*patch, softmax_scale=layer.scale, causal=False)
            for _ in range(self._num_evaluations):
                for layer in dit:
                    stand_in.flash_attn_func(*noise, softmax_scale=layer.scale, causal=False)

        return work


@torch.inference_mode()
def _recorded(work: Callable[[], None]) -> Callable[[], None]:
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay


def _timed_ms(work: Callable[[], None]) -> float:
    return statistics.median(device_times_ms(work, num_runs=NUM_TIMED))
