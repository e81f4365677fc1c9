"""What processes cost, read from Linux' /proc: CPU seconds and memory, of a server's web and engine processes apart."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, and resident bytes now."""

    cpu_s: float = 0.0
    rss_bytes: int = 0


def usage(pids: Iterable[int]) -> Usage:
    """The sum over these processes; one that has ended counts nothing."""
    cpu_s, rss_bytes = 0.0, 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
            rss_bytes += int(fields[21]) * _PAGE_BYTES
    return Usage(cpu_s, rss_bytes)


def pss_bytes(pid: int) -> int:
    """Resident bytes, each divided by how many processes share it; 0 where the kernel does not tell."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def machine_busy_s() -> float:
    """CPU seconds that all cores together have worked, whoever for; the hypervisor's theft counts as work."""
    user, nice, system, _, _, irq, softirq, steal = _first_line(PROC / "stat").split()[1:9]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / _TICKS_PER_S


def server_processes(pid: int) -> dict[str, list[int]]:
    """`web` and `engine`: the server with this process id and all its descendants, by what they do."""
    roles: dict[str, list[int]] = {"web": [], "engine": []}
    children = _children()

    def sort(pid: int, role: str) -> None:
        roles[role].append(pid)
        for child in children.get(pid, ()):
            sort(child, "engine" if "engine_host" in _command_line(child) else role)

    sort(pid, "web")
    return roles


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for path in PROC.iterdir():
        if path.name.isdecimal() and (fields := _stat(int(path.name))):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    return children


def _stat(pid: int) -> list[str]:
    """The fields from the process' state on (proc(5), field 3); none if it has ended."""
    return _first_line(PROC / str(pid) / "stat").rpartition(")")[2].split()


def _command_line(pid: int) -> str:
    return _first_line(PROC / str(pid) / "cmdline").replace("\0", " ")


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError:
        return ""
