"""A link whose delay TCP itself sees: packets of this machine to itself, through a TUN device. It takes root.

bench.fault_proxy acknowledges what it is given at once, so that no kernel learns how long the way is. Here a connection
to `far` leaves through the device; its packets are kept for a while and come back with both addresses swapped, so that
it ends at 127.0.0.1, as if from `far`. Checksums stay right: they do not depend on the order.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from .server import BenchFailed

HERE: Final = "127.0.0.1"
MTU_BYTES: Final = 1500
QUEUE_BYTES: Final = 1 << 20

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_NAME = "vox%d"  # the kernel counts


@dataclass(slots=True, kw_only=True)
class Direction:
    """May be changed at any time. Packets stay in order."""

    delay_ms: float = 0.0
    bits_per_s: float | None = None
    queue_bytes: int = QUEUE_BYTES
    """Of what waits for its turn; more is dropped, as by a router."""


class PacketLink:
    """There while its block lasts, which raises BenchFailed where the machine does not allow it."""

    def __init__(self, port: int, *, up: Direction, down: Direction, congestion_control: str | None = None) -> None:
        """`port`: the server's; what comes from there is `down`. `congestion_control`: of the connections on it, if not
        the machine's usual (`net.ipv4.tcp_congestion_control`).
        """
        self.port = port
        self.far = ""
        self.up = Way(up, self._deliver)
        self.down = Way(down, self._deliver)
        self._control = ("congctl", congestion_control) if congestion_control else ()
        self._device = -1

    async def __aenter__(self) -> Self:
        try:
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self._set_up()
        except OSError as error:
            self._close()
            raise BenchFailed(f"a TUN device is not to be had: {error.strerror}") from None
        except subprocess.CalledProcessError as error:
            self._close()
            raise BenchFailed(f"a TUN device cannot be set up: {error.stderr.decode().strip()}") from None
        asyncio.get_running_loop().add_reader(self._device, self._take)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._device)
        self._close()

    def _set_up(self) -> None:
        wanted = struct.pack("16sH22x", _NAME.encode(), _IFF_TUN | _IFF_NO_PI)
        name = fcntl.ioctl(self._device, _TUNSETIFF, wanted)[:16].rstrip(b"\0").decode()
        number = int(name.removeprefix(_NAME.removesuffix("%d")))
        self.far = f"198.18.{number >> 8}.{number & 0xFF}"  # RFC 2544: for benches
        Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")
        for words in (
            ("link", "set", name, "mtu", str(MTU_BYTES), "up"),
            ("route", "add", self.far, "dev", name, "src", HERE, *self._control),
        ):
            subprocess.run(("ip", *words), check=True, capture_output=True)

    def _close(self) -> None:
        """The device goes with its file."""
        self.up.stop()
        self.down.stop()
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self._device, MTU_BYTES)
                if packet[0] >> 4 == 4:  # the kernel also has something to say in IPv6
                    (source_port,) = struct.unpack_from("!H", packet, 4 * (packet[0] & 0xF))
                    swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                    (self.down if source_port == self.port else self.up).take(swapped)

    def _deliver(self, packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._device, packet)


class Way:
    """One direction, at work."""

    def __init__(self, direction: Direction, deliver: Callable[[bytes], None]) -> None:
        self.direction = direction
        self.num_bytes = 0
        """That have arrived, with what TCP and IP add."""
        self.num_dropped = 0
        """Packets."""
        self._deliver = deliver
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0

    def take(self, packet: bytes) -> None:
        loop = asyncio.get_running_loop()
        due_at = now = loop.time()
        if (bits_per_s := self.direction.bits_per_s) is not None:
            if (self._free_at - now) * bits_per_s / 8 > self.direction.queue_bytes:
                self.num_dropped += 1
                return
            due_at = self._free_at = max(self._free_at, now) + 8 * len(packet) / bits_per_s
        due_at += self.direction.delay_ms / 1000
        if self._under_way:
            due_at = max(due_at, self._under_way[-1][0])
        self._under_way.append((due_at, packet))
        if self._timer is None:
            self._timer = loop.call_at(due_at, self._pass_on)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pass_on(self) -> None:
        loop = asyncio.get_running_loop()
        while self._under_way and self._under_way[0][0] <= loop.time():
            _, packet = self._under_way.popleft()
            self.num_bytes += len(packet)
            self._deliver(packet)
        self._timer = loop.call_at(self._under_way[0][0], self._pass_on) if self._under_way else None
