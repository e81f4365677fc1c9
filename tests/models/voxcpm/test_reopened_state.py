"""What a slot holds that is opened again after a loss: the same as one that was never lost, but for rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import TINY
from bench.checkpoint_voices import give_default_voices
from models.base import History, ModelOptions, Patch, Pcm, SpeechParams
from models.engine import Continuity, Spoke
from models.engine.batch import Batch
from models.engine.runner import Launch
from models.stretch import StretchedModel
from models.voxcpm.model import VoxCPMModel, load_speech_model
from tests.models.speaking import speak

TEXTS = ("Hello there, you.", " And so on it goes.", " \n", " 你好世界。")
"""One of them has nothing to say."""

PARAMS = SpeechParams(seed=5, knobs={"max_len": 8})
ROUNDING = 2e-5
"""Of values up to 8: sums over a whole context at once and over one token after the other, in float32."""

MIN_FIRST_DB, MIN_DB = 90.0, 75.0
"""How far the difference lies below the speech: in the first patch, and in any after it."""

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> VoxCPMModel:
    folder = tmp_path_factory.mktemp("reopened")
    write_checkpoint(folder / "tiny", TINY, seed=4, never_stop=True)
    give_default_voices(folder / "tiny", folder / "cache")
    return load_speech_model(folder / "tiny", ModelOptions(cache=folder / "cache", num_threads=1, context_s=2.0))


class Speech:
    """A slot that speaks the texts from a history on: its patches, and what it holds after each."""

    def __init__(self, model: VoxCPMModel, slot: int, history: History, params: SpeechParams = PARAMS) -> None:
        self.patches: list[Patch] = []
        self.states: list[State] = []
        model.open(slot, 1, "amber", params, history)
        for text in TEXTS[history.segment :]:
            model.extend(slot, text)
            model.seal(slot)
            while True:
                (patch,) = model.submit([slot]).patches()
                assert isinstance(patch, Patch)
                self.patches.append(patch)
                self.states.append(state(model, slot) if len(patch.pcm) else {})
                if patch.last:
                    break
        model.close(slot)


def state(model: VoxCPMModel, slot: int) -> State:
    """All from which the next patch is made."""
    network, kept, spoken = model._network, model._machinery.workshop.state, model._slots[slot]
    position = spoken.token_position + 1
    stacks = {"base": network._base_lm, "residual": network._residual_lm}
    lm = {
        f"{name} {what}": (stack._keys if what == "keys" else stack._values)[:, slot, :, : position - 1].clone()
        for name, stack in stacks.items()
        for what in ("keys", "values")
    }
    return {
        **lm,
        "position": torch.tensor(position),
        "follows audio": torch.tensor(spoken.follows_audio),
        "token": kept.token[slot].clone(),
        "condition": kept.before[slot].clone(),
        "segment as tokens": kept.spoken[slot, : spoken.num_made].clone(),
        "codec": kept.decoder.memory(slot),
    }


def history(patches: list[Patch], num_heard: int) -> History:
    continuity = Continuity()
    for text in TEXTS:
        continuity.say(text)
    for each in patches[:num_heard]:
        pcm = each.pcm.tobytes()
        continuity.take(Spoke("key", each.segment, each.index, pcm, each.words, each.latents, each.last))
    return continuity.history


def below_db(ours: Pcm, theirs: Pcm) -> float:
    difference = np.mean((ours.astype(float) - theirs) ** 2)
    return float(10 * np.log10(np.mean(theirs.astype(float) ** 2) / max(difference, 1e-9)))


@pytest.fixture(scope="module")
def undisturbed(model: VoxCPMModel) -> Speech:
    return Speech(model, 0, History())


@pytest.mark.parametrize("num_heard", [1, 7, 8, 9, 17, 18])
def test_a_slot_opened_again_holds_what_one_never_lost_does(
    model: VoxCPMModel, undisturbed: Speech, num_heard: int
) -> None:
    again = Speech(model, 6, history(undisturbed.patches, num_heard))
    expected = undisturbed.patches[num_heard:]
    assert [(each.segment, each.index, len(each.pcm), each.last) for each in again.patches] == [
        (each.segment, each.index, len(each.pcm), each.last) for each in expected
    ]
    for name, theirs in undisturbed.states[num_heard].items():
        ours = again.states[0][name]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING, msg=lambda why, what=name: f"{what}: {why}")
    heard = [(each.pcm, whole.pcm) for each, whole in zip(again.patches, expected, strict=True) if len(whole.pcm)]
    assert below_db(*heard[0]) >= MIN_FIRST_DB, "no click at the join"
    assert min(below_db(*each) for each in heard) >= MIN_DB


def test_what_was_heard_is_read_as_it_was_and_not_made_again(
    model: VoxCPMModel, undisturbed: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Speech(model, 0, History(), replace(PARAMS, seed=6)).patches
    launched: list[str] = []
    launch = model.runner.launch

    def noted(program: str, batch: Batch, num_rows: int) -> Launch:
        launched.append(program)
        return launch(program, batch, num_rows)

    monkeypatch.setattr(model.runner, "launch", noted)
    again = Speech(model, 6, history(others, 5))  # heard of another seed
    assert launched.count("decode") == sum(len(each.pcm) > 0 for each in again.patches)
    assert launched[: launched.index("decode")].count("prefill") == 1
    tokens, made = again.states[0]["segment as tokens"], again.patches[0]
    latents = [*others[:5], made]
    patches = torch.stack([torch.frombuffer(bytearray(each.latents), dtype=torch.float32) for each in latents])
    with torch.inference_mode():
        read = model._network.embed_patches(patches.view(len(latents), *again.states[0]["condition"].shape))
    torch.testing.assert_close(tokens, read, rtol=0, atol=ROUNDING)
    assert below_db(made.pcm, undisturbed.patches[5].pcm) < 20, "it goes on from what was heard"


def test_a_stretched_segment_without_sound_leaves_nothing_either(model: VoxCPMModel) -> None:
    whole = speak(StretchedModel(model), TEXTS, params=replace(PARAMS, speed=1.5)).patches
    assert [each.segment for each in whole if not each.latents] == [TEXTS.index(" \n")]
