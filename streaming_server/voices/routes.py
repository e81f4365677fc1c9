"""`/v1/voices` over HTTP (PROTOCOL.md, HTTP beside it)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from models.base import Voice
from models.voice_folder import MAX_PROMPT_S

from ..auth import Doorkeeper
from ..engine_client import EngineClient
from .catalogue import describe, describe_voice
from .prompt import MAX_BYTES
from .refusal import VoiceRefused
from .shelf import VoiceShelf, disk_refusal
from .upload import received

RETRY_AFTER_S = 10


class VoiceRoutes:
    """Which voices there are, one more, one fewer. The key has been looked at; here it is the page's origin."""

    def __init__(self, engine: EngineClient, shelf: VoiceShelf, doorkeeper: Doorkeeper, default_voice: str) -> None:
        self._engine = engine
        self._shelf = shelf
        self._doorkeeper = doorkeeper
        self._default_voice = default_voice

    async def list(self, request: Request) -> Response:
        listing = describe(self._engine.info, self._default_voice, removable=self._shelf.removable)
        limits = {"bytes": MAX_BYTES, "seconds": MAX_PROMPT_S}
        adapters = list(self._engine.info.adapters)
        return JSONResponse({**listing, "can_add": self._shelf.can_add, "adapters": adapters, "limits": limits})

    async def add(self, request: Request) -> Response:
        try:
            self._check_origin(request)
            voice, is_spoken = await self._add(request)
        except VoiceRefused as refused:
            return refusal(refused)
        return JSONResponse(describe_voice(voice, removable=True), 201 if is_spoken else 202)

    async def remove(self, request: Request) -> Response:
        try:
            self._check_origin(request)
            await self._shelf.remove(request.path_params["name"])
        except VoiceRefused as refused:
            return refusal(refused)
        return Response(status_code=204)

    async def _add(self, request: Request) -> tuple[Voice, bool]:
        with self._shelf.admission():
            try:
                async with received(request) as upload:
                    return await self._shelf.add(upload.values, upload.audio)
            except OSError as error:  # the form's file found no room
                raise disk_refusal(error) from None

    def _check_origin(self, request: Request) -> None:
        """Any page may send a form anywhere without asking first, so that a key alone is not what keeps it out."""
        if not self._doorkeeper.allows_origin(request.headers):
            raise VoiceRefused(403, "forbidden_origin", "This page may not change the voices of this server.")


def refusal(refused: VoiceRefused) -> Response:
    """408 and 413 close the connection: what is still coming is not waited for."""
    headers = {408: {"connection": "close"}, 413: {"connection": "close"}, 503: {"retry-after": str(RETRY_AFTER_S)}}
    error = {"code": refused.code, "message": str(refused)}
    return JSONResponse({"error": error}, refused.status, headers.get(refused.status))
