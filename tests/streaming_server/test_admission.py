"""Who gets in where several web processes share an engine."""

from __future__ import annotations

from pathlib import Path

from models.base import SpeechParams
from streaming_server.admission import Admission
from streaming_server.engine_client import EngineClient
from tests.models.engine.scripted import ScriptedModel

from .ears import LEAD, Ear, connected, served, until


def join(engine: EngineClient) -> None:
    engine.open(Ear(), session="s", voice="actor", params=SpeechParams(), lead_samples=LEAD)


async def test_slots_are_anybodys_and_those_taken_elsewhere_count(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    async with served(ScriptedModel(max_slots=3), path), connected(path) as here, connected(path) as there:
        admission = Admission(here, max_sessions=9)
        join(here)
        join(here)
        assert admission.refuse_utterance("s") is None, "they are not split between web processes"
        join(there)
        await until(lambda: here.num_streams_elsewhere == 1)
        refusal = admission.refuse_utterance("s")
        assert refusal is not None
        assert refusal.message == "all 3 voices of this server are speaking"
        assert admission.refuse_utterance("s", num_freed=2) is None
