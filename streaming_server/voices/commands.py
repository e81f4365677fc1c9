"""`voxwire voices`, `voxwire voices add` and `voxwire voices remove`: the folder of voices from the command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from models.base import ModelError
from models.own_voice import FIELDS, own_voice
from models.registry import require_voxcpm_packages, voice_preparation
from models.voice_folder import PROMPT_FILE, check_free, publish_voice, remove_voice, stage_voice, voice_names
from models.voxcpm.recording import forget_recording

from ..config import Config, ConfigError, add_served_arguments, served_config
from ..say import add_voices_arguments, list_voices
from ..serve import default_model
from .fitness import check_fits
from .preparation import prepare, throw_away
from .prompt import read_prompt
from .refusal import VoiceRefused
from .transcript import check_transcript


def add_voice_commands(parser: argparse.ArgumentParser) -> None:
    """Without a command of its own, `voices` lists them."""
    add_voices_arguments(parser)
    commands = parser.add_subparsers(dest="action", metavar="COMMAND")
    add = commands.add_parser("add", help="put a voice of one's own into the folder")
    add.add_argument("name", metavar="NAME", help="letters, digits, blanks, hyphens, underscores, apostrophes")
    add.add_argument("--audio", required=True, type=Path, metavar="FILE", help="1 to 30 s as WAV, FLAC, Ogg or MP3")
    add.add_argument("--transcript", required=True, metavar="TEXT", help="all that is said in it, word for word")
    add.add_argument("--language", required=True, metavar="TAG", help="en, zh, ...")
    add.add_argument("--licence", required=True, metavar="TEXT", help="under which the recording may be used")
    add.add_argument("--consent", required=True, metavar="TEXT", help="who speaks, and that they agree")
    add.add_argument("--gender", metavar="WORD", help="female, male or neutral (default: neutral)")
    add.add_argument("--description", metavar="TEXT", help="what it sounds like")
    add.add_argument("--adapter", metavar="NAME", help="the LoRA that it speaks with, one of --adapters")
    add_served_arguments(add)
    remove = commands.add_parser("remove", help="delete a voice of one's own from the folder")
    remove.add_argument("name", metavar="NAME", help="as it is listed")
    add_served_arguments(remove)


def voices(options: argparse.Namespace) -> int:
    """The exit status: 0 done, 1 failed, 2 refused for what was given. Raises ConfigError."""
    if options.action is None:
        return list_voices(options)
    if options.url:
        raise ConfigError(
            f"--url: `voices {options.action}` is about a folder of this machine; the server at {options.url} has "
            "/v1/voices for that, and its page."
        )
    config = served_config(options, os.environ)
    try:
        if options.action == "add":
            _add(options, config)
        else:
            _remove(options.name, config)
    except (ModelError, VoiceRefused) as error:
        print(f"voxwire: {error}", file=sys.stderr)
        return 1 if isinstance(error, VoiceRefused) and error.status >= 500 else 2
    except OSError as error:
        print(f"voxwire: {error.strerror or error}: {error.filename or config.voices_dir}", file=sys.stderr)
        return 1
    return 0


def _add(options: argparse.Namespace, config: Config) -> None:
    model = config.model or default_model()
    preparation = voice_preparation(model, config.model_options)
    if preparation is None:
        raise ModelError(
            "A checkpoint as --model and a folder as --cache-dir were expected, "
            f"but {model} and {config.cache_dir} came: only a checkpoint learns voices."
        )
    require_voxcpm_packages()
    voice = own_voice({field: getattr(options, field) for field in FIELDS})
    check_fits(voice, languages=preparation.languages, adapters=preparation.adapters)
    folder = config.voices_dir
    check_free(voice.name, [*voice_names(folder), *preparation.own_names])
    with options.audio.open("rb") as file:
        prompt = read_prompt(file)
    check_transcript(voice.transcript, voice.language, prompt.sound_s)
    staged = stage_voice(folder, voice, prompt.pcm, prompt.rate_hz)
    try:
        asyncio.run(prepare(preparation, staged / PROMPT_FILE))
        published = publish_voice(staged, voice, preparation.own_names)
    finally:
        throw_away(staged, preparation.forget)  # nothing, once it is published
    print(f"{voice.name}: {published}; a running server has it from its next start on")


def _remove(name: str, config: Config) -> None:
    """Whatever the model: what others have made of its recording goes, too."""
    folder, cache = config.voices_dir, config.cache_dir
    names = voice_names(folder)
    grave = remove_voice(folder, name) if name in names else None
    if grave is None:
        there = ", ".join(sorted(names)[:12]) or "none"
        raise ModelError(f"A voice in {folder} was expected ({there}), but {name!r} came.")

    def forget(prompt: Path) -> None:
        if cache is not None:
            forget_recording(prompt, voices=folder, cache=cache)

    throw_away(grave, forget)
    print(f"{name} is removed; a running server has it until it ends")
