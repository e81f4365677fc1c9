"""An utterance that is opened again with what was heard of it goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY, TINY_V1
from bench.checkpoint_voices import give_default_voices
from models.base import History, ModelError, ModelOptions, Patch, SpeechModel, SpeechParams
from models.engine import Continuity, Spoke
from models.stretch import StretchedModel
from models.voxcpm.model import VoxCPMModel, load_speech_model
from models.voxcpm.vae_stream import StreamingDecoder
from tests.models.speaking import Spoken, finish, speak

TEXTS = ("Hello there, you.", "\n\nAnd so on  it goes.", " 你好世界。")
PARAMS = SpeechParams(seed=5, knobs={"max_len": 12})
SHORT = SpeechParams(seed=5, knobs={"max_len": 3})
"""Segments of 480 ms: the codec remembers further back than one of them."""


@pytest.fixture(scope="module", params=["v1.5 float32", "v1.5 bfloat16", "v1 float32"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VoxCPMModel:
    version, dtype = request.param.split()
    folder = tmp_path_factory.mktemp("restart")
    write_checkpoint(folder / "tiny", TINY if version == "v1.5" else TINY_V1, seed=4, never_stop=True)
    give_default_voices(folder / "tiny", folder / "cache")
    options = ModelOptions(cache=folder / "cache", num_threads=1, dtype=dtype, context_s=1.0)
    return load_speech_model(folder / "tiny", options)


@pytest.fixture(scope="module")
def whole(model: VoxCPMModel) -> Spoken:
    return speak(model, TEXTS, params=PARAMS)


def history_at(patches: Sequence[Patch], num_heard: int) -> History:
    """What is known when so many patches were heard."""
    continuity = Continuity()
    for text in TEXTS:
        continuity.say(text)
    for patch in patches[:num_heard]:
        words, raw = patch.words, patch.latents
        continuity.take(Spoke("key", patch.segment, patch.index, patch.pcm.tobytes(), words, raw, patch.last))
    return continuity.history


def reopened(model: SpeechModel, history: History, params: SpeechParams = PARAMS) -> list[Patch]:
    model.open(6, 1, "amber", params, history)
    patches: list[Patch] = []
    for text in TEXTS[history.segment :]:
        model.extend(6, text)
        model.seal(6)
        patches += finish(model, 6)
    model.close(6)
    return patches


def latents(patches: Sequence[Patch]) -> np.ndarray:
    return np.stack([np.frombuffer(patch.latents, "<f4") for patch in patches])


def is_exact(model: VoxCPMModel) -> bool:
    """Sums are rounded otherwise in a prefill than step by step. In bfloat16 that soon flips a level of the quantiser,
    after which two equally good readings part; the first patch shows whether the context was the same."""
    return model._network.dtype == torch.float32


@pytest.mark.parametrize("num_heard", [0, 1, 11, 12, 18, 24, 30])
def test_the_rest_follows_without_a_repeated_or_missing_patch(
    model: VoxCPMModel, whole: Spoken, num_heard: int
) -> None:
    rest, expected = reopened(model, history_at(whole.patches, num_heard)), whole.patches[num_heard:]
    told = [[(each.segment, each.index, len(each.pcm), each.last) for each in made] for made in (rest, expected)]
    assert told[0] == told[1]
    ours, theirs = latents(rest), latents(expected)
    np.testing.assert_allclose(ours[:1], theirs[:1], atol=1e-4 if is_exact(model) else 0.15 * np.abs(theirs[0]).max())
    if is_exact(model):
        np.testing.assert_allclose(ours[:8], theirs[:8], atol=1e-3)
        difference = rest[0].pcm.astype(int) - expected[0].pcm
        assert np.abs(difference).max() <= 3, "the codec remembers what it heard: no click at the join"


@pytest.mark.parametrize("num_heard", [1, 3, 4, 6, 7])
def test_the_codec_remembers_beyond_short_segments(model: VoxCPMModel, num_heard: int) -> None:
    patches = speak(model, TEXTS, params=SHORT).patches
    model.open(6, 1, "amber", SHORT, history_at(patches, num_heard))
    config = model._network.config
    same = torch.from_numpy(latents(patches)[num_heard].reshape(1, config.patch_size, config.feat_dim).copy())
    with torch.inference_mode():
        audio = model._machinery.workshop.state.decoder.step([6], same)[0]
    model.close(6)
    assert np.abs(np.rint(audio.numpy() * 32767) - patches[num_heard].pcm).max() <= 1


def test_a_long_segment_is_heard_again_as_far_as_the_codec_remembers(model: VoxCPMModel, whole: Spoken) -> None:
    history = history_at(whole.patches, 12)
    long = replace(history, segment=0, latents=history.before * 6, before=(), text="", index=72)
    model.open(5, 1, "amber", SpeechParams())  # from here on the voice is known
    heard: list[int] = []
    recall = model._machinery.workshop.state.decoder.recall

    def counted(slot: int, latents: torch.Tensor) -> None:
        heard.append(len(latents))
        recall(slot, latents)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StreamingDecoder, "recall", staticmethod(counted))
        model.open(6, 1, "amber", SpeechParams(), long)
    for slot in (5, 6):
        model.close(slot)
    patch_size = model._network.config.patch_size
    assert heard == [-(-model._network.decoder.history_latents // patch_size) * patch_size]


@pytest.mark.parametrize("part", ["earlier", "before", "latents"])
def test_latents_of_another_model_are_refused_and_the_slot_stays_free(model: VoxCPMModel, part: str) -> None:
    history = replace(History(segment=1, index=1, text="Hello."), **{part: (b"abc",)})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"latents of \d+ bytes were expected, but 3 came"):
        model.open(6, 1, "amber", PARAMS, history)
    assert speak(model, TEXTS[:1], params=SHORT, slot=6).patches


@pytest.mark.parametrize("speed", [0.8, 1.5])
def test_a_stretched_voice_goes_on_too(model: VoxCPMModel, speed: float) -> None:
    stretched = StretchedModel(model)
    params = replace(SHORT, speed=speed)
    patches = speak(stretched, TEXTS, params=params).patches
    for num_heard in (1, 4, 6):
        rest = reopened(stretched, history_at(patches, num_heard), params)
        assert [len(each.pcm) for each in rest] == [len(each.pcm) for each in patches[num_heard:]]
        assert [each.segment for each in rest] == [each.segment for each in patches[num_heard:]]
