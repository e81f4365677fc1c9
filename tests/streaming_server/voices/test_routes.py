"""`/v1/voices`: a voice comes, is spoken with at once, and goes."""

from __future__ import annotations

import asyncio
import shutil
import tomllib
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from models.tone import tone_samples
from tests.streaming_server.learning import (
    RATE_HZ,
    TRANSCRIPT,
    add,
    everything,
    http,
    learning,
    names,
    sound_file,
    speech,
    top_of,
)
from tests.streaming_server.learning_tone import prints
from tests.streaming_server.serving import audio_of, connected, greeted, serving


async def test_listing_says_what_may_be_added_and_removed(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        listing = (await client.get("/v1/voices")).json()
    assert listing["can_add"] is True
    assert listing["limits"] == {"bytes": 10_485_760, "seconds": 30.0}
    assert listing["adapters"] == ["soft", "hard"]
    assert listing["default"] == "tone"
    assert [(voice["name"], voice["removable"]) for voice in listing["voices"]] == [("tone", False)]


async def test_an_added_voice_speaks_at_once_and_lies_in_its_folder(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client, greeted(server) as wire:
        added = await add(client, gender="female", description="soft")
        assert added.status_code == 201, added.text
        told = {"name": "Anna", "language": "en", "gender": "female", "description": "soft", "removable": True}
        assert added.json() == told
        assert await names(client) == {"tone": False, "Anna": True}
        messages = await wire.speak("u1", "Hello.", voice="Anna", seed=3)
        assert messages[0]["voice"] == "Anna"
        np.testing.assert_array_equal(np.frombuffer(audio_of(messages), "<i2")[:7056], tone_samples(3, 0, 7056))
    assert everything(tmp_path) == {"Anna", "Anna/voice.toml", "Anna/prompt.wav"}
    written = tomllib.loads((tmp_path / "Anna" / "voice.toml").read_text())
    assert written["transcript"] == TRANSCRIPT
    assert written["consent"] == "Anna agrees."
    samples, rate_hz = soundfile.read(tmp_path / "Anna" / "prompt.wav", dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(samples, speech(), atol=2e-4)


async def test_recordings_come_in_any_usual_format(tmp_path: Path) -> None:
    forms = {
        "wave 16": ("WAV", "PCM_16", 48_000),
        "wave float": ("WAV", "FLOAT", 44_100),
        "wave 24": ("WAVEX", "PCM_24", 44_100),
        "flac": ("FLAC", None, 16_000),
        "vorbis": ("OGG", "VORBIS", 44_100),
        "opus": ("OGG", "OPUS", 48_000),
        "mp3": ("MP3", None, 44_100),
        "studio": ("FLAC", "PCM_24", 192_000),
    }
    async with learning(tmp_path) as server, http(server) as client:
        for name, (format, subtype, rate_hz) in forms.items():
            stereo = np.stack([speech(rate_hz=rate_hz, peak=0.4)] * 2, axis=1)
            data = sound_file(stereo, rate_hz=rate_hz, format=format, subtype=subtype)
            added = await add(client, data, name=name)
            assert added.status_code == 201, (name, added.text)
    for name, (_, _, rate_hz) in forms.items():
        info = soundfile.info(tmp_path / name / "prompt.wav")
        assert (info.channels, info.samplerate, info.subtype) == (1, min(rate_hz, 48_000), "PCM_16")
        assert abs(info.duration - 3.0) < 0.05


async def test_a_ticked_consent_is_written_out(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        assert (await add(client, consent="true")).status_code == 201
    assert "The uploader declared that the speaker agrees, 20" in (tmp_path / "Anna" / "voice.toml").read_text()


async def test_a_voice_names_its_adapter(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        assert (await add(client, adapter="hard")).status_code == 201
    assert tomllib.loads((tmp_path / "Anna" / "voice.toml").read_text())["adapter"] == "hard"


async def test_a_voice_can_be_chinese(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        added = await add(client, name="小明", language="zh-CN", transcript="今天天气很好，我们一起去公园散步吧。")
        assert added.status_code == 201, added.text
        assert (await client.delete("/v1/voices/小明")).status_code == 204
    assert everything(tmp_path) == set()


async def test_a_removed_voice_speaks_to_its_end_and_is_then_unknown(tmp_path: Path) -> None:
    text = "This is spoken while the voice is removed."
    async with learning(tmp_path) as server, http(server) as client, greeted(server) as wire:
        await add(client)
        await wire.send("start", utterance="u1", voice="Anna", seed=5)
        await wire.send("text", utterance="u1", text=text)
        await wire.send("flush", utterance="u1")
        await wire.until("audio", "u1")
        assert (await client.delete("/v1/voices/Anna")).status_code == 204
        assert await names(client) == {"tone": False}
        await wire.send("start", utterance="u2", voice="Anna", text="No.", end=True)
        refused = await wire.until("error", "u2")
        assert refused["code"] == "unknown_voice"
        await wire.send("text", utterance="u1", text=" And it goes on.")
        await wire.send("end", utterance="u1")
        done = await wire.until("done", "u1")
    assert done["reason"] == "end"
    heard = [message for message in wire.received if message.get("utterance") == "u1"]
    pcm = np.frombuffer(audio_of(heard), "<i2")
    np.testing.assert_array_equal(pcm, tone_samples(5, 0, len(pcm)))
    assert done["text_chars"] == len(text) + len(" And it goes on.")
    assert everything(tmp_path) == set()


async def test_what_was_not_added_is_not_removed(tmp_path: Path) -> None:
    voices = tmp_path / "voices"
    (tmp_path / "precious").mkdir()
    unknown = ("Nobody", "", "anna", "%2E%2E", "..%2Fprecious", "%2e%2e%2f%2e%2e%2fetc", "Anna%00", "x" * 5000)
    async with learning(voices) as server, http(server) as client:
        await add(client)
        for name in (*unknown, "tone"):
            refused = await client.delete(httpx.URL(f"{server.http_url}/v1/voices/{name}"))
            told = (409, "not_removable") if name == "tone" else (404, "unknown_voice")
            assert (name, refused.status_code, refused.json()["error"]["code"]) == (name, *told)
    assert everything(tmp_path) >= {"precious", "voices/Anna/prompt.wav"}


async def test_the_servers_default_voice_stays(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        await add(client)
    async with learning(tmp_path, voice="Anna") as server, http(server) as client:
        assert await names(client) == {"tone": False, "Anna": False}
        refused = await client.delete("/v1/voices/Anna")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_removable")
        assert "its default" in refused.json()["error"]["message"]


async def test_a_voice_that_is_broken_on_disk_can_still_be_removed(tmp_path: Path) -> None:
    (tmp_path / "Torn").mkdir()
    async with learning(tmp_path) as server, http(server) as client:
        assert (await client.delete("/v1/voices/Torn")).status_code == 204
    assert everything(tmp_path) == set()


async def test_a_folder_called_as_a_voice_of_the_models_makes_that_not_removable(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        await add(client)
    (tmp_path / "Anna").rename(tmp_path / "tone")
    toml = tmp_path / "tone" / "voice.toml"
    toml.write_text(toml.read_text().replace("Anna", "tone"))
    async with learning(tmp_path) as server, http(server) as client:
        assert await names(client) == {"tone": False}
        refused = await client.delete("/v1/voices/tone")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_removable")
    assert everything(tmp_path) == {"tone", "tone/voice.toml", "tone/prompt.wav"}


async def test_a_voice_whose_folder_was_deleted_is_found_gone_when_it_is_removed(tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        await add(client)
        shutil.rmtree(tmp_path / "Anna")
        assert await names(client) == {"tone": False, "Anna": True}
        refused = await client.delete("/v1/voices/Anna")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_voice")
        assert await names(client) == {"tone": False}


async def test_a_model_that_learns_no_voices_says_so(tmp_path: Path) -> None:
    async with serving("tone", voices_dir=tmp_path) as server, http(server) as client:
        assert (await client.get("/v1/voices")).json()["can_add"] is False
        refused = await add(client)
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "not_supported")
        assert refused.json()["error"]["message"] == "The model tone has no voices to add to."
        assert (await client.delete("/v1/voices/tone")).status_code == 409
    assert everything(tmp_path) == set()


async def test_adding_and_removing_want_the_key(tmp_path: Path) -> None:
    async with learning(tmp_path, api_key="s3cret") as server, http(server) as client:
        for answer in (await add(client), await client.delete("/v1/voices/tone"), await client.get("/v1/voices")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        client.headers["authorization"] = "Bearer s3cret"
        assert (await add(client)).status_code == 201


async def test_a_foreign_page_changes_no_voices(tmp_path: Path) -> None:
    """A form is sent by any page, without the preflight that would stop it."""
    async with learning(tmp_path) as server, http(server) as client:
        client.headers["origin"] = "http://evil.example"
        for answer in (await add(client), await client.delete("/v1/voices/tone")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
        client.headers["origin"] = server.http_url
        assert (await add(client)).status_code == 201


@pytest.mark.parametrize("other", ["Anna", "ANNA"])
async def test_of_two_uploads_of_a_name_at_once_one_wins(other: str, tmp_path: Path) -> None:
    async with learning(tmp_path) as server, http(server) as client:
        answers = await asyncio.gather(add(client), add(client, name=other))
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        loser = next(answer for answer in answers if answer.status_code == 409)
        assert loser.json()["error"]["code"] == "voice_exists"
        assert len(await names(client)) == 2
    assert len(top_of(tmp_path)) == 1


async def test_two_servers_on_one_folder_give_a_name_once(tmp_path: Path) -> None:
    async with learning(tmp_path) as one, learning(tmp_path) as two, http(one) as a, http(two) as b:
        answers = await asyncio.gather(add(a), add(b))
        assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len(top_of(tmp_path)) == 1


async def test_uploads_beyond_the_bound_are_told_to_come_later(tmp_path: Path) -> None:
    slow = prints("{}", wait_s=0.2)
    async with learning(tmp_path, preparation=slow) as server, http(server) as client:
        answers = await asyncio.gather(*(add(client, name=f"Anna {number}") for number in range(6)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] * 4 + [503] * 2
        busy = next(answer for answer in answers if answer.status_code == 503)
        assert (busy.json()["error"]["code"], busy.headers["retry-after"]) == ("busy", "10")
    assert len(top_of(tmp_path)) == 4


async def test_speech_goes_on_while_a_voice_is_made(tmp_path: Path) -> None:
    async with (
        learning(tmp_path, preparation=prints("{}", wait_s=1.0)) as server,
        http(server) as client,
        await connected(server) as wire,
    ):
        adding = asyncio.create_task(add(client))
        await asyncio.sleep(0.3)
        await wire.send("hello")
        await wire.until("ready")
        assert (await wire.speak("u1", "Hi."))[-1]["reason"] == "end"
        assert not adding.done()
        assert (await adding).status_code == 201
