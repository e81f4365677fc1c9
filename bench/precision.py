"""What lower precision does to VoxCPM's output: `python -m bench.precision --checkpoint DIRECTORY`.

Each precision is led along the float32 model's own utterance: before every patch it hears the patches that float32
made, so that errors show as they arise, and do not lead to another utterance (which need not be a worse one).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.voxcpm.backbone import Span
from models.voxcpm.config import AUDIO_START
from models.voxcpm.network import State, VoxCPM

from .peer import TEXT, prompt_latents
from .peer_official import PROMPT_TEXT
from .report import RESULTS, table, write

PRECISIONS = (
    ("float32", torch.float32, False),
    ("bfloat16", torch.bfloat16, False),
    ("float32, DiT int8", torch.float32, True),
    ("bfloat16, DiT int8", torch.bfloat16, True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """0: measured."""
    options = _parse(argv)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        reference: _Led | None = None
        rows: list[dict[str, Any]] = []
        for name, dtype, quantize in PRECISIONS:
            model = VoxCPM(options.checkpoint, device=torch.device("cpu"), dtype=dtype, quantize=quantize)
            led = _Led(model, options.patches, reference)
            if reference is None:
                reference = led
            else:
                rows.append({"precision": name} | led.errors(reference))
            del model
    print(table(rows))
    if options.output:
        print(write("precision", {"patches": options.patches, "rows": rows}, options.output))
    return 0


class _Led:
    """One model's way along an utterance: its own without a `reference`, else that one's."""

    def __init__(self, model: VoxCPM, num_patches: int, reference: _Led | None) -> None:
        config = model.config
        generator = torch.Generator().manual_seed(3)
        noise = torch.randn(num_patches, 1, config.patch_size, config.feat_dim, generator=generator)
        ids = [*model.tokenizer.encode(PROMPT_TEXT + TEXT), AUDIO_START]
        prompt = prompt_latents(config)
        tokens = torch.cat([model.embed_text(ids), model.embed_patches(prompt)])
        span = Span(0, 0, len(tokens))
        is_audio = torch.arange(len(tokens)) >= len(ids)
        before = prompt[-1:]
        self.states: list[State] = []
        self.latents: list[Tensor] = []  # from its own states
        self.given: list[Tensor] = []  # from the reference's
        for number in range(num_patches):
            state = model.advance(tokens, is_audio, [span])
            self.states.append(State(state.lm.float(), state.residual.float()))
            self.latents.append(_solved(model, state, before, noise[number]))
            if reference is not None:
                theirs = reference.states[number]
                state = State(theirs.lm.to(model.dtype), theirs.residual.to(model.dtype))
                self.given.append(_solved(model, state, before, noise[number]))
            before = (reference or self).latents[number]
            tokens, is_audio = model.embed_patches(before), torch.ones(1, dtype=torch.bool)
            span = Span(0, span.start + span.num_tokens, 1)
        self.audio = model.decoder.decode(torch.cat(self.latents).flatten(0, 1)[None])

    def errors(self, reference: _Led) -> dict[str, Any]:
        """Signal to error, decibels."""
        return {
            "LM state dB": _decibels([s.lm for s in self.states], [s.lm for s in reference.states]),
            "residual state dB": _decibels([s.residual for s in self.states], [s.residual for s in reference.states]),
            "latents, states given dB": _decibels(self.given, reference.latents),
            "latents dB": _decibels(self.latents, reference.latents),
            "audio dB": _decibels([self.audio], [reference.audio]),
        }


def _solved(model: VoxCPM, state: State, before: Tensor, noise: Tensor) -> Tensor:
    return model.solve(state, before, noise, num_steps=10, cfg_value=torch.tensor([2.0]))


def _decibels(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float | None:
    """None: they are equal."""
    signal, error = torch.cat(list(expected)), torch.cat(list(found)) - torch.cat(list(expected))
    return round(20 * math.log10(float(signal.norm() / error.norm())), 1) if error.any() else None


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--patches", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--quick", dest="output", action="store_const", const=None, help="write no result")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
