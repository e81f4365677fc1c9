"""VoxCPM as a thing with slots: what a patch depends on, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.checkpoint_voices import give_default_voices
from models.base import Failure, ModelError, ModelOptions, Patch, SpeechParams, UnknownVoice
from models.engine.batch import Batch
from models.engine.runner import Launch
from models.voxcpm.backbone import Backbone, Span
from models.voxcpm.context import BLOCK
from models.voxcpm.default_voices import DEFAULTS
from models.voxcpm.model import VoxCPMModel, load_speech_model
from tests.models.speaking import Spoken, finish, speak

TEXTS = ("Hello there.", " And so on it goes.", "你好世界。")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_checkpoint(folder, TINY, seed=4)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(checkpoint: Path, cache: Path) -> VoxCPMModel:
    return load_speech_model(checkpoint, ModelOptions(cache=cache, num_threads=1))


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> VoxCPMModel:
    """Voices that never stop by themselves."""
    folder = tmp_path_factory.mktemp("endless") / "tiny"
    write_checkpoint(folder, TINY, seed=4, never_stop=True)
    give_default_voices(folder, cache)
    return load_speech_model(folder, ModelOptions(cache=cache, num_threads=1))


def latents(patches: Sequence[Patch]) -> NDArray[np.float32]:
    """[patches, patch * feat]"""
    return np.stack([np.frombuffer(patch.latents, "<f4") for patch in patches])


def params(seed: int = 0, **knobs: float) -> SpeechParams:
    return SpeechParams(seed=seed, knobs=knobs)


def together(model: VoxCPMModel, wanted: dict[int, SpeechParams], texts: Sequence[str] = TEXTS) -> dict[int, Spoken]:
    """Several utterances of the same texts, all of them in every step until their own ends."""
    for slot, each in wanted.items():
        model.open(slot, 0, "amber", each)
        for text in texts:
            model.extend(slot, text)
            model.seal(slot)
    left = dict.fromkeys(wanted, len(texts))
    patches: dict[int, list[Patch]] = {slot: [] for slot in wanted}
    while busy := [slot for slot, segments in left.items() if segments]:
        for patch in model.submit(busy).patches():
            assert isinstance(patch, Patch), patch
            patches[patch.slot].append(patch)
            left[patch.slot] -= patch.last
    for slot in wanted:
        model.close(slot)
    return {slot: Spoken(patches=tuple(each)) for slot, each in patches.items()}


def test_a_voice_alone_says_what_it_says_in_a_batch_of_seven(model: VoxCPMModel) -> None:
    crowd = together(model, {slot: params(seed=slot) for slot in range(7)})
    alone = together(model, {3: params(seed=3)})[3]
    assert len({len(spoken.pcm) for spoken in crowd.values()}) > 1, "their lengths differ, so that the batch shrinks"
    assert len(alone.patches) == len(crowd[3].patches)
    np.testing.assert_allclose(latents(alone.patches), latents(crowd[3].patches), atol=1e-4)
    assert np.abs(alone.pcm.astype(int) - crowd[3].pcm).max() <= 2


def test_a_newcomer_changes_nothing_for_those_who_speak(model: VoxCPMModel) -> None:
    alone = speak(model, TEXTS, params=params(seed=1), slot=1)
    model.open(0, 0, "amber", params(seed=1))
    model.extend(0, TEXTS[0])
    model.seal(0)
    patches = [patch for patch in model.submit([0]).patches() if isinstance(patch, Patch)]
    model.open(2, 0, "jade", params(seed=2))
    model.extend(2, "A whole prefill comes in between.")
    model.seal(2)
    while not patches[-1].last:
        patches += [each for each in model.submit([2, 0]).patches() if isinstance(each, Patch) and each.slot == 0]
    model.close(0)
    model.close(2)
    np.testing.assert_allclose(latents(patches), latents(alone.segment(0).patches), atol=1e-4)


def test_each_row_has_its_own_knobs(model: VoxCPMModel) -> None:
    wanted = {
        0: params(seed=9),
        1: params(seed=9, cfg_value=3.0),
        2: params(seed=9, inference_timesteps=4),
        3: params(seed=9, max_len=2),
        4: params(seed=8),
    }
    crowd = together(model, wanted, TEXTS[:1])
    for slot, each in wanted.items():
        alone = speak(model, TEXTS[:1], params=each, slot=slot)
        np.testing.assert_allclose(latents(alone.patches), latents(crowd[slot].patches), atol=1e-4)
    assert len(crowd[3].patches) == 2
    first = [latents(crowd[slot].patches)[0] for slot in (0, 1, 2, 4)]
    assert all(np.abs(first[0] - other).max() > 1e-3 for other in first[1:]), "each knob is heard in the first patch"


def test_the_stop_flag_counts_only_after_the_least_length(model: VoxCPMModel) -> None:
    lengths = [len(speak(model, TEXTS[:1], params=params(seed=5, min_len=each)).patches) for each in (2, 12)]
    assert lengths[0] >= 4
    assert lengths[1] >= 14


def test_a_voice_that_never_stops_ends_by_the_length_rule(endless: VoxCPMModel) -> None:
    num_tokens = len(endless._network.tokenizer.encode("Hi."))
    assert len(speak(endless, ["Hi."]).patches) == int(6.0 * num_tokens + 10)
    assert len(speak(endless, ["Hi."], params=params(max_len=7)).patches) == 7


def test_the_codec_goes_on_over_the_joins_of_segments(model: VoxCPMModel) -> None:
    spoken = speak(model, TEXTS, params=params(seed=6), voice="jade")
    network = model._network
    primed = model._cast.speaker("jade").priming
    made = torch.from_numpy(latents(spoken.patches)).reshape(-1, network.config.patch_size, network.config.feat_dim)
    whole = network.decoder.decode(torch.cat([torch.stack(primed), made]).flatten(0, 1)[None])[0]
    heard = whole[len(primed) * network.config.patch_samples :].numpy() * 32767
    assert np.abs(np.rint(heard) - spoken.pcm).max() <= 1


def test_a_long_text_reads_no_more_context_than_a_short_one(checkpoint: Path, cache: Path) -> None:
    model = load_speech_model(checkpoint, ModelOptions(cache=cache, num_threads=1, context_s=1.0))
    contexts: list[int] = []
    launch = model.runner.launch

    def counted(name: str, batch: Batch, num_rows: int) -> Launch:
        if name == "prefill":
            contexts.append(num_rows)
        return launch(name, batch, num_rows)

    model.runner.launch = counted  # type: ignore[method-assign]
    speak(model, ["Over and over."] * 40, params=params(seed=7, max_len=9))
    assert len(contexts) == 40
    assert max(contexts[2:]) <= contexts[1] + BLOCK, "the voice's prompt, and at most a second of the segment before"


def test_a_segment_goes_on_from_the_latest_one(model: VoxCPMModel) -> None:
    after = [speak(model, [first, TEXTS[2]], params=params(seed=3)).segment(1).patches[0] for first in TEXTS[:2]]
    assert np.abs(latents(after[:1]) - latents(after[1:])).max() > 1e-3


def test_a_blank_segment_is_over_at_once(model: VoxCPMModel) -> None:
    spoken = speak(model, [" \n ", TEXTS[0]])
    assert [(len(patch.pcm), patch.last) for patch in spoken.segment(0).patches] == [(0, True)]
    assert len(spoken.segment(1).pcm)


def test_what_does_not_fit_the_context_fails_alone(model: VoxCPMModel) -> None:
    model.open(0, 0, "amber", params())
    model.open(1, 0, "amber", params())
    model.extend(0, "word " * 200)
    model.extend(1, TEXTS[0])
    for slot in (0, 1):
        model.seal(slot)
    results = {result.slot: result for result in model.submit([0, 1]).patches()}
    for slot in (0, 1):
        model.close(slot)
    assert isinstance(results[1], Patch)
    assert isinstance(results[0], Failure)
    assert "512 tokens" in results[0].message


def test_white_space_counts_as_one_space(model: VoxCPMModel) -> None:
    one, other = (speak(model, [text], params=params(seed=2)) for text in ("So it\n\n  goes.", "So it goes."))
    np.testing.assert_array_equal(one.pcm, other.pcm)


def test_volume_scales_the_samples(model: VoxCPMModel) -> None:
    loud, soft = (speak(model, TEXTS[:1], params=SpeechParams(volume=volume)) for volume in (1.0, 0.25))
    assert np.abs(loud.pcm * 0.25 - soft.pcm).max() <= 1


def test_patches_are_160_ms_numbered_and_carry_their_latents(model: VoxCPMModel) -> None:
    spoken = speak(model, TEXTS[:2])
    assert model.info.patch_ms == pytest.approx(160)
    assert [patch.index for patch in spoken.patches] == list(range(len(spoken.patches)))
    assert {len(patch.pcm) for patch in spoken.patches} == {7056}
    assert {len(patch.latents) for patch in spoken.patches} == {4 * 4 * 16}
    assert model.info.words == "estimated"
    assert not spoken.words


def test_sound_is_neither_silent_nor_clipped(model: VoxCPMModel) -> None:
    pcm = speak(model, TEXTS).pcm.astype(np.float64) / 32768
    assert 0.01 < np.sqrt(np.mean(pcm**2)) < 0.9
    assert np.mean(np.abs(pcm) > 0.99) < 0.05


def test_default_voices_are_made_once_and_are_the_same_ever_after(checkpoint: Path, tmp_path: Path) -> None:
    options = ModelOptions(cache=tmp_path, num_threads=1)
    first = load_speech_model(checkpoint, options)
    made = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = load_speech_model(checkpoint, options)
    assert len(made) == len(DEFAULTS)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == made
    for default in DEFAULTS:
        one, other = (each._cast.speaker(default.name).latents for each in (first, again))
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    replies = [speak(each, TEXTS[:1], params=params(seed=1)).pcm for each in (first, again)]
    np.testing.assert_array_equal(*replies)


def test_two_voices_sound_different(model: VoxCPMModel) -> None:
    one, other = (speak(model, TEXTS[:1], voice=name, params=params(seed=1)) for name in ("amber", "lotus"))
    assert np.abs(latents(one.patches[:1]) - latents(other.patches[:1])).max() > 1e-2


def test_an_unknown_voice_is_refused_with_those_that_there_are(model: VoxCPMModel) -> None:
    with pytest.raises(UnknownVoice, match=r"amber.*nobody"):
        model.open(0, 0, "nobody", params())


def test_a_slot_that_was_closed_starts_clean(model: VoxCPMModel) -> None:
    fresh = speak(model, TEXTS[:1], params=params(seed=4), slot=5)
    speak(model, TEXTS[1:], params=params(seed=5), slot=5)
    model.open(5, 0, "amber", params(seed=6))
    model.extend(5, TEXTS[1])
    model.seal(5)
    model.submit([5])
    model.close(5)
    again = speak(model, TEXTS[:1], params=params(seed=4), slot=5)
    np.testing.assert_array_equal(fresh.pcm, again.pcm)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_seed_says_the_same_twice(checkpoint: Path, cache: Path, dtype: str) -> None:
    options = ModelOptions(cache=cache, num_threads=1, dtype=dtype)  # type: ignore[arg-type]
    model = load_speech_model(checkpoint, options)
    one, other = (speak(model, TEXTS[:2], params=params(seed=11)).pcm for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_int8_layers_speak_too(checkpoint: Path, cache: Path) -> None:
    options = ModelOptions(cache=cache, num_threads=1)
    exact, rough = (load_speech_model(checkpoint, replace(options, quantize=kind)) for kind in ("none", "int8"))
    first = [latents(speak(each, TEXTS[:1], params=params(seed=1)).patches)[0] for each in (exact, rough)]
    assert 0 < np.abs(first[0] - first[1]).max() < 0.2 * np.abs(first[0]).max()


@pytest.mark.parametrize("device", ["tpu", "cuda:64", "nonsense"])
def test_a_device_that_is_not_there_is_refused(checkpoint: Path, device: str) -> None:
    with pytest.raises(ModelError, match="expected"):
        load_speech_model(checkpoint, ModelOptions(device=device))


def test_closing_in_the_middle_of_a_segment_is_no_trouble(model: VoxCPMModel) -> None:
    model.open(0, 0, "amber", params())
    model.extend(0, TEXTS[0])
    model.seal(0)
    model.submit([0])
    model.close(0)
    model.open(0, 1, "amber", params())
    model.extend(0, TEXTS[0])
    model.seal(0)
    assert finish(model, 0)[-1].last
    model.close(0)


def test_a_fault_over_one_text_is_its_own_slots(model: VoxCPMModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot, text in enumerate(("Fine.", "Fatal.")):
        model.open(slot, 0, "amber", params())
        model.extend(slot, text)
        model.seal(slot)
    encode = model._network.tokenizer.encode

    def encode_or_fail(text: str) -> list[int]:
        if "Fatal" in text:
            raise RuntimeError("a defect in the tokenizer")
        return encode(text)

    monkeypatch.setattr(model._network.tokenizer, "encode", encode_or_fail)
    results = {result.slot: result for result in model.submit([0, 1]).patches()}
    for slot in (0, 1):
        model.close(slot)
    assert isinstance(results[0], Patch)
    assert isinstance(results[1], Failure)
    assert "defect" not in results[1].message


def test_contexts_of_many_lengths_are_computed_in_few_shapes(
    model: VoxCPMModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel is made and kept for each number of rows: a long text would fill memory with them."""
    rows: set[int] = set()
    forward = Backbone.forward

    def counted(self: Backbone, x: torch.Tensor, spans: Sequence[Span], adapters: torch.Tensor | None) -> torch.Tensor:
        rows.add(len(x))
        return forward(self, x, spans, adapters)

    monkeypatch.setattr(Backbone, "forward", counted)
    for num_letters in range(1, 60):
        speak(model, ["a" * num_letters], params=params(max_len=1))
    assert len(rows) <= 4
