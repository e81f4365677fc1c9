"""The programs that a GPU records, run on the CPU: in its sizes, in parts, pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.checkpoint_voices import give_default_voices
from models.base import ModelOptions, Patch, SpeechParams
from models.engine.batch import Batch
from models.engine.runner import Launch
from models.voxcpm.context import BLOCK
from models.voxcpm.machinery import Machinery
from models.voxcpm.model import VoxCPMModel, load_speech_model
from models.voxcpm.network import VoxCPM
from tests.models.speaking import finish, speak

TEXTS = ("One.", " And two, which is longer.", "三。")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ModelOptions:
    return ModelOptions(cache=tmp_path_factory.mktemp("cache"), num_threads=1, num_slots=8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, options: ModelOptions) -> Path:
    folder = tmp_path_factory.mktemp("programs") / "tiny"
    write_checkpoint(folder, TINY, seed=4)
    assert options.cache is not None
    give_default_voices(folder, options.cache)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path, options: ModelOptions) -> VoxCPMModel:
    return load_speech_model(checkpoint, options)


@pytest.fixture(scope="module")
def padded(checkpoint: Path, options: ModelOptions) -> VoxCPMModel:
    """With a GPU's sizes."""
    network = VoxCPM(checkpoint, device=torch.device("cpu"), dtype=torch.float32, num_slots=8, num_positions=512)
    return VoxCPMModel(network, options, Machinery.of(network, options, on_gpu=True))


@pytest.fixture(scope="module")
def pinned(checkpoint: Path, options: ModelOptions) -> VoxCPMModel:
    return load_speech_model(checkpoint, replace(options, deterministic=True))


def crowd(
    model: VoxCPMModel, slots: Sequence[int], *, steps: Mapping[int, int] | None = None
) -> dict[int, list[Patch]]:
    """Each slot says its text by its number, all of them in the same steps until each is over."""
    made: dict[int, list[Patch]] = {slot: [] for slot in slots}
    for slot in slots:
        knobs = {"inference_timesteps": (steps or {}).get(slot, 10)}
        model.open(slot, 1, "amber", SpeechParams(seed=slot, knobs=knobs))
        model.extend(slot, TEXTS[slot % len(TEXTS)])
        model.seal(slot)
    speaking = list(slots)
    while speaking:
        for patch in model.submit(speaking).patches():
            assert isinstance(patch, Patch)
            made[patch.slot].append(patch)
            if patch.last:
                speaking.remove(patch.slot)
    for slot in slots:
        model.close(slot)
    return made


def latents(patches: Sequence[Patch]) -> np.ndarray:
    return np.stack([np.frombuffer(patch.latents, "<f4") for patch in patches])


def test_rows_in_which_nobody_is_change_nothing(model: VoxCPMModel, padded: VoxCPMModel) -> None:
    assert padded.info.buckets == (1, 2, 4, 7, 14)
    ours, theirs = crowd(padded, (0, 2, 5)), crowd(model, (0, 2, 5))
    for slot in ours:
        np.testing.assert_allclose(latents(ours[slot]), latents(theirs[slot]), atol=1e-4)


def test_every_size_of_every_program_runs_before_the_first_listener(padded: VoxCPMModel) -> None:
    before = crowd(padded, (1,))
    told: list[str] = []
    with torch.inference_mode():
        padded.runner.prepare(told.append, recorded=False)
    assert {line.split()[1] for line in told} == {"decode", "begin", "turn", "finish", "prefill", "encode", "warm"}
    after = crowd(padded, (1,))
    np.testing.assert_allclose(latents(after[1]), latents(before[1]), atol=1e-5)
    assert padded.runner.num_refused == 0


def test_a_step_in_parts_is_the_step_in_one(model: VoxCPMModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = speak(model, TEXTS, params=SpeechParams(seed=3))
    monkeypatch.setattr("models.voxcpm.model.USUAL_STEPS", 50)
    parts = speak(model, TEXTS, params=SpeechParams(seed=3, knobs={"inference_timesteps": 10}))
    np.testing.assert_allclose(latents(parts.patches), latents(whole.patches), atol=1e-4)
    assert [patch.last for patch in parts.patches] == [patch.last for patch in whole.patches]


@pytest.mark.parametrize("sizes", ["model", "padded"])
def test_rows_with_other_numbers_of_steps_share_a_step(sizes: str, request: pytest.FixtureRequest) -> None:
    speaking: VoxCPMModel = request.getfixturevalue(sizes)
    steps = {0: 10, 1: 4, 2: 7, 3: 4, 4: 5}
    together = crowd(speaking, tuple(steps), steps=steps)
    for slot in steps:
        alone = crowd(speaking, (slot,), steps=steps)[slot]
        np.testing.assert_allclose(latents(together[slot]), latents(alone), atol=1e-4)


@pytest.mark.parametrize("company", [(0,), (0, 1), (6, 0, 3), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_a_pinned_batch_gives_the_same_bytes_in_any_company(pinned: VoxCPMModel, company: tuple[int, ...]) -> None:
    assert pinned.info.deterministic
    assert pinned.info.buckets == (8,)
    alone = crowd(pinned, (0,))[0]
    crowded = crowd(pinned, company)[0]
    assert [patch.pcm.tobytes() for patch in crowded] == [patch.pcm.tobytes() for patch in alone]
    assert [patch.latents for patch in crowded] == [patch.latents for patch in alone]


def test_which_patches_are_the_last_is_told_before_they_are_there(model: VoxCPMModel) -> None:
    for slot in (0, 1):
        model.open(slot, 1, "amber", SpeechParams(seed=slot, knobs={"max_len": 1 + slot}))
        model.extend(slot, TEXTS[0])
        model.seal(slot)
    step = model.submit([0, 1])
    stops = dict(step.stops())
    assert stops == {patch.slot: patch.last for patch in step.patches() if isinstance(patch, Patch)}
    assert stops[0] is True
    for slot in (0, 1):
        model.close(slot)


def test_text_that_is_read_ahead_is_not_read_again_and_changes_nothing(padded: VoxCPMModel) -> None:
    text = "It was a bright cold day in April, and the clocks were striking."
    plain = speak(padded, [text], params=SpeechParams(seed=2, knobs={"max_len": 4}))
    padded.open(0, 1, "amber", SpeechParams(seed=2, knobs={"max_len": 4}))
    assert padded.info.reads_ahead
    rows: list[int] = []
    launch = padded.runner.launch

    def counted(name: str, batch: Batch, num_rows: int) -> Launch:
        if name == "prefill":
            rows.append(num_rows)
        return launch(name, batch, num_rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(padded.runner, "launch", counted)
        for end in range(4, len(text), 8):
            padded.expect(0, text[:end])
        padded.expect(0, "Something else that was taken back, as writers do with half of what they write.")
        padded.expect(0, text[:50])
        num_ahead = len(rows)
        padded.extend(0, text)
        padded.seal(0)
        patches = finish(padded, 0)
    padded.close(0)
    assert num_ahead >= 2
    assert rows[-1] < max(rows) + BLOCK
    np.testing.assert_allclose(latents(patches), latents(plain.patches), atol=1e-4)


def test_a_text_that_does_not_fit_a_slot_is_not_read_ahead(padded: VoxCPMModel) -> None:
    padded.open(0, 1, "amber", SpeechParams(seed=2, knobs={"max_len": 2}))
    padded.expect(0, "word " * padded._network.num_positions)
    padded.extend(0, TEXTS[0])
    padded.seal(0)
    patches = finish(padded, 0)
    padded.close(0)
    plain = speak(padded, [TEXTS[0]], params=SpeechParams(seed=2, knobs={"max_len": 2}))
    np.testing.assert_allclose(latents(patches), latents(plain.patches), atol=1e-4)


def test_the_voices_transcript_is_read_once_for_all_segments(model: VoxCPMModel) -> None:
    rows: list[int] = []
    launch = model.runner.launch

    def counted(name: str, batch: Batch, num_rows: int) -> Launch:
        if name == "prefill":
            rows.append(num_rows)
        return launch(name, batch, num_rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(model.runner, "launch", counted)
        speak(model, ["Hi.", "Hi."], params=SpeechParams(knobs={"max_len": 1}))
    transcript = len(model._network.tokenizer.encode(model._cast.speaker("amber").passage.text))
    assert transcript > 2 * BLOCK
    assert rows[1] < rows[0]
