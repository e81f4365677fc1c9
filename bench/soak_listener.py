"""One who listens through a soak, with the client that users have, and believes nothing that he does not check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random

from models.tone import SAMPLE_RATE as TONE_RATE_HZ
from models.tone import tone_samples
from protocol.chunk import Chunk
from protocol.client import SpeechClient
from protocol.errors import ConnectionLost, SpeechError
from protocol.messages import OPUS_RATE, AudioFormat
from protocol.speech import Speech

from .soak_ledger import Ledger
from .texts import PACE_S, Texts, deltas

LEADS_MS = (320, 1000, 4000, 4000, None)
OPUS_SHARE = 0.3
PATIENCE_S = 60.0
"""Beyond an utterance's own length; who has heard nothing of its end by then hears nothing any more."""

GIVE_UP_S = 30.0


class WrongSound(Exception):
    """What came is not what was to come; one sentence."""


class Ear:
    """Checks the sound of one utterance: PCM sample by sample, Opus packets by number against their ticks."""

    def __init__(self, seed: int) -> None:
        self.num_samples = 0
        self.num_packets = 0
        self.pts = 0
        self._seed = seed
        self._num_restarts = 0
        self._passage_pts = 0  # the tone counts from where the utterance was begun anew
        self._run_pts = 0
        self._run_packets = 0
        self._run_audio: AudioFormat | None = None

    def take(self, chunk: Chunk, speech: Speech) -> None:
        """Raises WrongSound."""
        if chunk.new_run:
            is_anew = len(speech.restarts) > self._num_restarts
            self._end_run(is_cut=is_anew)
            if is_anew:
                self._num_restarts = len(speech.restarts)
                self.pts = self._passage_pts = speech.restarts[-1].pts
            self._run_pts, self._run_audio = self.pts, chunk.audio
        if chunk.pts != self.pts:
            raise WrongSound(f"expected sound from tick {self.pts} on, got it from {chunk.pts}")
        if chunk.pcm is not None:
            self._hear(chunk.pcm, chunk.pts, chunk.samples)
        else:
            self._run_packets += len(chunk.packets or ())
            self.num_packets += len(chunk.packets or ())
        self.pts = chunk.end_pts

    def end(self, speech: Speech, num_chars: int) -> None:
        """It ended by itself. Raises WrongSound."""
        done = speech.done
        assert done is not None
        self._end_run()
        if done.samples != self.pts:
            raise WrongSound(f"expected {self.pts} ticks in all, its done says {done.samples}")
        if done.text_chars != num_chars:
            raise WrongSound(f"expected {num_chars} characters to be spoken, its done says {done.text_chars}")

    def _hear(self, pcm: bytes, pts: int, num_samples: int) -> None:
        self.num_samples += num_samples
        if pcm != tone_samples(self._seed, pts - self._passage_pts, num_samples).tobytes():
            raise WrongSound(f"expected the tone's samples {pts} to {pts + num_samples}, got others")

    def _end_run(self, *, is_cut: bool = False) -> None:
        """`is_cut`: what its coder still held is lost with it, less than a packet and its delay."""
        audio, self._run_audio = self._run_audio, None
        num_packets, self._run_packets = self._run_packets, 0
        if audio is None or audio.codec != "opus" or audio.frame_ms is None:
            return
        packet_samples = OPUS_RATE * audio.frame_ms // 1000
        wanted = (self.pts - self._run_pts) * OPUS_RATE / TONE_RATE_HZ
        delay = audio.pre_skip or 0
        covered = num_packets * packet_samples - delay
        most_lost = packet_samples + delay if is_cut else 0
        if not -1 - most_lost <= covered - wanted <= packet_samples:
            raise WrongSound(f"expected Opus packets for {wanted:.0f} samples, got {covered}")


class Guest:
    """One at a time: comes, has things spoken in some way, and goes."""

    def __init__(self, url: str, door: str, random: Random, ledger: Ledger) -> None:
        self._url = url
        self._door = door
        self._random = random
        self._ledger = ledger
        self._texts = Texts(random.choice(("en", "zh")), random.randrange(1 << 30))

    async def visit(self, ends_at: float) -> None:
        """`ends_at`: when nothing new is to be begun any more, in monotonic seconds."""
        random, ledger = self._random, self._ledger
        ledger.num_clients += 1
        ways = (self._one_shot, self._one_shot, self._streamed, self._two, self._cancelled)
        audio = AudioFormat(codec="opus") if random.random() < OPUS_SHARE else None
        client = SpeechClient(self._url, audio=audio, lead_ms=random.choice(LEADS_MS), give_up_s=GIVE_UP_S, proxy=None)
        try:
            async with client:
                for _ in range(random.randint(1, 4)):
                    await random.choice(ways)(client)
                    if time.monotonic() > ends_at:
                        break
                ledger.num_resumes += client.num_resumes
        except SpeechError as error:  # on entering: an utterance's own is in the ledger
            ledger.not_let_in[error.code] += 1
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _one_shot(self, client: SpeechClient) -> None:
        await self._hear(client, self._text(), None)

    async def _streamed(self, client: SpeechClient) -> None:
        await self._hear(client, self._text(), self._random.uniform(0.005, 0.03))

    async def _two(self, client: SpeechClient) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(self._hear(client, self._text(), None))

    async def _cancelled(self, client: SpeechClient) -> None:
        await self._hear(client, self._text() + self._text(), None, cancel_after_s=self._random.uniform(0.0, 3.0))

    async def _hear(
        self, client: SpeechClient, text: str, delta_s: float | None, *, cancel_after_s: float | None = None
    ) -> None:
        """`delta_s`: between the pieces of a text that is being written."""
        entry, seed = self._ledger.open(self._door), self._random.randrange(1 << 32)
        ear, speech, sentence, end = Ear(seed), None, "", ""
        num_resumes = client.num_resumes
        barge_in: asyncio.TimerHandle | None = None
        try:
            async with asyncio.timeout(PACE_S * len(text) + PATIENCE_S):
                speech = client.speak(text if delta_s is None else _written(text, delta_s), seed=seed)
                if cancel_after_s is not None:
                    barge_in = asyncio.get_running_loop().call_later(cancel_after_s, speech.cancel)
                async for chunk in speech:
                    ear.take(chunk, speech)
                done = await speech.finished()
                if done.reason == "end":
                    ear.end(speech, len(text))
                end = _end(done.reason, speech, client.num_resumes > num_resumes)
        except WrongSound as wrong:
            end, sentence = "wrong", str(wrong)
        except TimeoutError:
            end, sentence = "silent", f"nothing more came after tick {ear.pts}"
        except ConnectionLost as lost:
            end, sentence = f"error: connection lost, {lost.code}", lost.message
        except SpeechError as error:
            end, sentence = f"error: {error.code}", error.message
        finally:
            if barge_in is not None:
                barge_in.cancel()
            self._ledger.num_samples += ear.num_samples
            self._ledger.num_packets += ear.num_packets
            accepted = speech is not None and (speech.started is not None or end in ("silent", "wrong", "complete"))
            self._ledger.close(entry, end or "given up", accepted=accepted, sentence=sentence)

    def _text(self) -> str:
        """One to eight seconds of speech."""
        return self._texts.clause() if self._random.random() < 0.5 else self._texts.sentence()


async def _written(text: str, delta_s: float) -> AsyncIterator[str]:
    for piece in deltas(text):
        yield piece
        await asyncio.sleep(delta_s)


def _end(reason: str, speech: Speech, was_resumed: bool) -> str:
    if reason != "end":
        return reason
    if speech.restarts:
        return "complete, begun anew on the way"
    return "complete, resumed on the way" if was_resumed else "complete"
