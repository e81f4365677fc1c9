"""Where the configuration comes from: flags, then `VOXWIRE_*` variables, then one TOML file, then defaults.

A setting has one name everywhere: `lead_ms` in TOML, `VOXWIRE_LEAD_MS` in the environment, `--lead-ms` (or `--lead_ms`)
as a flag. Plain pydantic and not pydantic-settings: `Config()` then depends on its arguments alone, never on the
process environment, and a refused value can be blamed on the very flag, variable or file that brought it.
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streaming_server.settings import MODEL_NAMES, Config, ConfigError

__all__ = [
    "Config",
    "ConfigError",
    "add_model_arguments",
    "add_serve_arguments",
    "add_served_arguments",
    "embedded_config",
    "load_config",
    "served_config",
]

ENV_PREFIX = "VOXWIRE_"
DEFAULT_FILE = "voxwire.toml"


def load_config(argv: Sequence[str], env: Mapping[str, str], *, directory: Path = Path()) -> Config:
    """The configuration of `voxwire serve ARGV`, run with `env` in `directory`. Raises ConfigError.

    An empty variable counts as not set, as compose files leave them. `--help` prints and exits, as argparse does.
    """
    flags, asked_file = _from_flags(argv)
    return _loaded(flags, asked_file, env, directory)


def served_config(options: argparse.Namespace, env: Mapping[str, str], *, directory: Path = Path()) -> Config:
    """What `voxwire serve` would be run with, given the flags of `add_served_arguments`. Raises ConfigError."""
    values = {name: (_flag(name), value) for name, value in vars(options).items() if name in MODEL_NAMES}
    return _loaded(values, getattr(options, "config", ""), env, directory)


def _loaded(flags: _Given, asked_file: str, env: Mapping[str, str], directory: Path) -> Config:
    variables = _from_environment(env)
    asked_file = asked_file or env.get(f"{ENV_PREFIX}CONFIG", "")
    given = {**_from_file(directory, asked_file), **variables, **flags}
    values = {name: value for name, (_, value) in given.items()}
    if values.get("api_key_file") is not None:
        if "api_key" in values:
            raise ConfigError(f"Give either {given['api_key'][0]} or {given['api_key_file'][0]}, not both.")
        values["api_key"] = _keys(directory / str(values["api_key_file"]), given["api_key_file"][0])
    return _validated(values, {name: origin for name, (origin, _) in given.items()}, env)


def embedded_config(options: argparse.Namespace, env: Mapping[str, str]) -> Config:
    """The defaults, and what was said of the model among the flags of `add_model_arguments`. Raises ConfigError."""
    values = {name: value for name, value in vars(options).items() if name in MODEL_NAMES}
    return _validated(values, {name: _flag(name) for name in values}, env)


def _validated(values: Mapping[str, object], origins: Mapping[str, str], env: Mapping[str, str]) -> Config:
    try:
        return Config.model_validate({"cache_dir": _user_cache(env), **values})
    except ValidationError as error:
        raise ConfigError(_sentence(error.errors(include_url=False)[0], origins)) from None


def _user_cache(env: Mapping[str, str]) -> Path | None:
    """XDG Base Directory Specification: a relative XDG_CACHE_HOME does not count. None for a user without a home."""
    if Path(env.get("XDG_CACHE_HOME", "")).is_absolute():
        return Path(env["XDG_CACHE_HOME"]) / "voxwire"
    return Path(env["HOME"]) / ".cache" / "voxwire" if env.get("HOME") else None


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` one flag for each setting, and `--config`. What is not given stays out of the namespace."""
    groups = {"address": parser.add_argument_group("address")}
    _add_config_flag(groups["address"])
    for name in Config.model_fields:
        _add_setting(parser, groups, name)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the flags that say which model speaks, and how it is loaded."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name in MODEL_NAMES:
        _add_setting(parser, groups, name)


def add_served_arguments(parser: argparse.ArgumentParser) -> None:
    """The same, for a command that is about what a server does, and `--config`."""
    _add_config_flag(parser.add_argument_group("server"))
    add_model_arguments(parser)


def _add_config_flag(group: argparse._ArgumentGroup) -> None:
    _add_flag(group, "config", metavar="FILE", help=f"settings in TOML (default: {DEFAULT_FILE} if there)")


def _add_setting(parser: argparse.ArgumentParser, groups: dict[str, argparse._ArgumentGroup], name: str) -> None:
    field = Config.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict), "fields of Config are made with setting()"
    group, unit = str(extra["group"]), str(extra["unit"])
    if group not in groups:
        groups[group] = parser.add_argument_group(group)
    default = "none" if field.default in (None, (), "") else field.default
    text = f"{field.description} (default: {default})"
    if isinstance(field.default, bool):
        _add_flag(groups[group], name, action=argparse.BooleanOptionalAction, help=text)
        return
    action = "append" if isinstance(field.default, tuple) else "store"
    _add_flag(groups[group], name, metavar=unit, action=action, help=text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_flag(group: argparse._ArgumentGroup, name: str, *, help: str, **options: Any) -> None:
    group.add_argument(_flag(name), dest=name, default=argparse.SUPPRESS, help=help, **options)
    if "_" in name:
        group.add_argument(f"--{name}", dest=name, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **options)


_Given = dict[str, tuple[str, object]]  # setting -> where it was said, in the user's words; its value


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}; `voxwire serve --help` explains every flag.")


def _from_flags(argv: Sequence[str]) -> tuple[_Given, str]:
    parser = _Parser(prog="voxwire serve", allow_abbrev=False)
    add_serve_arguments(parser)
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        name = unknown[0].partition("=")[0]
        raise ConfigError(_unknown(f"flag {name}", name.lstrip("-"), _flag))
    values = vars(namespace)
    asked_file = values.pop("config", "")
    return {name: (_flag(name), value) for name, value in values.items()}, asked_file


def _from_environment(env: Mapping[str, str]) -> _Given:
    given: _Given = {}
    for variable in sorted(env):
        name = variable.removeprefix(ENV_PREFIX).lower()
        if not variable.startswith(ENV_PREFIX) or name == "config" or not env[variable]:
            continue
        if name not in Config.model_fields:
            raise ConfigError(_unknown(f"variable {variable}", name, lambda known: f"{ENV_PREFIX}{known.upper()}"))
        given[name] = (variable, env[variable])
    return given


def _from_file(directory: Path, asked_file: str) -> _Given:
    path = directory / (asked_file or DEFAULT_FILE)
    if not asked_file and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {path} is not valid TOML: {error}.") from None
    for name in values:
        if name not in Config.model_fields:
            raise ConfigError(_unknown(f"setting {name!r} in {path}", name, repr))
    return {name: (f"{name!r} in {path}", value) for name, value in values.items()}


def _keys(path: Path, origin: str) -> str:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{origin}: the file {path} cannot be read as text.") from None
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def _unknown(what: str, name: str, spell: Callable[[str], str]) -> str:
    close = difflib.get_close_matches(name.lower().replace("-", "_"), [*Config.model_fields, "config"], n=1, cutoff=0)
    return f"Unknown {what}; the nearest known is {spell(close[0])}, and `voxwire serve --help` lists all."


def _sentence(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    if error["type"] == "value_error":
        expected = str(error["ctx"]["error"])
    else:
        expected = error["msg"].removeprefix("Input ").partition(", unable to ")[0]
    if not error["loc"]:
        return expected
    name = str(error["loc"][0])
    came = "what came is not shown" if name == "api_key" else f"got {str(error['input'])[:80]!r}"
    return f"{origins.get(name, name)} {expected}, {came}."
