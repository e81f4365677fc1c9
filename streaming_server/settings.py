"""Every setting of the server: its unit, default, bounds and what `--help` says of it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.types import JsonValue

from models.base import MAX_ADAPTERS, ModelOptions

from .setting_kinds import Adapters, ApiKeys, Device, Devices, GpuMemory, Host, Networks, Origins

LIMIT_NAMES = (
    "message_bytes",
    "utterances",
    "ids",
    "text_chars",
    "pending_chars",
    "chars_per_s",
    "messages_per_s",
    "errors",
    "lead_ms",
    "replay_bytes",
    "resume_ms",
    "idle_ms",
    "utterance_idle_ms",
    "text_timeout_ms",
    "session_ms",
)
"""What `ready.limits` tells (PROTOCOL.md, Server to client); each is a field of Config."""

MODEL_NAMES = (
    *("model", "device", "dtype", "quantize", "threads", "slots", "gpu_memory", "deterministic"),
    *("adapters", "merge_adapter", "context_ms", "voices_dir", "cache_dir"),
)
"""Which model, and how it is loaded: what `voxwire say` and `voxwire voices` take, too."""


class ConfigError(Exception):
    """The configuration cannot be used; the message is one sentence fit for a user."""


def setting(default: Any, group: str, unit: str, description: str, **constraints: Any) -> Any:
    """A field of Config with what `--help` says of it; `unit` becomes the flag's placeholder."""
    extra: dict[str, JsonValue] = {"group": group, "unit": unit}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


class Config(BaseModel):
    """Every setting of the server. `Config()` holds the defaults; only `load_config` reads files and variables."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: Host = setting("127.0.0.1", "address", "HOST", "address to listen on; other than loopback wants an API key")
    port: int = setting(6006, "address", "PORT", "TCP port to listen on; 0 takes a free one", ge=0, le=65535)
    workers: int = setting(
        1, "address", "N", "web processes that share the port; /metrics tells of the one that answers", ge=1, le=64
    )

    api_key: ApiKeys | None = setting(
        None, "access", "KEY", "key that clients must present; VOXWIRE_API_KEY keeps it off the process list"
    )
    api_key_file: Path | None = setting(None, "access", "FILE", "file of API keys, one a line; # begins a remark")
    allowed_origins: Origins = setting(
        (), "access", "ORIGIN", "other origins whose pages may connect, comma-separated; without a key a proxy's too"
    )

    trusted_proxies: Networks = setting(
        (), "access", "CIDR", "proxies whose X-Forwarded-For tells who connects, comma-separated"
    )

    model: str = setting(
        "", "speech", "NAME", "espeak, tone or a checkpoint directory; empty takes the first weights/*/, else espeak"
    )
    sample_rate: int | None = setting(None, "speech", "HZ", "refuse a model that has another sample rate", gt=0)
    token_rate: float | None = setting(None, "speech", "HZ", "refuse a model that has another token rate", gt=0)
    voice: str = setting("", "speech", "NAME", "default voice; empty takes the model's")
    language: str = setting("auto", "speech", "TAG", "default language: auto, en, zh, ...", min_length=1)
    speed: float = setting(1.0, "speech", "FACTOR", "default speed", ge=0.5, le=2.0)
    volume: float = setting(1.0, "speech", "FACTOR", "default volume", ge=0.0, le=2.0)

    device: Device = setting(
        "auto", "engine", "NAME", "auto, cpu, cuda or cuda:N; espeak and tone look at none of these"
    )
    devices: Devices = setting(
        (),
        "engine",
        "NAMES",
        "several, an engine process on each: 0,1 (GPUs) or cuda:0,cuda:1 or cpu,cpu; not with --device",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "engine", "TYPE", "auto (the checkpoint's own), float32 or bfloat16"
    )
    quantize: Literal["none", "int8"] = setting("none", "engine", "TYPE", "none, or int8 for faster steps on a CPU")
    threads: int = setting(0, "engine", "N", "of the CPU that the model may use; 0 takes all cores", ge=0, le=1_024)
    slots: int = setting(0, "engine", "N", "utterances at once; 0: 8 on a CPU, 64 on a GPU", ge=0, le=4_096)
    gpu_memory: GpuMemory = setting(
        0.0,
        "engine",
        "GIB",
        "of each GPU that the engine takes: above 1 GiB, up to 1 a share; 0 nearly all that is free",
    )
    deterministic: bool = setting(
        False, "engine", "", "make every step for one number of rows: the same seed gives the same bytes in any company"
    )
    adapters: Adapters = setting(
        (),
        "engine",
        "DIR",
        f"LoRA folders that a voice may name, comma-separated or one by one, at most {MAX_ADAPTERS}",
    )
    merge_adapter: Path | None = setting(
        None, "engine", "DIR", "LoRA folder that every voice speaks with, folded into the weights"
    )
    voices_dir: Path = setting(
        Path("voices"), "engine", "DIR", "voices of one's own: NAME/voice.toml and NAME/prompt.wav"
    )
    cache_dir: Path | None = setting(
        None, "engine", "DIR", "what is made once for a checkpoint or a voice; none takes the user's cache"
    )
    context_ms: int = setting(
        round(1000 * ModelOptions().context_s),
        "engine",
        "MS",
        "a segment goes on from the one before it, unless that lasted longer",
        ge=0,
        le=60_000,
    )
    engine: Literal["process", "inprocess"] = setting(
        "process", "engine", "WHERE", "process: beside the web processes, restarted when it dies; inprocess: a thread"
    )
    standby: bool = setting(
        False,
        "engine",
        "",
        "a second engine on each device, loaded and idle, takes over when the first dies; --gpu-memory is for both",
    )
    engine_start_timeout_ms: int = setting(180_000, "engine", "MS", "time the engine may take to load a model", ge=100)
    engine_step_timeout_ms: int = setting(4_000, "engine", "MS", "a step that takes longer counts as hung", ge=10)

    max_sessions: int = setting(2_000, "limits", "N", "sessions in one web process; the next one hears busy", ge=1)
    message_bytes: int = setting(65_536, "limits", "BYTES", "largest client message", ge=1_024)
    utterances: int = setting(16, "limits", "N", "open utterances in a session", ge=1)
    ids: int = setting(1_024, "limits", "N", "finished utterance ids a session remembers", ge=1)
    text_chars: int = setting(200_000, "limits", "CHARS", "text of one utterance", ge=1)
    pending_chars: int = setting(200_000, "limits", "CHARS", "text of a session that is not yet spoken", ge=1)
    chars_per_s: int = setting(20_000, "limits", "CHARS/S", "text a session may send, averaged", ge=1)
    messages_per_s: int = setting(1_000, "limits", "N/S", "messages a session may send, averaged", ge=1)
    errors: int = setting(16, "limits", "N", "undecodable messages a session is forgiven", ge=0)
    lead_ms: int = setting(4_000, "limits", "MS", "how far ahead of the listener speech is made", ge=0, le=60_000)
    replay_bytes: int = setting(16 * 2**20, "limits", "BYTES", "sent messages a session holds for resume", ge=65_536)
    resume_ms: int = setting(30_000, "limits", "MS", "time a lost connection may take to come back", ge=0)
    idle_ms: int = setting(300_000, "limits", "MS", "silence after which a session is closed", ge=1_000)
    utterance_idle_ms: int = setting(120_000, "limits", "MS", "wait for text of an open utterance", ge=100)
    text_timeout_ms: int = setting(600, "limits", "MS", "pause of the writer after which the rest is spoken", ge=10)
    session_ms: int = setting(86_400_000, "limits", "MS", "longest life of a session", ge=1_000)
    hello_timeout_ms: int = setting(10_000, "limits", "MS", "wait for a connection's first message", ge=10)
    connections_per_ip: int = setting(1_000, "limits", "N", "connections of one address to a web process", ge=1)
    handshakes_per_s: int = setting(50, "limits", "N/S", "new connections of one address, averaged", ge=1)
    requests_per_s: int = setting(100, "limits", "N/S", "HTTP requests of one address, averaged", ge=1)
    handshake_timeout_ms: int = setting(
        10_000, "limits", "MS", "wait for a request, or the rest of its head, on a connection", ge=10
    )
    handshake_burst: int = setting(1_000, "limits", "N", "new connections of one address at once", ge=1)
    messages_per_s_per_ip: int = setting(
        10_000, "limits", "N/S", "messages and pings of one address, averaged; then it is read more slowly", ge=1
    )
    chars_per_s_per_ip: int = setting(
        200_000, "limits", "CHARS/S", "text of one address, averaged; far more is refused", ge=1
    )
    limit_keys: bool = setting(
        False, "limits", "", "count by API key as well, to the same limits as by address; for keys that are customers'"
    )
    limit_loopback: bool = setting(False, "limits", "", "count those of this machine as well")
    drain_ms: int = setting(20_000, "limits", "MS", "time to finish speech in after SIGTERM; 0: none", ge=0)

    send_buffer_bytes: int = setting(0, "sockets", "BYTES", "kernel send buffer of a connection; 0: its own", ge=0)
    notsent_lowat_bytes: int = setting(16_384, "sockets", "BYTES", "unsent bytes above which a writer waits", ge=1_024)
    tcp_user_timeout_ms: int = setting(4_000, "sockets", "MS", "unacknowledged data after which a peer is cut", ge=100)
    write_stall_ms: int = setting(3_000, "sockets", "MS", "a full socket that takes nothing is cut after this", ge=100)
    ping_interval_ms: int = setting(10_000, "sockets", "MS", "time between WebSocket pings", ge=100)
    ping_timeout_ms: int = setting(10_000, "sockets", "MS", "wait for a WebSocket pong", ge=100)

    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "logs", "LEVEL", "least level logged")
    log_format: Literal["text", "json"] = setting("text", "logs", "FORMAT", "text for people, json for machines")

    @model_validator(mode="after")
    def _one_way_to_name_devices(self) -> Config:
        if self.devices and self.device != "auto":
            raise ValueError(
                f"Either --device or --devices was expected, but both came: {self.device} and {','.join(self.devices)}."
            )
        return self

    @model_validator(mode="after")
    def _others_need_a_key(self) -> Config:
        if not self.loopback and self.api_key is None:
            raise ValueError(
                f"Listening on {self.host} lets other machines in and needs an API key: set --api-key or "
                f"VOXWIRE_API_KEY, or stay on 127.0.0.1 and come in through `ssh -L {self.port}:127.0.0.1:{self.port}`."
            )
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Each opens the server; without one, nobody is asked for any."""
        return tuple(self.api_key.get_secret_value().splitlines()) if self.api_key is not None else ()

    @property
    def limits(self) -> dict[str, int]:
        """`ready.limits`."""
        return {name: getattr(self, name) for name in LIMIT_NAMES}

    @property
    def engine_devices(self) -> tuple[str, ...]:
        """Where the model is loaded; an engine host for each."""
        return self.devices or (self.device,)

    @property
    def model_options(self) -> ModelOptions:
        """How the model is loaded, on the first device."""
        return ModelOptions(
            device=self.engine_devices[0],
            dtype=self.dtype,
            quantize=self.quantize,
            num_threads=self.threads,
            num_slots=self.slots,
            gpu_memory=self.gpu_memory,
            deterministic=self.deterministic,
            context_s=self.context_ms / 1000,
            voices=self.voices_dir,
            cache=self.cache_dir,
            adapters=self.adapters,
            merge_adapter=self.merge_adapter,
        )

    def require_rates(self, model: str, sample_rate: int, token_rate: float) -> None:
        """Hold the asked rates against the loaded model's (both in Hz). Raises ConfigError when one differs."""
        if self.sample_rate not in (None, sample_rate):
            raise ConfigError(f"--sample-rate {self.sample_rate}: the model {model} speaks at {sample_rate} Hz only.")
        if self.token_rate is not None and abs(self.token_rate - token_rate) > 1e-6:
            raise ConfigError(
                f"--token-rate {self.token_rate:g}: the model {model} makes {token_rate:g} tokens a second, "
                "a rate that is fixed in it."
            )
