"""Origins and keys over real sockets, case by case: who is let in, who is told to go, and that no log tells a key."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.streaming_server.raw_websocket import REQUEST, TEXT, frame, raw_peer
from tests.streaming_server.serving import Server, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "s3cret-key"
ABSENT = object()
LET_IN = ["ready"]
UNAUTHORIZED = ["error unauthorized", "close 1008"]
BAD_VALUE = ["error bad_value", "close 4400"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    """It has a key, so that pages of its own name may connect; and it lists one other origin."""
    async with serving("tone", api_key=KEY, allowed_origins=["https://app.example"]) as server:
        yield server


def request(*headers: bytes, query: bytes = b"") -> bytes:
    asked = REQUEST.replace(b"Host: 127.0.0.1", b"Host: voice.example").replace(b"/v1/stream", b"/v1/stream" + query)
    return asked.replace(b"\r\n\r\n", b"".join(b"\r\n" + header for header in headers) + b"\r\n\r\n")


ORIGINS = {
    "none: no page": (None, True),
    "listed": ("https://app.example", True),
    "listed, in other capitals": ("https://APP.Example", True),
    "listed, with blanks that HTTP drops": (" https://app.example ", True),
    "our own": ("https://voice.example", True),
    "our own, behind no TLS": ("http://voice.example", True),
    "null": ("null", False),
    "empty": ("", False),
    "listed, of another scheme": ("http://app.example", False),
    "listed, with its port": ("https://app.example:443", False),
    "listed, with another port": ("https://app.example:8443", False),
    "listed, as a prefix": ("https://app.example.evil.example", False),
    "listed, as a suffix": ("https://evilapp.example", False),
    "a part of the listed one": ("https://sub.app.example", False),
    "listed, with a last dot": ("https://app.example.", False),
    "listed, as a user": ("https://app.example@evil.example", False),
    "listed, with a user": ("https://evil@app.example", False),
    "listed, with a path": ("https://app.example/x", False),
    "listed, and another": ("https://app.example https://evil.example", False),
    "listed, in look-alike letters": ("https://\u0430pp.example", False),
    "listed, without a scheme": ("app.example", False),
    "our own, with another port": ("https://voice.example:81", False),
    "our own, as a prefix": ("https://voice.example.evil.example", False),
    "our own, as a suffix": ("https://evil-voice.example", False),
    "our own, with a user": ("https://evil@voice.example", False),
    "our own, of another scheme": ("ftp://voice.example", False),
    "this machine": ("http://127.0.0.1", False),
    "a file": ("file://", False),
    "an extension": ("chrome-extension://abcdefgh", False),
    "a script": ("javascript:alert(1)", False),
    "no address": ("http://[::1", False),
    "very long": ("https://" + "a" * 5000 + ".example", False),
}


@pytest.mark.parametrize("name", ORIGINS)
async def test_only_pages_of_ours_and_of_the_list_connect(server: Server, name: str) -> None:
    origin, is_let_in = ORIGINS[name]
    headers = [] if origin is None else [b"Origin: " + origin.encode()]
    async with raw_peer(server.port, request(*headers)) as peer:
        assert await peer.status() == (101 if is_let_in else 403)


TOKENS: dict[str, tuple[Any, list[str]]] = {
    "the key": (KEY, LET_IN),
    "none": (ABSENT, UNAUTHORIZED),
    "null": (None, UNAUTHORIZED),
    "another": ("another", UNAUTHORIZED),
    "the key and more": (KEY + "x", UNAUTHORIZED),
    "the key but its end": (KEY[:-1], UNAUTHORIZED),
    "the key in capitals": (KEY.upper(), UNAUTHORIZED),
    "a blank before the key": (" " + KEY, UNAUTHORIZED),
    "letters of another script": ("ключ", UNAUTHORIZED),
    "the key with an accent": (KEY + "\u0301", UNAUTHORIZED),
    "the key in wide letters": ("".join(chr(ord(c) + 0xFEE0) for c in KEY), UNAUTHORIZED),
    "as long as may be": ("x" * 4096, UNAUTHORIZED),
    "too long": ("x" * 4097, BAD_VALUE),
    "empty": ("", BAD_VALUE),
    "the key and a NUL": (KEY + "\0", BAD_VALUE),
    "the key and a line's end": (KEY + "\n", BAD_VALUE),
    "half a character": (KEY + "\ud800", BAD_VALUE),
    "a number": (7, BAD_VALUE),
    "true": (True, BAD_VALUE),
    "the key in a list": ([KEY], BAD_VALUE),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_only_the_key_opens(server: Server, name: str) -> None:
    token, heard = TOKENS[name]
    await assert_answer(server, request(), token, heard)


BEARERS = {
    "the key": (b"Bearer " + KEY.encode(), ABSENT, LET_IN),
    "the key, in small letters": (b"bearer " + KEY.encode(), ABSENT, LET_IN),
    "the key, after two blanks": (b"Bearer  " + KEY.encode(), ABSENT, LET_IN),
    "the key, and another as a token": (b"Bearer " + KEY.encode(), "another", LET_IN),
    "another, and the key as a token": (b"Bearer another", KEY, LET_IN),
    "another": (b"Bearer another", ABSENT, UNAUTHORIZED),
    "nothing": (b"Bearer", ABSENT, UNAUTHORIZED),
    "the key alone": (KEY.encode(), ABSENT, UNAUTHORIZED),
    "the key as a password": (b"Basic " + base64.b64encode(b"user:" + KEY.encode()), ABSENT, UNAUTHORIZED),
    "letters that are no ASCII": ("Bearer ключ".encode(), ABSENT, UNAUTHORIZED),
}


@pytest.mark.parametrize("name", BEARERS)
async def test_the_key_may_come_in_a_header(server: Server, name: str) -> None:
    header, token, heard = BEARERS[name]
    await assert_answer(server, request(b"Authorization: " + header), token, heard)


async def test_a_key_does_not_make_a_foreign_page_welcome(server: Server) -> None:
    foreign = request(b"Origin: https://evil.example", b"Authorization: Bearer " + KEY.encode())
    async with raw_peer(server.port, foreign) as peer:
        assert await peer.status() == 403
    await assert_answer(server, request(b"Origin: https://app.example"), ABSENT, UNAUTHORIZED)


async def test_a_key_in_the_address_opens_nothing_and_no_log_tells_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="streaming_server"):
        in_address = request(query=b"?token=" + KEY.encode())
        await assert_answer(server, in_address, ABSENT, UNAUTHORIZED)
        await assert_answer(server, request(b"Authorization: Bearer " + KEY.encode()), KEY, LET_IN)
        await assert_answer(server, request(), KEY + "x", UNAUTHORIZED)
    assert KEY not in caplog.text


async def assert_answer(server: Server, asked: bytes, token: Any, expected: list[str]) -> None:
    """What a `hello` hears, on a connection that is let in."""
    hello = {"type": "hello"} | ({} if token is ABSENT else {"token": token})
    async with raw_peer(server.port, asked) as peer:
        assert await peer.status() == 101
        await peer.write(frame(TEXT, json.dumps(hello).encode()))
        assert await peer.heard(last=expected[-1]) == expected
