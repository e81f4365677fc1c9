"""What one address may ask of the door, and whose word counts for an address."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from typing import Any

import pytest
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from streaming_server.callers import MAX_CALLERS, Callers
from streaming_server.settings import Config
from tests.streaming_server.serving import Server, Wire, connected, greeted, serving


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def callers(**settings: Any) -> tuple[Callers, Clock]:
    clock = Clock()
    return Callers(Config(**settings), clock), clock


def counted(config: dict[str, Any], peer: str, *forwarded: str | None) -> str | None:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded if line is not None]
    address = callers(**config)[0].address({"client": (peer, 4711), "headers": headers})
    return None if address is None else str(address)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # anybody can write that
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.77, 198.51.100.1", "198.51.100.1"),  # the client wrote the first
        ("10.0.0.1", "192.0.2.77, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:5060", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8:1:2:3::4]:5060", "2001:db8:1:2::"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:aaaa::1", None, "2001:db8:1:2::"),
        ("127.0.0.1", None, None),
        ("::1", None, None),
        ("10.0.0.1", "127.0.0.1", None),
        ("", None, None),
    ],
)
def test_only_trusted_proxies_say_who_it_is(peer: str, forwarded: str | None, expected: str | None) -> None:
    assert counted({"trusted_proxies": ("10.0.0.0/8",)}, peer, forwarded) == expected


def test_a_header_of_the_clients_own_above_that_of_the_proxy_says_nothing() -> None:
    assert counted({"trusted_proxies": ("10.0.0.0/8",)}, "10.0.0.1", "192.0.2.77", "198.51.100.1") == "198.51.100.1"
    assert counted({"trusted_proxies": ("10.0.0.0/8",)}, "10.0.0.1", "192.0.2.77", "198.51.100.1, 10.0.0.2") == (
        "198.51.100.1"
    )


def test_this_machine_is_counted_on_request() -> None:
    assert counted({"limit_loopback": True}, "127.0.0.1") == "127.0.0.1"


def test_a_proxy_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValidationError):
        Config(trusted_proxies=("10.0.0.0/8, proxy.example",))
    assert len(Config(trusted_proxies=("10.0.0.0/8, ::1",)).trusted_proxies) == 2


def test_a_burst_is_let_in_and_then_a_few_a_second() -> None:
    door, clock = callers(handshakes_per_s=2, handshake_burst=5)
    address, other = (door.address({"client": (peer, 1)}) for peer in ("203.0.113.9", "203.0.113.10"))
    assert [door.knock(address) is None for _ in range(6)] == 5 * [True] + [False]
    refusal = door.knock(address)
    assert refusal is not None
    assert 0 < refusal.retry_after_ms <= 500
    assert door.knock(other) is None, "expected one's flood to cost another nothing"
    clock.now += refusal.retry_after_ms / 1000
    assert door.knock(address) is None
    assert door.knock(address) is not None
    clock.now += 3600
    assert sum(door.knock(address) is None for _ in range(20)) == 5


def test_a_connection_that_came_in_elsewhere_is_no_handshake_but_a_connection() -> None:
    door, _ = callers(handshake_burst=1, connections_per_ip=3)
    address = door.address({"client": ("203.0.113.9", 1)})
    assert door.knock(address) is None
    assert door.knock(address) is not None
    assert [door.knock(address, is_new=False) is None for _ in range(3)] == [True, True, False]


def test_connections_at_a_time_are_bounded_and_given_back() -> None:
    door, _ = callers(connections_per_ip=2)
    address = door.address({"client": ("203.0.113.9", 1)})
    assert [door.knock(address) is None for _ in range(3)] == [True, True, False]
    door.leave(address)
    assert door.knock(address) is None


def test_all_sessions_of_a_backend_come_back_while_their_dead_connections_still_count() -> None:
    door, clock = callers()
    backend = door.peer(("203.0.113.9", 1))
    assert all(door.knock(backend) is None for _ in range(500))
    clock.now += 60
    assert all(door.knock(backend) is None for _ in range(500))


def test_who_knocked_long_ago_is_forgotten_unless_connected() -> None:
    door, _ = callers()
    stays = door.address({"client": ("203.0.113.9", 1)})
    assert door.knock(stays) is None
    for number in range(MAX_CALLERS + 100):
        address = door.address({"client": (f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}", 1)})
        assert door.knock(address) is None
        door.leave(address)
    assert len(door) == MAX_CALLERS
    door.leave(stays)


def test_more_than_are_remembered_may_be_connected() -> None:
    door, _ = callers()
    addresses = [IPv4Address(number) for number in range(MAX_CALLERS + 2)]
    assert all(door.knock(address) is None for address in addresses)
    assert door.request(addresses[-1]) is None
    for address in addresses:
        door.leave(address)


async def knock(server: Server, **headers: str) -> ClientConnection:
    return await connect(server.stream_url, additional_headers=headers)


async def test_too_many_hear_429_before_the_upgrade() -> None:
    async with serving(connections_per_ip=2, trusted_proxies=("127.0.0.1",)) as server, AsyncExitStack() as stack:
        mine = {"X-Forwarded-For": "203.0.113.9"}
        first, _ = [await stack.enter_async_context(await knock(server, **mine)) for _ in range(2)]
        with pytest.raises(InvalidStatus) as refused:
            await knock(server, **mine)
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["retry-after"]) >= 1
        await stack.enter_async_context(await knock(server, **{"X-Forwarded-For": "203.0.113.10"}))
        await stack.enter_async_context(await knock(server))
        await first.close()
        await until_let_in(server, stack, mine)


async def until_let_in(server: Server, stack: AsyncExitStack, headers: dict[str, str]) -> None:
    for _ in range(100):  # the server learns of the close a moment later
        try:
            await stack.enter_async_context(await knock(server, **headers))
        except InvalidStatus:
            continue
        return
    raise AssertionError("expected the place of one that left to be free")


async def test_loopback_is_counted_only_on_request(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(handshake_burst=1, handshakes_per_s=1) as server:
        for _ in range(5):
            await (await knock(server)).close()
    async with serving(handshake_burst=1, handshakes_per_s=1, limit_loopback=True) as server:
        await (await knock(server)).close()
        with pytest.raises(InvalidStatus) as refused:
            await knock(server)
        assert refused.value.response.status_code == 429
    assert not caplog.records, "expected nothing in the log, where a flood would fill it"


async def test_all_who_use_one_key_are_counted_together_on_request() -> None:
    async with (
        serving(api_key="first\nsecond", limit_keys=True, connections_per_ip=1) as server,
        greeted(server, token="first"),
        greeted(server, token="second"),
        await connected(server) as wire,
    ):
        await wire.send("hello", version=1, token="first")
        assert await wire.close_code() == 1013
        assert wire.received[-1]["code"] == "busy"
        assert wire.received[-1]["retry_after_ms"] > 0


async def test_many_sessions_of_one_address_may_say_no_more_than_one() -> None:
    settings = {"limit_loopback": True, "messages_per_s_per_ip": 50, "messages_per_s": 1_000}
    async with serving(**settings) as server, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(greeted(server)) for _ in range(4)]
        begun_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for wire in wires:
                tasks.create_task(ask(wire, 40))
        assert asyncio.get_running_loop().time() - begun_at > 1.0, "expected 100 at once, and 60 more at 50 a second"


async def ask(wire: Wire, num_times: int) -> None:
    for number in range(num_times):
        await wire.send("ping", nonce=number)
    for _ in range(num_times):
        await wire.until("pong")


async def test_far_too_much_text_of_one_address_is_refused_and_cancels_are_heard_all_the_same() -> None:
    settings = {"limit_loopback": True, "chars_per_s_per_ip": 1_000, "message_bytes": 1_024}
    async with serving(**settings) as server, AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(greeted(server)) for _ in range(6)]
        for wire in wires:
            await wire.send("start", utterance="u", text="never mind " * 80)
        answers = [await wire.receive() for wire in wires]
        refusals = [answer for answer in answers if answer["type"] == "error"]
        assert 0 < len(refusals) < 6
        assert {answer["code"] for answer in refusals} == {"text_limit"}
        assert all(0 < answer["retry_after_ms"] < 3_000 for answer in refusals)
        heard = wires[answers.index(next(answer for answer in answers if answer["type"] == "started"))]
        begun_at = asyncio.get_running_loop().time()
        await heard.send("cancel", utterance="u")
        assert (await heard.until("done"))["reason"] == "cancelled"
        assert asyncio.get_running_loop().time() - begun_at < 3
