"""The ASGI application: the page, the stream, and what is asked beside it over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from .admission import Admission, told_slowness
from .auth import Doorkeeper
from .callers import Callers
from .config import Config
from .endpoint import StreamEndpoint
from .http_limits import HttpLimits
from .metrics import Metrics
from .neighbours import Neighbours
from .roll_call import RollCall
from .studio import Studio
from .tally import MEDIA_TYPE
from .voices.routes import VoiceRoutes
from .voices.shelf import VoiceShelf

WEB_CLIENT = Path(__file__).parents[1] / "web_client"


def create_app(config: Config, studio: Studio, shelf: VoiceShelf, neighbours: Neighbours | None = None) -> Starlette:
    """`app.state` has what the sockets, and whoever drains the server, need of it.

    `neighbours`: of one web process among several.
    """
    engine = studio.engine
    metrics = Metrics(engine)
    roll_call = RollCall(metrics, neighbours)
    doorkeeper = Doorkeeper(config)
    admission = Admission(engine, max_sessions=config.max_sessions)
    metrics.draining.set_function(lambda: admission.draining)
    callers = Callers(config, studio.clock)
    endpoint = StreamEndpoint(config, studio, admission, doorkeeper, callers, metrics, neighbours)

    voices = VoiceRoutes(engine, shelf, doorkeeper, config.voice)

    def with_key(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            if not doorkeeper.knows_headers(request.headers):
                message = "expected the server's API key as Authorization: Bearer, got another or none"
                return JSONResponse({"error": {"code": "unauthorized", "message": message}}, 401)
            return await answer(request)

        return guarded

    async def models(request: Request) -> Response:
        info = engine.info
        model = {
            "name": info.name,
            "sample_rate": info.sample_rate,
            "patch_ms": info.patch_ms,
            "token_rate": info.token_rate,
            "languages": list(info.languages),
            "neural": info.neural,
            "deterministic": info.deterministic,
            "realtime": not engine.is_slow,
            "rtf": engine.rtf,
            "controls": {"speed": info.speed, "volume": info.volume},
        }
        return JSONResponse({"models": [model]})

    async def prometheus(request: Request) -> Response:
        return Response(await roll_call.page(), media_type=MEDIA_TYPE)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        if admission.draining:
            return PlainTextResponse("draining\n", 503)
        if not engine.ready:
            return PlainTextResponse("the engine is starting\n", 503)
        slowness = told_slowness(engine)
        return PlainTextResponse("ready\n" if slowness is None else f"ready, {slowness}\n")

    app = Starlette(
        routes=[
            WebSocketRoute("/v1/stream", endpoint),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", with_key(prometheus)),
            Route("/v1/voices", with_key(voices.list)),
            Route("/v1/voices", with_key(voices.add), methods=["POST"]),
            Route("/v1/voices/{name:path}", with_key(voices.remove), methods=["DELETE"]),
            Route("/v1/models", with_key(models)),
            Mount("/", _Page(directory=WEB_CLIENT, html=True)),
        ],
        middleware=[Middleware(HttpLimits, callers, metrics)],
    )
    app.state.endpoint = endpoint
    app.state.admission = admission
    app.state.callers = callers
    app.state.metrics = metrics
    app.state.roll_call = roll_call
    return app


PAGE_HEADERS = {
    "cache-control": "no-cache",  # revalidated at each load (ETag): an updated server never meets an old page
    "content-security-policy": "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; "
    "frame-ancestors 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class _Page(StaticFiles):
    """The page's files."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(PAGE_HEADERS)
        return response
