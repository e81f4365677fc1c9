"""Who gets in: the key and the origin."""

from __future__ import annotations

import httpx
import pytest
import websockets
from pydantic import SecretStr
from websockets.asyncio.client import connect

from streaming_server.auth import Doorkeeper
from streaming_server.settings import Config
from tests.streaming_server.serving import connected, greeted, serving

KEY = "s3cret-key"


async def test_a_client_with_the_key_gets_in() -> None:
    async with serving(api_key=KEY) as server, greeted(server, token=KEY) as wire:
        assert (await wire.speak("u1", "Hello."))[-1]["reason"] == "end"


@pytest.mark.parametrize("hello", [{}, {"token": "wrong"}, {"token": KEY + "x"}, {"token": "ключ"}])
async def test_a_client_without_the_key_is_turned_away(hello: dict[str, str]) -> None:
    async with serving(api_key=KEY) as server, await connected(server) as wire:
        await wire.send("hello", **hello)
        assert await wire.close_code() == 1008
        assert wire.received[-1]["code"] == "unauthorized"
        assert KEY not in wire.received[-1]["message"]


async def test_the_key_may_come_as_a_bearer_header() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        serving(api_key=KEY) as server,
        await connected(server, additional_headers=headers) as wire,
        httpx.AsyncClient(base_url=server.http_url) as http,
    ):
        await wire.send("hello")
        assert (await wire.receive())["type"] == "ready"
        for path in ("/v1/voices", "/v1/models", "/metrics"):
            assert (await http.get(path)).status_code == 401
            assert (await http.get(path, headers=headers)).status_code == 200
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"])
async def test_a_foreign_page_is_refused_before_the_upgrade(origin: str) -> None:
    async with serving() as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(server.stream_url, origin=websockets.Origin(origin))
        assert refused.value.response.status_code == 403


async def test_our_own_page_and_a_listed_one_get_in() -> None:
    async with serving(allowed_origins=["https://app.example"]) as server:
        for origin in (server.http_url, "https://app.example"):
            async with await connected(server, origin=websockets.Origin(origin)) as wire:
                await wire.send("hello")
                assert (await wire.receive())["type"] == "ready"


async def test_a_page_whose_name_was_made_to_lead_here_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        host = f"evil.example:{server.port}"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(
                f"ws://{host}/v1/stream",
                host="127.0.0.1",
                port=server.port,
                origin=websockets.Origin(f"http://{host}"),
                proxy=None,
            )
        assert refused.value.response.status_code == 403
        assert f"--allowed-origins http://{host}" in caplog.text


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://127.0.0.1:6006", "127.0.0.1:6006", True),
        ("http://localhost:6006", "localhost:6006", True),
        ("http://[::1]:6006", "[::1]:6006", True),
        ("https://192.168.1.5", "192.168.1.5", True),
        ("https://voice.example", "voice.example", False),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", "localhost.evil.example", False),
        ("http://[::1", "[::1", False),
        ("http://voice.example.evil", "voice.example", False),
        ("http://evil-voice.example", "voice.example", False),
        ("http://voice.example@evil", "voice.example", False),
        ("http://voice.example:81", "voice.example", False),
        ("file://", "voice.example", False),
        ("null", "null", False),
        ("", "", False),
    ],
)
def test_an_origin_must_be_the_servers_own(origin: str, host: str, allowed: bool) -> None:
    assert Doorkeeper(Config()).allows_origin({"origin": origin, "host": host}) is allowed


@pytest.mark.parametrize(
    "config",
    [
        Config(api_key=SecretStr(KEY)),
        Config(host="0.0.0.0", api_key=SecretStr(KEY)),
        Config(allowed_origins=("https://voice.example",)),
    ],
)
def test_a_name_will_do_where_a_key_is_asked_for_or_the_origin_is_listed(config: Config) -> None:
    assert Doorkeeper(config).allows_origin({"origin": "https://voice.example", "host": "voice.example"})


async def test_each_of_several_keys_opens_and_nobody_comes_back_with_another() -> None:
    async with serving(api_key="first\nsecond") as server:
        async with await connected(server) as wire:
            await wire.send("hello", version=1, token="first")
            ready = await wire.receive()
            wire.socket.transport.abort()
        resume = {"session": ready["session"], "token": ready["resume_token"]}
        for key, answer in (("second", "error"), ("first", "ready")):
            async with await connected(server) as wire:
                await wire.send("hello", version=1, token=key, resume=resume)
                assert (await wire.receive())["type"] == answer
