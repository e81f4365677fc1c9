"""What became of every utterance of a soak, and of what it was exposed to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MAX_WORDED = 12

BAD = ("silent", "wrong")


@dataclass(slots=True, eq=False)
class Entry:
    """One utterance. `door`: by which connection its listener came."""

    door: str
    exposed_to: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """Everything is counted; what is bad is worded, too."""

    ends: Counter[str] = field(default_factory=Counter)
    """Accepted utterances by how they ended."""
    refused: Counter[str] = field(default_factory=Counter)
    """Those that were not accepted, by the error that said so."""
    not_let_in: Counter[str] = field(default_factory=Counter)
    """Clients that found no way in, by the error."""
    by_fault: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """How those ended that a fault met."""
    faults: Counter[str] = field(default_factory=Counter)
    num_clients: int = 0
    num_resumes: int = 0
    num_samples: int = 0
    """Compared, one by one."""
    num_packets: int = 0
    examples: list[str] = field(default_factory=list)
    """What exactly was bad."""
    sentences: dict[str, str] = field(default_factory=dict)
    """Of each error, the first that was told."""
    live: set[Entry] = field(default_factory=set)
    _under_way: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def num_bad(self) -> int:
        return sum(num for end, num in self.ends.items() if end in BAD)

    def open(self, door: str) -> Entry:
        """An utterance begins."""
        entry = Entry(door)
        entry.exposed_to.update(kind for (kind, where), num in self._under_way.items() if num and where in ("", door))
        self.live.add(entry)
        return entry

    def close(self, entry: Entry, end: str, *, accepted: bool, sentence: str = "") -> None:
        """It is over. `sentence`: of the error, or what was bad."""
        self.live.discard(entry)
        (self.ends if accepted else self.refused)[end] += 1
        for kind in entry.exposed_to:
            self.by_fault[kind][end if accepted else f"refused: {end}"] += 1
        if end in BAD and len(self.examples) < MAX_WORDED:
            met = ", ".join(sorted(entry.exposed_to)) or "no fault"
            self.examples.append(f"{end}: {sentence} ({met})")
        elif sentence:
            self.sentences.setdefault(end, sentence)

    @contextmanager
    def fault(self, kind: str, door: str = "") -> Iterator[None]:
        """While it lasts everybody who comes by that door meets it; without one, everybody."""
        self.faults[kind] += 1
        self._under_way[kind, door] += 1
        for entry in self.live:
            if door in ("", entry.door):
                entry.exposed_to.add(kind)
        try:
            yield
        finally:
            self._under_way[kind, door] -= 1
