"""What a server that is told nonsense takes of memory, from the moment when it is ready and nobody has come yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol.client import SpeechClient
from protocol.messages import AudioFormat

from .processes import usage
from .server import Server
from .websocket import Address

MAX_GROWTH_MB: Final = 20.0
MILESTONES: Final = (1_000, 10_000, 50_000, 100_000)
"""Messages after which it is told how much there is."""
READY: Final = "ready"
SPOKEN: Final = "spoken in every format"
MOST: Final = "most"
IDLE: Final = "idle again"
FORMATS: Final = (
    AudioFormat(codec="pcm_s16le"),
    AudioFormat(codec="pcm_s16le", sample_rate=16_000),
    AudioFormat(codec="pcm_f32le"),
    AudioFormat(codec="opus"),
)

Held = dict[str, float]
"""MB that are resident, of `web` and `engine` processes."""


@dataclass(slots=True)
class Memory:
    """By moment, in their order."""

    moments: dict[str, Held] = field(default_factory=dict)

    def note(self, moment: str, held: Held) -> None:
        self.moments[moment] = held
        if MOST not in self.moments or sum(held.values()) > sum(self.moments[MOST].values()):
            self.moments[MOST] = held

    def look(self, num_messages: int, held: Held) -> None:
        """To be called often while messages are told: the most is among what is seen here."""
        due = [number for number in MILESTONES if number <= num_messages and f"{number:,} messages" not in self.moments]
        for number in due:
            self.note(f"{number:,} messages", held)
        self.note("last message", held)

    def growth_mb(self, since: str = READY, until: str = MOST) -> float:
        """Of all processes together; 0 where nobody has looked."""
        if since not in self.moments or until not in self.moments:
            return 0.0
        return sum(self.moments[until].values()) - sum(self.moments[since].values())

    def rows(self) -> list[dict[str, object]]:
        """A row for each moment."""
        order = [READY, SPOKEN, *(f"{number:,} messages" for number in MILESTONES), "last message", MOST, IDLE]
        return [
            {
                "when": moment,
                **{f"{role} MB": round(mb, 1) for role, mb in self.moments[moment].items()},
                "since ready MB": round(self.growth_mb(READY, moment), 1),
            }
            for moment in order
            if moment in self.moments
        ]


def held_by(server: Server) -> Held:
    return {role: usage(pids).rss_bytes / 1e6 for role, pids in server.processes.items()}


async def speak_in_every_format(server: Server) -> None:
    """A sentence in each: what a server loads when it is first asked for it is then there."""
    address = Address.of(server.url)
    async with SpeechClient(f"ws://{address.host}:{address.port}", proxy=None) as client:
        for audio in FORMATS:
            async for _ in client.speak("Hello there. It is the 2nd one.", audio=audio):
                pass
