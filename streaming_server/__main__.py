"""The command line: voxwire serve | say | voices | check."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, logs
from .config import Config, ConfigError, add_serve_arguments, load_config
from .heap import share_heap


def main(argv: Sequence[str] | None = None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="voxwire", description="Text in while it is written, speech out at once.")
    parser.add_argument("--version", action="version", version=f"voxwire {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serve_arguments(commands.add_parser("serve", help="serve the page and the stream", allow_abbrev=False))
    say_parser = commands.add_parser("say", help="speak a text into a file")
    from .check import add_check_arguments, check
    from .say import add_say_arguments, say
    from .voices.commands import add_voice_commands, voices

    add_say_arguments(say_parser)
    add_voice_commands(commands.add_parser("voices", help="list the voices, add one's own or remove one"))
    add_check_arguments(commands.add_parser("check", help="tell whether a checkpoint is whole, and what it is"))
    try:
        match args[:1]:
            case ["serve"] if not {"-h", "--help"} & set(args):
                return _serve(args[1:])
            case ["serve-worker"]:
                return _serve_worker(int(args[1]), Path(args[2]), int(args[3]), args[4:])
        options = parser.parse_args(args)
        return {"say": say, "voices": voices, "check": check}[options.command](options)
    except ConfigError as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has gone; end without noise
        return 1
    except KeyboardInterrupt:
        return 130  # as shells have it: 128 and the number of SIGINT


def _serve(argv: list[str]) -> int:
    from .serve import serve

    config = load_config(argv, os.environ)
    share_heap()
    _log(config)
    return serve(config, argv)


def _serve_worker(fd: int, directory: Path, number: int, argv: list[str]) -> int:
    from .serve import serve_as_worker

    config = load_config(argv, os.environ)
    share_heap()
    _log(config)
    return serve_as_worker(config, fd, directory, number)


def _log(config: Config) -> None:
    logs.configure(config.log_level, config.log_format, secrets=config.api_keys)


if __name__ == "__main__":
    sys.exit(main())
