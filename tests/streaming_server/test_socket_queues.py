"""What a kernel tells of a connection."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from streaming_server.socket_queues import MAX_ROUND_TRIP_S, SocketQueues


async def what_is_told(peer: socket.socket, ours: socket.socket) -> None:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    queues = SocketQueues(transport)
    transport.write(bytes(100))
    await asyncio.to_thread(peer.recv, 100)
    while queues.num_untaken():  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0.001)
    way = queues.way()
    assert 0 < way.least_round_trip_s <= way.round_trip_s < MAX_ROUND_TRIP_S
    assert way.num_unsent == 0
    transport.write(bytes(1_000_000))  # more than both kernels take
    way = queues.way()
    assert transport.get_write_buffer_size() < way.num_unsent < queues.num_untaken() <= 1_000_000
    peer.sendall(b"hello")
    transport.pause_reading()
    transport.abort()
    await asyncio.sleep(0)
    assert queues.way().round_trip_s == 0, "of a connection that is no more nothing is told"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_what_was_written_is_unsent_under_way_or_taken(new_loop: object) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.create_connection(listener.getsockname())
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        ours.setblocking(False)
        peer, _ = listener.accept()
        with peer, asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(what_is_told(peer, ours))
