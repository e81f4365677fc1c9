"""What PROTOCOL.md promises of a session: ready, after and preempt, lead, pauses, resume, JSON, HTTP."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.independent_client import Client, Message
from tests.streaming_server.serving import Server, serving
from tests.test_independent_client import CHINESE, PLAIN, assert_no_error, assert_shape, assert_whole, audio, layout

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tone() -> AsyncIterator[Server]:
    async with serving("tone") as server:
        yield server


@pytest.mark.parametrize("as_json", [False, True])
async def test_ready_tells_all_it_must(tone: Server, as_json: bool) -> None:
    client = Client(tone.stream_url, as_json=as_json)
    ready = (await client.greet(client=None, token=None, zip=1, audio={"codec": "pcm_f32le", "depth": 24})).ready
    assert_shape(ready, "ready")
    assert (ready["version"], ready["resumed"], ready["client_messages"]) == (1, False, 0)
    assert sorted(ready["unknown"]) == ["audio.depth", "zip"]
    assert (ready["audio"]["codec"], ready["audio"]["sample_rate"]) == ("pcm_f32le", ready["model"]["sample_rate"])
    assert set(ready["model"]["controls"].values()) <= {"native", "stretch", "none"}
    assert ready["resume"] in {"local", "shared"}
    assert len(ready["resume_token"]) >= 16
    assert round(ready["model"]["patch_ms"] * ready["model"]["token_rate"]) == 1000
    for nonce in ("", "ab", 7, 1.5):
        await client.put({"type": "ping", "nonce": nonce})
        assert (await client.hear("pong"))["nonce"] == nonce
    await client.put({"type": "ping"})
    assert "nonce" not in await client.hear("pong")
    await client.put({"type": "close"})
    assert await client.close_code() == 1000


async def test_a_session_typed_by_hand(tone: Server) -> None:
    lines = """{"type":"hello","version":1,"client":"by hand"}
    {"type":"start","utterance":"u1"}
    {"type":"text","utterance":"u1","text":"Hi th"}
    {"type":"text","utterance":"u1","text":"ere. It's 9"}
    {"type":"playhead","utterance":"u1","played":3,"received":0}
    {"type":"text","utterance":"u1","text":" pm."}
    {"type":"end","utterance":"u1"}
    {"type":"start","utterance":"u2","voice":"nobody","text":"Never mind.","end":true}
    {"type":"ping","nonce":"are you there"}"""
    client = Client(tone.stream_url, as_json=True)
    async with connect(tone.stream_url) as socket:
        assert not socket.protocol.extensions
        for line in lines.splitlines():
            await socket.send(line.strip())
        heard: list[Message] = []
        while not {"done", "pong"} <= {message["type"] for message in heard}:
            heard.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
        await socket.send(bytes.fromhex("82a474797065a568656c6c6fa776657273696f6e01"))
        assert json.loads(await socket.recv())["code"] == "bad_state"
        await socket.send('{"type":"close"}')
        await socket.wait_closed()
        assert socket.close_code == 1000
    assert [m["code"] for m in heard if m["type"] == "error"] == ["unknown_voice"]
    client = await Client(tone.stream_url).greet()
    same = await client.say("u1", "Hi there. It's 9 pm.")
    assert [m["spoken"] for m in heard if m["type"] == "segment"] == [m["spoken"] for m in same.segments]
    assert sum(m["samples"] for m in heard if m["type"] == "audio") == same.samples


async def test_after_waits_and_preempt_does_not(tone: Server) -> None:
    client = await Client(tone.stream_url, listens=True).greet(lead_ms=60000)
    await client.send("start", "first", text=PLAIN, end=True)
    jobs = [client.say("second", PLAIN, after="first"), client.say("third", CHINESE, after="second")]
    for utterance in await asyncio.gather(*jobs):
        assert_whole(utterance)
    assert_whole(await client.say("later", CHINESE, after="first"))
    await client.send("start", "long", text=PLAIN)
    await client.send("start", "wrong", preempt=True, voice="nobody")
    assert (await client.end_of("wrong")).refused["code"] == "unknown_voice"
    assert not client.utterances["long"].over
    await client.send("start", "waits", text=PLAIN, after="long")
    assert_whole(await client.say("urgent", CHINESE, preempt=True))
    for id in ("long", "waits"):
        assert_whole(await client.end_of(id), "cancelled")
        await client.put({"type": "text", "utterance": id, "text": "Late."})
        await client.put({"type": "playhead", "utterance": id, "played": 1})
    await client.put({"type": "end", "utterance": "wrong"})
    await assert_no_error(client)


async def test_after_a_refused_one_plays_at_once(tone: Server) -> None:
    client = await Client(tone.stream_url).greet()
    await client.send("start", "refused", voice="nobody")
    assert_whole(await client.say("next", "So be it.", after="refused"))


async def test_the_lead_is_kept_and_the_clock_stops(tone: Server) -> None:
    client = await Client(tone.stream_url).greet(lead_ms=600)
    await client.send("start", "u", text=PLAIN * 3)
    u = client.utterances["u"]
    await client.when(lambda: u.samples > 0)
    begun = asyncio.get_running_loop().time()
    while (elapsed := asyncio.get_running_loop().time() - begun) < 1:
        assert u.samples / 44.1 < 1000 * elapsed + 600 + 160 + 1000, "the machine may have been busy as it began"
        await asyncio.sleep(0.05)
    await client.when(lambda: u.samples / 44.1 > 1000)
    await client.put({"type": "playhead", "utterance": "u", "played": 0, "paused": True})
    await client.put({"type": "ping", "nonce": 1})
    await client.hear("pong")
    await asyncio.sleep(0.2)
    stopped = u.samples
    await asyncio.sleep(0.5)
    assert u.samples == stopped
    await client.put({"type": "playhead", "utterance": "u", "played": stopped, "received": u.next_seq, "paused": False})
    await client.when(lambda: u.samples > stopped + 400 * 44.1)
    await client.put({"type": "cancel", "utterance": "u"})
    assert_whole(await client.end_of("u"), "cancelled")
    background = await Client(tone.stream_url).greet(lead_ms=None)
    assert_whole(await background.say("u", PLAIN))


async def test_the_writers_pause_speaks_what_is_buffered(tone: Server) -> None:
    client = await Client(tone.stream_url).greet()
    await client.send("start", "u", text="No full stop ", audio={"sample_rate": 16000})
    u = client.utterances["u"]
    await client.when(lambda: bool(u.segments) and bool(u.samples))
    assert u.segments[0]["text_end"] == len("No full stop")
    await asyncio.sleep(0.3)
    await client.send("text", "u", text=", but an end.")
    await client.send("end", "u")
    assert_whole(await client.end_of("u"))
    assert len(u.runs) == 2, "expected a format after the pause"
    assert {key: u.runs[0].audio[key] for key in u.runs[0].audio} == u.runs[1].audio


async def test_a_lost_session_comes_back_or_is_told_that_it_cannot(tone: Server) -> None:
    client = await Client(tone.stream_url).greet()
    await client.put({"type": "close"})
    await client.close_code()
    await client.resume()
    assert (await client.hear("error"))["code"] == "resume_failed"
    assert (client.ready["resumed"], client.ready["client_messages"]) == (False, 0)
    assert client.ready["limits"]["resume_ms"] > 0
    whole = await client.say("whole", PLAIN + CHINESE, seed=1)
    dice, client = random.Random(3), await Client(tone.stream_url).greet(lead_ms=60000)
    for id in ("a", "b"):
        await client.send("start", id, seed=1)
    rest = dict.fromkeys("ab", PLAIN + CHINESE)
    while any(rest.values()):
        for id in "ab":
            cut = dice.randrange(1, 30)
            await client.send("text", id, text=rest[id][:cut])
            rest[id] = rest[id][cut:]
            await asyncio.sleep(dice.choice((0, 0, 0.02)))
        if dice.random() < 0.4:
            client.socket.transport.abort()
            await client.close_code()
            await client.resume(lead_ms=60000)
            assert client.ready["resumed"]
    for id in "ab":
        await client.send("end", id)
        assert_whole(await client.end_of(id))
        assert layout(client.utterances[id]) == layout(whole)
        assert audio(client.utterances[id]) == audio(whole)


async def test_http_stands_beside_it(tone: Server) -> None:
    def get(path: str) -> tuple[int, str]:
        with urllib.request.urlopen(tone.http_url + path) as answer:
            return answer.status, answer.read().decode()

    for path in ("/", "/healthz", "/readyz", "/metrics", "/v1/voices", "/v1/models"):
        status, body = await asyncio.to_thread(get, path)
        assert status == 200
        assert '"tone"' in body or not path.startswith("/v1")


async def test_a_server_that_goes_away_says_1001() -> None:
    async with serving("tone") as server:
        client = await Client(server.stream_url).greet()
        await client.send("start", "u", text=PLAIN)
        await client.when(lambda: client.utterances["u"].samples > 0)
    assert await client.close_code() == 1001


async def test_the_writers_pause_speaks_a_word_without_its_space(tone: Server) -> None:
    client = await Client(tone.stream_url).greet()
    await client.send("start", "u", text="One")
    await client.when(lambda: bool(client.utterances["u"].segments))
