"""Both language models, the local DiT and the stop head say what the official ones say, given what those were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.kernels.kernels import Kernels
from models.voxcpm import VoxCPM
from models.voxcpm.backbone import Span
from models.voxcpm.config import read_config
from models.voxcpm.flow import FlowSolver
from models.voxcpm.layers import Loader
from models.voxcpm.local import LocalDit
from models.voxcpm.lora import Adapters
from models.voxcpm.weights import Weights

from .conftest import Oracle

TOLERANCE = 1e-4
CPU = torch.device("cpu")


def _close(found: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=TOLERANCE)


def _context(model: VoxCPM, oracle: Oracle, name: str, rows: Tensor | None) -> tuple[Tensor, Tensor]:
    """What the language models begin with, [tokens, hidden], and which of it is a prompt's patches, bool [tokens]."""
    ids = oracle.answer(name, "ids").tolist()
    if oracle.speech(name).prompt_audio is None:
        return model.embed_text(ids), torch.zeros(len(ids), dtype=torch.bool)
    latents = torch.from_numpy(oracle.answer(name, "prompt_latents"))
    patches = model.embed_patches(latents, None if rows is None else rows[: len(latents)])
    is_audio = torch.arange(len(ids)) >= len(ids) - len(latents)
    return torch.cat([model.embed_text(ids[: -len(latents)]), patches]), is_audio


@pytest.mark.parametrize("name", ["plain", "prompted", "adapted_prompted"])
@torch.inference_mode()
def test_every_position_of_a_prefill_has_the_official_states(
    oracle: Oracle, model: VoxCPM, adapted_model: VoxCPM, name: str
) -> None:
    adapter = oracle.speech(name).adapter
    model = model if adapter is None else adapted_model
    num_tokens = len(oracle.answer(name, "ids"))
    rows = None if adapter is None else torch.ones(num_tokens, dtype=torch.int64)
    tokens, is_audio = _context(model, oracle, name, rows)
    base, residual, quantised = (oracle.answer(name, f"prefill_{part}") for part in ("base", "residual", "fsq"))
    after_fsq = np.where(is_audio.numpy()[:, None], quantised, base)
    for end in range(1, num_tokens + 1):
        given = tokens[:end], is_audio[:end], [Span(0, 0, end)], None if rows is None else rows[:end]
        state = model.advance(*given)
        _close(state.lm[0], after_fsq[end - 1])
        _close(state.residual[0], residual[end - 1])
        as_text = model.advance(given[0], torch.zeros_like(given[1]), *given[2:])  # nothing is quantised then
        _close(as_text.lm[0], base[end - 1])


def _dit(checkpoint: Path, adapter: Path | None) -> LocalDit:
    config = read_config(checkpoint)
    adapters = Adapters.read([adapter], config, device=CPU, dtype=torch.float32) if adapter else None
    with Weights(checkpoint, config) as weights:
        load = Loader(weights=weights, device=CPU, dtype=torch.float32, kernels=Kernels(CPU), adapters=adapters)
        return LocalDit(config.dit, load, patch_size=config.patch_size)


@pytest.mark.parametrize("name", ["plain", "prompted", "adapted_prompted"])
@torch.inference_mode()
def test_every_call_of_the_dit_has_the_official_velocity(oracle: Oracle, name: str) -> None:
    adapter = oracle.speech(name).adapter
    dit = _dit(oracle.checkpoint, adapter)
    rows = None if adapter is None else torch.ones(2, dtype=torch.int64)
    calls = zip(
        *(torch.from_numpy(oracle.answer(name, f"dit_{part}")) for part in ("x", "t", "cond", "mu")), strict=True
    )
    expected = oracle.answer(name, "dit_v")  # [calls, 2, feat, patch]
    assert len(expected) >= 9
    for (x, t, cond, mu), velocity in zip(calls, expected, strict=True):
        condition = dit.condition(cond.T[None]).expand(2, -1, -1)
        first = torch.stack([mu, torch.zeros_like(mu)]) + dit.time.at(t[None])
        found = dit.velocity(x.T.expand(2, -1, -1), first, condition, rows)  # [2, patch, feat]
        _close(found.transpose(1, 2), velocity)


@pytest.mark.parametrize("name", ["plain", "prompted", "hurried", "patient", "adapted"])
@torch.inference_mode()
def test_each_patch_is_solved_as_the_official_one(oracle: Oracle, name: str) -> None:
    question = oracle.speech(name)
    latents = torch.from_numpy(oracle.answer(name, "latents"))  # [patches, patch, feat]
    zero = torch.zeros_like(latents[:1])
    prompt = zero if question.prompt_audio is None else torch.from_numpy(oracle.answer(name, "prompt_latents"))
    solver = FlowSolver(_dit(oracle.checkpoint, question.adapter), CPU, torch.float32)
    found = solver.solve(
        torch.from_numpy(oracle.answer(name, "mu")),
        torch.cat([prompt[-1:], latents[:-1]]),
        torch.from_numpy(question.noise[: len(latents)]).transpose(1, 2),
        num_steps=question.num_steps,
        cfg_value=torch.full((len(latents),), question.cfg_value),
        rows=None if question.adapter is None else torch.ones(len(latents), dtype=torch.int64),
    )
    _close(found, latents.numpy())


@pytest.mark.parametrize("name", ["plain", "prompted"])
@torch.inference_mode()
def test_after_the_official_patches_each_stop_decision_is_the_official_one(
    oracle: Oracle, model: VoxCPM, name: str
) -> None:
    latents = torch.from_numpy(oracle.answer(name, "latents"))
    logits = oracle.answer(name, "stop_logits")  # [patches, 2]
    assert np.abs(logits[:, 1] - logits[:, 0]).min() > 1e-3, "too close to be compared"
    tokens, is_audio = _context(model, oracle, name, None)
    num_tokens = len(tokens)
    decisions = [bool(model.stops(model.advance(tokens, is_audio, [Span(0, 0, num_tokens)])))]
    for number, token in enumerate(model.embed_patches(latents[:-1])):
        state = model.advance(token[None], torch.ones(1, dtype=torch.bool), [Span(0, num_tokens + number, 1)])
        decisions.append(bool(model.stops(state)))
    assert decisions == (logits[:, 1] > logits[:, 0]).tolist()
