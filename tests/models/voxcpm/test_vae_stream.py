"""Streaming decode: however it is cut and whoever else speaks, a stream sounds as if decoded in one piece."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.voxcpm.vae import AudioVaeDecoder
from models.voxcpm.vae_stream import StreamingDecoder

from .vae_reference import V1, V15, Tensors, random_codec, reference_decode

NUM_LATENTS = 40
TOLERANCE = 1e-5

V15_NARROW = dataclasses.replace(V15, decoder_dim=32, latent_dim=8)
V1_NARROW = dataclasses.replace(V1, decoder_dim=16, latent_dim=8)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A decoder, eight utterances and how they sound."""

    decoder: AudioVaeDecoder
    latents: Tensor  # [8, NUM_LATENTS, feat]
    audio: Tensor  # [8, NUM_LATENTS * hop], by the plain formulation

    @property
    def hop(self) -> int:
        return self.decoder.config.hop_samples


@pytest.fixture(scope="module", params=[V1_NARROW, V15_NARROW], ids=["v1", "v1.5"])
def stage(request: pytest.FixtureRequest) -> Stage:
    config = request.param
    tensors: Tensors = random_codec(config, seed=3)
    latents = torch.randn(8, NUM_LATENTS, config.latent_dim, generator=torch.Generator().manual_seed(4))
    return Stage(AudioVaeDecoder(config, tensors), latents, reference_decode(tensors, config, latents))


def assert_sounds(audio: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(audio, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("chunk", range(1, 17))
def test_stream_in_equal_chunks_sounds_as_decoded_in_one_piece(stage: Stage, chunk: int) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=2)
    pieces = [stream.step([1], piece) for piece in stage.latents[:1].split(chunk, dim=1)]
    assert [piece.shape[1] for piece in pieces[:-1]] == [chunk * stage.hop] * (len(pieces) - 1)
    assert_sounds(torch.cat(pieces, 1), stage.audio[:1])


@settings(max_examples=15, deadline=None)
@given(chunks=st.lists(st.integers(1, 16), min_size=2, max_size=8))
def test_stream_in_any_chunks_sounds_as_decoded_in_one_piece(stage: Stage, chunks: list[int]) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=1)
    done, audio = 0, []
    for chunk in (min(chunk, NUM_LATENTS) for chunk in chunks):
        piece = stage.latents[:1, done : done + chunk]
        if piece.shape[1]:
            audio.append(stream.step([0], piece))
        done += piece.shape[1]
    assert_sounds(torch.cat(audio, 1), stage.audio[:1, : done * stage.hop])


@settings(max_examples=12, deadline=None)
@given(data=st.data(), num_streams=st.sampled_from([2, 7]))
def test_interleaved_streams_each_sound_as_if_alone(stage: Stage, data: st.DataObject, num_streams: int) -> None:
    """Each step takes any of the streams, in any order; those that are left out wait."""
    slots = data.draw(st.permutations(range(8)))[:num_streams]
    stream = StreamingDecoder(stage.decoder, num_slots=8)
    done = [0] * num_streams
    heard: list[list[Tensor]] = [[] for _ in range(num_streams)]
    for _ in range(6):
        chosen = data.draw(st.lists(st.integers(0, num_streams - 1), min_size=1, unique=True))
        chunk = data.draw(st.integers(1, 6))
        latents = torch.stack([stage.latents[i, done[i] : done[i] + chunk] for i in chosen])
        for i, audio in zip(chosen, stream.step([slots[i] for i in chosen], latents), strict=True):
            heard[i].append(audio)
            done[i] += chunk
    for i in range(num_streams):
        if heard[i]:
            assert_sounds(torch.cat(heard[i]), stage.audio[i, : done[i] * stage.hop])


def test_slots_may_come_as_a_tensor(stage: Stage) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=8)
    audio = stream.step(torch.tensor([6, 2]), stage.latents[:2])
    assert_sounds(audio, stage.audio[:2])


def test_rows_that_only_fill_a_step_up_share_the_scratch_slot(stage: Stage) -> None:
    """Whatever they hold, numbers or none."""
    stream = StreamingDecoder(stage.decoder, num_slots=2)
    filler = torch.full_like(stage.latents[0], torch.nan)
    rows = torch.stack([filler, stage.latents[0], filler, stage.latents[1], stage.latents[2]])
    slots = torch.tensor([2, 1, 2, 0, 2])
    audio = torch.cat([stream.step(slots, piece) for piece in rows.split([3, NUM_LATENTS - 3], 1)], 1)
    assert_sounds(audio[[1, 3]], stage.audio[:2])


def test_a_slot_starts_clean_after_reset_and_its_neighbour_goes_on(stage: Stage) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=2)
    stream.step([0, 1], stage.latents[:2, :9])
    stream.reset(0)
    assert_sounds(stream.step([0], stage.latents[3:4]), stage.audio[3:4])
    assert_sounds(stream.step([1], stage.latents[1:2, 9:]), stage.audio[1:2, 9 * stage.hop :])


def test_step_leaves_its_latents_and_the_audio_of_earlier_steps_alone(stage: Stage) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=1)
    latents = stage.latents[:1].clone()
    first = stream.step([0], latents[:, :5])
    kept = first.clone()
    stream.step([0], latents[:, 5:])
    assert torch.equal(first, kept)
    assert torch.equal(latents, stage.latents[:1])


def test_a_slot_that_recalls_the_last_latents_goes_on_as_if_never_interrupted(stage: Stage) -> None:
    history = stage.decoder.history_latents
    stream = StreamingDecoder(stage.decoder, num_slots=3)
    stream.step([2], stage.latents[5:6])  # of somebody else
    stream.recall(2, stage.latents[0, 30 - history : 30])
    assert_sounds(stream.step([2], stage.latents[:1, 30:]), stage.audio[:1, 30 * stage.hop :])


def test_a_memory_starts_any_slot_any_number_of_times_from_the_same_history(stage: Stage) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=3)
    stream.recall(0, stage.latents[0, :12])
    memory = stream.memory(0)
    kept = memory.clone()
    for slot in (0, 2, 2):
        stream.step([slot], stage.latents[4:5])
        stream.restore(slot, memory)
        assert_sounds(stream.step([slot], stage.latents[:1, 12:]), stage.audio[:1, 12 * stage.hop :])
    assert torch.equal(memory, kept)


@pytest.mark.parametrize("num_latents", [1, 3, 12, 21, 22, 30])
def test_what_is_recalled_is_what_was_heard(stage: Stage, num_latents: int) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=1)
    stream.step([0], stage.latents[:1, :num_latents])
    heard = stream.memory(0)
    stream.recall(0, stage.latents[0, :num_latents])
    torch.testing.assert_close(stream.memory(0), heard, rtol=0, atol=2e-5)


def test_of_a_long_history_only_its_end_is_heard_again(stage: Stage) -> None:
    stream = StreamingDecoder(stage.decoder, num_slots=1)
    history = stage.latents[0, :30].clone()
    history[: 30 - stage.decoder.history_latents] = torch.nan
    stream.recall(0, history)
    assert_sounds(stream.step([0], stage.latents[:1, 30:]), stage.audio[:1, 30 * stage.hop :])


def test_a_slot_that_recalls_half_of_the_history_would_be_heard(stage: Stage) -> None:
    """The measure above is not vacuous: what is older than that does sound."""
    stream = StreamingDecoder(stage.decoder, num_slots=1)
    stream.recall(0, stage.latents[0, 30 - stage.decoder.history_latents // 2 : 30])
    audio = stream.step([0], stage.latents[:1, 30:])
    assert (audio - stage.audio[:1, 30 * stage.hop :]).abs().max() > 1e-3
