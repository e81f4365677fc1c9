"""What is measured of a server's reactions: one listener, a crowd at once, a listener who barges in.

Each scene begins with a warm-up that is not counted: voices are loaded then, and code paths are cold.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from .conversation import STAGES, Conversation, Utterance, meet_all
from .playout import Playout
from .report import percentiles
from .texts import Texts
from .websocket import BUFFER_BYTES, Address

THINK_S = (0.02, 0.06)
"""Between two utterances of one listener."""

BARGE_IN_AFTER_S = (0.0, 0.005, 0.02, 0.08, 0.3)
"""After its first audio: amid what the server sends ahead, and later, when it is ahead and sends a patch in turn."""

GATHER_S = 0.25
"""For all of a crowd to write all but the last byte; well under the time-out after which a pausing writer is spoken."""

DEFAULT_LEAD_MS = 4000
"""The server's, for who asks for none."""


async def one_listener(address: Address, language: str, num_utterances: int, warm_up: int) -> dict[str, Any]:
    """Clauses one after the other, each typed token by token."""
    texts = Texts(language, seed=1)
    random = Random(1)
    (conversation,) = await meet_all(address, [language], bytearray(BUFFER_BYTES))
    measured: list[Utterance] = []
    for number in range(warm_up + num_utterances):
        utterance = conversation.start()
        await conversation.write(utterance, texts.clause())
        await conversation.first_audio(utterance)
        conversation.end(utterance)
        await conversation.done(utterance)
        if number >= warm_up:
            measured.append(utterance)
        await asyncio.sleep(random.uniform(*THINK_S))
    conversation.goodbye()
    return {
        "scene": "one listener",
        "language": language,
        "first_audio_ms": percentiles([utterance.first_audio_s for utterance in measured]),
        "stages_ms": _stages(measured),
    }


async def crowd(address: Address, languages: Sequence[str], num_rounds: int, warm_up: int) -> dict[str, Any]:
    """All say the last byte of a clause in the same moment, then go on for another sentence and listen to the end."""
    conversations = await meet_all(address, languages, bytearray(BUFFER_BYTES))
    texts = [Texts(language, seed) for seed, language in enumerate(languages)]
    measured: list[Utterance] = []
    num_gaps, silence_s = 0, 0.0
    for number in range(warm_up + num_rounds):
        moment = time.monotonic() + GATHER_S
        async with asyncio.TaskGroup() as tasks:
            turns = [
                tasks.create_task(_speak_together(conversation, text, moment))
                for conversation, text in zip(conversations, texts, strict=True)
            ]
        if number < warm_up:
            continue
        for turn in turns:
            utterance = turn.result()
            measured.append(utterance)
            playout = Playout(conversations[0].ready["model"]["sample_rate"], DEFAULT_LEAD_MS)
            for pts, samples, at in utterance.audio:
                playout.arrive(pts, samples, at)
            num_gaps += playout.num_late
            silence_s += playout.stalled_s
    for conversation in conversations:
        conversation.goodbye()
    return {
        "scene": f"{len(conversations)} listeners at once",
        "language": "+".join(dict.fromkeys(languages)),
        "first_audio_ms": percentiles([utterance.first_audio_s for utterance in measured]),
        "stages_ms": _stages(measured),
        "underruns": {"gaps": num_gaps, "silence_ms": round(1000 * silence_s, 1)},
        "frames": sum(len(utterance.audio) for utterance in measured),
    }


async def barge_in(address: Address, language: str, num_cancels: int, warm_up: int) -> dict[str, Any]:
    """Cancel a long utterance and, without a pause, say the next clause."""
    texts = Texts(language, seed=2)
    (conversation,) = await meet_all(address, [language], bytearray(BUFFER_BYTES))
    last_audio_s: list[float] = []
    done_s: list[float] = []
    following: list[Utterance] = []
    for number in range(warm_up + num_cancels):
        long = conversation.start()
        await conversation.write(long, "".join(texts.sentence() for _ in range(4)), at_once=True)
        await conversation.first_audio(long)
        await asyncio.sleep(BARGE_IN_AFTER_S[number % len(BARGE_IN_AFTER_S)])
        cancelled_at = conversation.cancel(long)
        utterance = conversation.start()
        await conversation.write(utterance, texts.clause(), at_once=True)
        await conversation.first_audio(utterance)
        conversation.end(utterance)
        await conversation.done(utterance)
        await conversation.done(long)
        if number < warm_up:
            continue
        assert long.done_at is not None
        last_audio_s.append(max(0.0, long.audio[-1][2] - cancelled_at))
        done_s.append(long.done_at - cancelled_at)
        following.append(utterance)
    conversation.goodbye()
    return {
        "scene": "barge-in",
        "language": language,
        "last_audio_after_cancel_ms": percentiles(last_audio_s),
        "done_after_cancel_ms": percentiles(done_s),
        "first_audio_ms": percentiles([utterance.first_audio_s for utterance in following]),
        "stages_ms": _stages(following),
    }


async def _speak_together(conversation: Conversation, texts: Texts, moment: float) -> Utterance:
    utterance = conversation.start()
    clause = texts.clause()
    await conversation.write(utterance, clause[:-2], at_once=True)
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    await conversation.write(utterance, clause[-2:], at_once=True)
    clause_at = utterance.clause_at
    await conversation.write(utterance, texts.sentence())
    utterance.clause_at = clause_at
    conversation.end(utterance)
    await conversation.done(utterance)
    return utterance


def _stages(utterances: Sequence[Utterance]) -> dict[str, Any]:
    stages = [utterance.stages_s for utterance in utterances]
    return {stage: percentiles([each[stage] for each in stages]) for stage in STAGES}
