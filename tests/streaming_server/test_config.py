"""Where settings come from, which source wins, and what a user reads when one is wrong."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import pytest

import streaming_server
from models.base import ModelOptions
from streaming_server.config import (
    Config,
    ConfigError,
    add_model_arguments,
    add_serve_arguments,
    embedded_config,
    load_config,
)
from streaming_server.settings import LIMIT_NAMES


def refused(argv: list[str] | None = None, env: dict[str, str] | None = None, directory: Path = Path("/")) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(argv or [], env or {}, directory=directory)
    return str(caught.value)


def test_defaults_listen_on_loopback_port_6006(tmp_path: Path) -> None:
    config = load_config([], {}, directory=tmp_path)
    assert (config.host, config.port, config.api_key, config.loopback) == ("127.0.0.1", 6006, None, True)


def test_flags_beat_variables_beat_the_file_beats_defaults(tmp_path: Path) -> None:
    (tmp_path / "voxwire.toml").write_text('port = 1\nvoice = "file"\nlanguage = "zh"\n')
    env = {"VOXWIRE_PORT": "2", "VOXWIRE_VOICE": "variable", "HOME": "/", "VOXWIRE_SPEED": ""}
    config = load_config(["--port", "3"], env, directory=tmp_path)
    assert (config.port, config.voice, config.language, config.speed) == (3, "variable", "zh", 1.0)


OTHER_VALUES = {
    "host": "::1",
    "workers": "2",
    "allowed_origins": "https://a.example",
    "api_key_file": "key",
    "speed": "1.5",
    "volume": "1.5",
    "device": "cuda:1",
    "devices": "0,1",
    "gpu_memory": "0.5",
    "deterministic": "true",
    "trusted_proxies": "10.0.0.0/8",
    "limit_loopback": "true",
    "limit_keys": "true",
    "dtype": "bfloat16",
    "quantize": "int8",
    "threads": "3",
    "slots": "5",
    "engine": "inprocess",
    "standby": "true",
    "replay_bytes": "170000",
    "log_level": "debug",
    "log_format": "json",
}


@pytest.mark.parametrize("name", sorted(Config.model_fields))
def test_every_setting_is_a_flag_in_both_spellings_and_a_variable(name: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    value = OTHER_VALUES.get(name, "17000")
    is_switch = isinstance(Config.model_fields[name].default, bool)
    by_flag = load_config([f"--{name.replace('_', '-')}", *([] if is_switch else [value])], {}, directory=tmp_path)
    assert getattr(by_flag, name) != Config.model_fields[name].default
    assert load_config([f"--{name}" if is_switch else f"--{name}={value}"], {}, directory=tmp_path) == by_flag
    assert load_config([], {f"VOXWIRE_{name.upper()}": value}, directory=tmp_path) == by_flag


@pytest.mark.parametrize(
    ("argv", "env", "cache"),
    [
        ([], {"HOME": "/home/a"}, Path("/home/a/.cache/voxwire")),
        ([], {"HOME": "/home/a", "XDG_CACHE_HOME": "/var/a"}, Path("/var/a/voxwire")),
        ([], {"HOME": "/home/a", "XDG_CACHE_HOME": "relative"}, Path("/home/a/.cache/voxwire")),
        ([], {}, None),
        (["--cache-dir", "here"], {"HOME": "/home/a"}, Path("here")),
    ],
)
def test_cache_is_the_users_unless_it_is_named(
    argv: list[str], env: dict[str, str], cache: Path | None, tmp_path: Path
) -> None:
    options = load_config(argv, env, directory=tmp_path).model_options
    assert (options.cache, options.voices) == (cache, Path("voices"))


def test_help_gives_each_flag_its_unit_and_default() -> None:
    parser = argparse.ArgumentParser()
    add_serve_arguments(parser)
    text = " ".join(parser.format_help().split())
    for name, field in Config.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        if isinstance(field.default, int | float):
            assert f"(default: {field.default})" in text
    assert "--lead-ms MS" in text
    assert "--message-bytes BYTES" in text
    assert "--sample-rate HZ" in text
    assert "--lead_ms" not in text


@pytest.mark.parametrize(
    ("argv", "env", "toml", "wrong", "nearest"),
    [
        (["--prot", "1"], {}, "", "--prot", "--port"),
        (["--leadms=1"], {}, "", "--leadms", "--lead-ms"),
        ([], {"VOXWIRE_HOTS": "x"}, "", "VOXWIRE_HOTS", "VOXWIRE_HOST"),
        ([], {}, "spead = 1.0", "'spead' in", "'speed'"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known(
    argv: list[str], env: dict[str, str], toml: str, wrong: str, nearest: str, tmp_path: Path
) -> None:
    (tmp_path / "voxwire.toml").write_text(toml)
    sentence = refused(argv, env, tmp_path)
    assert wrong in sentence
    assert f"the nearest known is {nearest}," in sentence


@pytest.mark.parametrize(
    ("argv", "env", "sentence"),
    [
        (["--port", "x"], {}, "--port should be a valid integer, got 'x'."),
        ([], {"VOXWIRE_PORT": "70000"}, "VOXWIRE_PORT should be less than or equal to 65535, got '70000'."),
        (["--device", "gpu"], {}, "--device should be auto, cpu, cuda or cuda:N, got 'gpu'."),
        (["--adapters", "a,b,c,d,e"], {}, "--adapters should be at most 4 folders, got \"['a', 'b', 'c', 'd', 'e']\"."),
        (["--engine", "gpu"], {}, "--engine should be 'process' or 'inprocess', got 'gpu'."),
        (["--speed", "nan"], {}, "--speed should be less than or equal to 2, got 'nan'."),
        (["--replay-bytes", "0"], {}, "--replay-bytes should be greater than or equal to 65536, got '0'."),
        (
            ["--gpu-memory", "-1"],
            {},
            "--gpu-memory should be GiB (above 1, at most 4096), a share of the memory (up to 1) or 0, got '-1'.",
        ),
        ([], {"VOXWIRE_GPU_MEMORY": "8 GB"}, "VOXWIRE_GPU_MEMORY should be a valid number, got '8 GB'."),
        ([], {"VOXWIRE_DETERMINISTIC": "yeah"}, "VOXWIRE_DETERMINISTIC should be a valid boolean, got 'yeah'."),
        (
            ["--devices", "0,gpu"],
            {},
            "--devices should be numbers of GPUs, cuda:N or cpu, separated by commas, got \"['0', 'gpu']\".",
        ),
        (["--devices", "1,cuda:1"], {}, "--devices should name each GPU once, got \"['1', 'cuda:1']\"."),
        (
            ["--devices", "0,1"],
            {"VOXWIRE_DEVICE": "cpu"},
            "Either --device or --devices was expected, but both came: cpu and cuda:0,cuda:1.",
        ),
        (["--host", " "], {}, "--host should be a host name or an IP address, got ' '."),
        (["--port"], {}, "Argument --port: expected one argument; `voxwire serve --help` explains every flag."),
    ],
)
def test_a_bad_value_is_refused_with_its_origin(argv: list[str], env: dict[str, str], sentence: str) -> None:
    assert refused(argv, env) == sentence


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_another_host_without_a_key_is_refused_and_told_what_to_do(host: str) -> None:
    sentence = refused(["--host", host])
    assert "--api-key or VOXWIRE_API_KEY" in sentence
    assert "ssh -L 6006:127.0.0.1:6006" in sentence
    assert load_config(["--host", host, "--api-key", "k"], {}, directory=Path("/")).host == host


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert load_config(["--host", host], {}, directory=Path("/")).loopback


def test_the_key_never_shows(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("# ours\ns3cret\n\n another \n")
    config = load_config(["--host", "0.0.0.0", "--api-key-file", "key"], {}, directory=tmp_path)
    assert config.api_keys == ("s3cret", "another")
    assert "s3cret" not in repr(config) + str(config.model_dump())
    assert "s3cret" not in refused(["--api-key", "s3cret with spaces"])


def test_an_empty_or_doubled_or_missing_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    assert "not empty" in refused(["--api-key", ""])
    assert "not empty" in refused(["--api-key-file", "key"], directory=tmp_path)
    assert "not both" in refused(["--api-key-file", "key"], {"VOXWIRE_API_KEY": "k"}, tmp_path)
    assert "cannot be read" in refused(["--api-key-file", "absent"], directory=tmp_path)


@pytest.mark.parametrize("origin", ["*", "null", "https://*.example", "https://a.example/path", "ftp://a", "a.example"])
def test_only_exact_origins_are_allowed(origin: str) -> None:
    assert "exact origins" in refused(["--allowed-origins", origin])


def test_origins_come_as_list_or_commas_or_repeated_flags(tmp_path: Path) -> None:
    both = ("https://a.example", "http://b.example:8080")
    (tmp_path / "voxwire.toml").write_text('allowed_origins = ["https://a.example", "http://B.example:8080"]\n')
    flags = ["--allowed-origins", both[0], "--allowed_origins", both[1]]
    assert load_config([], {}, directory=tmp_path).allowed_origins == both
    assert load_config(flags, {}, directory=Path("/")).allowed_origins == both
    env = {"VOXWIRE_ALLOWED_ORIGINS": ", ".join(both)}
    assert load_config([], env, directory=Path("/")).allowed_origins == both


def test_another_file_can_be_named_by_flag_or_variable(tmp_path: Path) -> None:
    (tmp_path / "voxwire.toml").write_text("port = 1\n")
    (tmp_path / "other.toml").write_text("port = 2\n")
    assert load_config(["--config", "other.toml"], {}, directory=tmp_path).port == 2
    assert load_config([], {"VOXWIRE_CONFIG": "other.toml"}, directory=tmp_path).port == 2


def test_a_file_that_is_absent_or_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voxwire.toml").write_bytes(b"port = ")
    (tmp_path / "latin.toml").write_bytes(b'voice = "\xe9"')
    assert "not valid TOML" in refused(directory=tmp_path)
    assert "not valid TOML" in refused(["--config", "latin.toml"], directory=tmp_path)
    assert "cannot be read: No such file" in refused(["--config", "absent.toml"], directory=tmp_path)


def test_rates_are_accepted_where_the_model_has_them() -> None:
    config = load_config(["--sample_rate", "44100", "--token_rate", "6.25"], {}, directory=Path("/"))
    config.require_rates("espeak", 44100, 44100 / 7056)
    Config().require_rates("espeak", 22050, 12.5)


def test_a_rate_the_model_does_not_have_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^--sample-rate 16000: the model espeak speaks at 44100 Hz only\.$"):
        Config(sample_rate=16000).require_rates("espeak", 44100, 6.25)
    with pytest.raises(ConfigError, match=r"^--token-rate 12\.5: the model espeak makes 6\.25 tokens a second"):
        Config(token_rate=12.5).require_rates("espeak", 44100, 6.25)


def test_limits_are_those_that_ready_tells() -> None:
    limits = Config(lead_ms=320).limits
    assert limits["lead_ms"] == 320
    assert limits["replay_bytes"] == 16 * 1024 * 1024
    assert len(limits) == 15


def test_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().port = 1


def test_every_setting_is_read_by_something() -> None:
    package = Path(streaming_server.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
    read = {node.attr for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    at_load = {"api_key_file"}  # becomes api_key
    assert set(Config.model_fields) - read - set(LIMIT_NAMES) - at_load == set()


def test_adapters_come_comma_separated_or_one_by_one_and_reach_the_model(tmp_path: Path) -> None:
    config = load_config(["--adapters", "a, b", "--adapters", "c", "--merge-adapter", "m"], {}, directory=tmp_path)
    assert config.model_options == ModelOptions(
        voices=Path("voices"), adapters=(Path("a"), Path("b"), Path("c")), merge_adapter=Path("m")
    )


def test_every_model_setting_reaches_the_model() -> None:
    loaded = Config(device="cuda:1", dtype="bfloat16", quantize="int8", threads=3, slots=5, context_ms=8_000)
    config = loaded.model_copy(
        update={"voices_dir": Path("v"), "cache_dir": Path("c"), "gpu_memory": 20.5, "deterministic": True}
    )
    assert config.model_options == ModelOptions(
        device="cuda:1",
        dtype="bfloat16",
        quantize="int8",
        num_threads=3,
        num_slots=5,
        context_s=8.0,
        voices=Path("v"),
        cache=Path("c"),
        gpu_memory=20.5,
        deterministic=True,
    )


def test_devices_come_as_numbers_or_names_and_each_has_an_engine(tmp_path: Path) -> None:
    (tmp_path / "voxwire.toml").write_text('devices = [0, "cuda:1", "cpu", "cpu"]\n')
    config = load_config([], {}, directory=tmp_path)
    assert config.engine_devices == ("cuda:0", "cuda:1", "cpu", "cpu")
    assert config.model_options.device == "cuda:0"
    assert load_config(["--devices", "cuda:00"], {}, directory=Path("/")).engine_devices == ("cuda:0",)
    assert Config(device="cpu").engine_devices == ("cpu",)


def test_a_switch_of_the_file_can_be_turned_off_by_its_flag(tmp_path: Path) -> None:
    (tmp_path / "voxwire.toml").write_text("deterministic = true\n")
    assert load_config([], {}, directory=tmp_path).model_options.deterministic
    assert not load_config(["--no-deterministic"], {}, directory=tmp_path).deterministic


def test_a_command_without_a_server_takes_the_model_flags_alone() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--voice")
    add_model_arguments(parser)
    given = parser.parse_args(
        ["--voice", "x", "--model", "tone", "--threads", "2", "--deterministic", "--gpu-memory", "8"]
    )
    assert embedded_config(given, {}) == Config(model="tone", threads=2, deterministic=True, gpu_memory=8)
    with pytest.raises(ConfigError, match=r"^--threads should be a valid integer, got 'many'\.$"):
        embedded_config(parser.parse_args(["--threads", "many"]), {})
