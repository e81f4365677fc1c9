"""What is counted, in Prometheus' terms. No label is ever taken from what a client sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from models.engine import Fault

from .engine_client import EngineClient
from .tally import Tally, page_alone

LOOP_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
FIRST_AUDIO_BUCKETS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5, 1, 2, 5)

_Gauges = tuple[tuple[str, str, Callable[[EngineClient], float]], ...]

_KNOWN_OF_THE_ENGINE: _Gauges = (
    ("ready", "1 while the voice engine answers.", lambda engine: engine.ready),
    ("realtime", "1 while speech is made faster than heard.", lambda engine: not engine.is_slow),
    ("rtf", "Seconds of work for a second of speech.", lambda engine: engine.rtf or 0.0),
    ("restarts", "Times the engine was lost.", lambda engine: engine.num_restarts),
    ("slots", "Utterances it has room for.", lambda engine: engine.info.max_slots),
)
_COUNTED_OF_THE_ENGINE: _Gauges = (
    ("streams", "Utterances in the engine, of this web process.", lambda engine: engine.num_streams),
    ("lost_streams", "Utterances whose engine was lost.", lambda engine: engine.num_lost),
    ("reopened_streams", "Of those, that went on.", lambda engine: engine.num_reopened),
    ("refused_streams", "Of those, that kill it.", lambda engine: engine.num_refused),
    ("steps", "Steps that brought this web process something.", lambda engine: engine.num_steps),
    ("patches", "Patches received.", lambda engine: engine.num_patches),
    ("busy_seconds", "Time spent in those steps.", lambda engine: engine.busy_s),
)
_KNOWN_OF_A_HOST: _Gauges = (
    ("ready", "1 while this engine answers; hosts are numbered as --devices names them.", lambda host: host.ready),
    ("rtf", "Seconds of work for a second of speech.", lambda host: host.rtf or 0.0),
    ("capacity", "Listeners it has time for.", lambda host: host.capacity),
    ("listeners", "Listeners it has, of all web processes.", lambda host: host.num_listeners),
    ("streams", "Utterances it has, of all web processes.", lambda host: host.num_streams + host.num_streams_elsewhere),
    ("restarts", "Times it was lost.", lambda host: host.num_restarts),
)
_COUNTED_OF_A_HOST: _Gauges = (
    ("steps", "Steps that brought this web process something.", lambda host: host.num_steps),
    ("busy_seconds", "Time spent in those steps.", lambda host: host.busy_s),
)
"""`known`: every web process tells the same of it, from the engine or from memory that all share."""


class _EngineFaults(Collector):
    """Counted elsewhere, in memory that all processes share."""

    def __init__(self, engine: EngineClient) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        text = "What befell voice engines, as all web processes tell it."
        family = CounterMetricFamily("voxwire_engine_faults", text, labels=["kind"])
        faults = self._engine.faults
        for kind in Fault:
            family.add_metric([kind], faults.get(kind, 0))
        yield family


class AudioSent(Collector):
    """Audio messages that went out. A Counter takes a lock for each, and calls four functions."""

    def __init__(self) -> None:
        self.num_messages = 0
        self.seconds = 0.0

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("voxwire_audio_messages", "Audio messages sent.", value=self.num_messages)
        yield CounterMetricFamily("voxwire_audio_seconds", "Seconds of speech sent.", value=self.seconds)


class Metrics:
    """One web process' counters, in registries of their own: what it alone counts, and what all of them know alike."""

    def __init__(self, engine: EngineClient) -> None:
        registry = self._own = CollectorRegistry()
        alike = self._alike = CollectorRegistry()
        self.sessions = Gauge("voxwire_sessions", "Sessions that are open.", registry=registry)
        self.sessions_parked = Gauge("voxwire_sessions_parked", "Sessions whose connection is lost.", registry=registry)
        self.sessions_lost = Counter("voxwire_sessions_lost", "Connections lost, and kept for.", registry=registry)
        self.sessions_resumed = Counter("voxwire_sessions_resumed", "Sessions that came back.", registry=registry)
        self.sessions_expired = Counter("voxwire_sessions_expired", "Sessions that came too late.", registry=registry)
        self.sessions_evicted = Counter(
            "voxwire_sessions_evicted", "Parked sessions forgotten early, since all held too much.", registry=registry
        )
        self.sessions_suspended = Counter(
            "voxwire_sessions_suspended", "Times that generation waited for a socket or a listener.", registry=registry
        )
        self.resumes_failed = Counter("voxwire_resumes_failed", "Resumes that were refused.", registry=registry)
        self.resumes_handed_over = Counter(
            "voxwire_resumes_handed_over",
            "Resumes passed on to the web process of their session.",
            registry=registry,
        )
        self.connections = Counter("voxwire_connections", "WebSocket connections accepted.", registry=registry)
        self.utterances = Counter("voxwire_utterances", "Utterances started.", registry=registry)
        self.utterances_abandoned = Counter(
            "voxwire_utterances_abandoned", "Utterances whose session was lost before their done.", registry=registry
        )
        self.utterances_ended = Counter(
            "voxwire_utterances_ended", "Utterances that came to their done.", ["reason"], registry=registry
        )
        self.audio = AudioSent()
        registry.register(self.audio)
        self.text_chars = Counter("voxwire_text_chars", "Characters of text taken.", registry=registry)
        self.errors = Counter("voxwire_errors", "Errors told to clients.", ["code"], registry=registry)
        self.turned_away = Counter(
            "voxwire_turned_away",
            "Connections, WebSockets and requests refused, by HTTP status; silent: cut.",
            ["status"],
            registry=registry,
        )
        self.http_responses = Counter(
            "voxwire_http_responses", "HTTP requests answered, by status.", ["status"], registry=registry
        )
        self.sockets_lost = Counter(
            "voxwire_sockets_lost",
            "WebSockets that ended without a goodbye: reset, timeout, eof; silent and slow peers that were cut.",
            ["cause"],
            registry=registry,
        )
        self.frames_refused = Counter(
            "voxwire_frames_refused", "WebSockets closed for what was sent on them.", ["code"], registry=registry
        )
        self.throttled = Counter(
            "voxwire_throttled",
            "Times a client was read more slowly, by whose allowance: its session's, or its address' or key's.",
            ["allowance"],
            registry=registry,
        )
        self.internal_errors = Counter(
            "voxwire_internal_errors", "Exceptions caught at a session's edge.", registry=registry
        )
        self.first_audio = Histogram(
            "voxwire_first_audio_seconds",
            "From an utterance's first text to its first audio on the socket.",
            buckets=FIRST_AUDIO_BUCKETS,
            registry=registry,
        )
        tasks = Gauge("voxwire_tasks", "asyncio tasks, of this page too.", registry=registry)
        tasks.set_function(lambda: len(asyncio.all_tasks()))
        self.loop_lag = Histogram(
            "voxwire_loop_lag_seconds",
            "How late the event loop was, looked at twenty times a second.",
            buckets=LOOP_LAG_BUCKETS,
            registry=registry,
        )
        self.loop_stalls = Counter("voxwire_loop_stalls", "Times it was later than 250 ms.", registry=registry)
        self.open_connections = Gauge(
            "voxwire_open_connections", "TCP connections that are open, of any kind.", registry=registry
        )
        self.draining = Gauge("voxwire_draining", "1 while the server is going away.", registry=registry)
        alike.register(_EngineFaults(engine))
        for where, gauges in ((alike, _KNOWN_OF_THE_ENGINE), (registry, _COUNTED_OF_THE_ENGINE)):
            for name, text, value in gauges:
                Gauge(f"voxwire_engine_{name}", text, registry=where).set_function(partial(value, engine))
        for where, gauges in ((alike, _KNOWN_OF_A_HOST), (registry, _COUNTED_OF_A_HOST)):
            for name, text, value in gauges:
                gauge = Gauge(f"voxwire_host_{name}", text, ["host"], registry=where)
                for number, host in enumerate(engine.hosts):
                    gauge.labels(str(number)).set_function(partial(value, host))

    def tally(self) -> Tally:
        """As of now."""
        return Tally(own=tuple(self._own.collect()), alike=tuple(self._alike.collect()))

    def page(self) -> bytes:
        """`GET /metrics` of the only web process that there is."""
        return page_alone(self.tally())
