"""A voice of one's own for a small VoxCPM with random weights, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import SHAPES
from bench.checkpoint_voices import give_default_voices
from models.base import ModelOptions
from models.registry import load_model, voice_preparation
from tests.streaming_server.learning import add, everything, http, names
from tests.streaming_server.serving import audio_of, greeted, serving


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder / "tiny", SHAPES["tiny"], seed=9)
    give_default_voices(folder / "tiny", folder / "cache")
    return folder / "tiny"


async def test_a_checkpoint_learns_a_voice_and_speaks_with_it(checkpoint: Path, tmp_path: Path) -> None:
    voices, cache = tmp_path / "voices", checkpoint.parent / "cache"
    num_cached = len(everything(cache))
    options = ModelOptions(device="cpu", num_threads=1, voices=voices, cache=cache)
    model, preparation = load_model(str(checkpoint), options), voice_preparation(str(checkpoint), options)
    async with (
        serving(model, preparation=preparation, voices_dir=voices) as server,
        http(server) as client,
        greeted(server, lead_ms=None) as wire,
    ):
        added = await add(client, language="en-GB")
        assert added.status_code == 201, added.text
        assert len(everything(cache)) == num_cached + 1, "made ready outside of the engine"
        assert (await names(client))["Anna"]
        messages = await wire.speak("u1", "Hi.", voice="Anna", seed=1)
        assert messages[-1]["reason"] == "end"
        assert len(audio_of(messages)) > 7056
        assert (await client.delete("/v1/voices/Anna")).status_code == 204
        await wire.send("start", utterance="u2", voice="Anna", text="No.", end=True)
        assert (await wire.until("error", "u2"))["code"] == "unknown_voice"
    assert everything(voices) == set()
    assert len(everything(cache)) == num_cached, "nothing that the recording could be had back from"
