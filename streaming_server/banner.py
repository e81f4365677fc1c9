"""What `voxwire serve` prints once it can be spoken to: the model, the address, and the way in from elsewhere."""

from __future__ import annotations

import getpass
import ipaddress
import socket
import sys

from models.base import ModelInfo

from .audio.encoder import supported_codecs

ELSEWHERE = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
"""Addresses kept for documentation (RFC 5737, RFC 3849): only a route to them is looked up, nothing is sent."""


def print_banner(listener: socket.socket, info: ModelInfo, slowness: str | None, *, has_standby: bool = False) -> None:
    """On standard output, and flushed: whoever started us may wait for it. `slowness`: see `told_slowness`."""
    port = listener.getsockname()[1]
    print(f"voxwire speaks with {info.name} at {info.sample_rate} Hz, {info.token_rate:g} tokens a second.")
    if slowness is not None:
        print(f"This machine is {slowness}; listeners wait until the rest plays without a gap.")
    if has_standby:
        print("A second engine stands by and takes over when the first one dies.")
    if "opus" not in supported_codecs():
        print("Opus is off: the system has no libopus (Debian and Ubuntu: apt install libopus0). PCM works.")
    here, *others = addresses(listener)
    print(f"\n  http://{here}:{port}/")
    for other in others:
        print(f"  http://{other}:{port}/ from other machines")
    target = "127.0.0.1" if here.startswith("127.") else here
    print(
        f"\nFrom another machine: ssh -L {port}:{target}:{port} {user_name()}@{socket.gethostname()}, "
        f"then http://127.0.0.1:{port}/ there."
    )
    sys.stdout.flush()


def addresses(listener: socket.socket) -> list[str]:
    """As a URL has them, the one for this machine first; a wildcard to listen on is no address to go to."""
    bound = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    if not bound.is_unspecified:
        return [f"[{bound}]" if bound.version == 6 else str(bound)]
    outward = _outward_address(listener.family)
    here = "127.0.0.1" if bound.version == 4 else "[::1]"
    return [here, *([f"[{outward}]" if bound.version == 6 else outward] if outward else [])]


def _outward_address(family: socket.AddressFamily) -> str | None:
    """This machine's address towards others; None where it has no route to any."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE[family])
        except OSError:
            return None
        return str(probe.getsockname()[0])


def user_name() -> str:
    """Who runs us; `USER`, to be filled in, for one who has no entry in passwd (a container's `--user 1234`)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"
