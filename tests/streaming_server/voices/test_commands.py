"""`voxwire voices add` and `remove`, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.checkpoint import write_checkpoint
from bench.checkpoint_shapes import SHAPES
from models.own_voice import own_voice
from models.voice_folder import publish_voice, read_voices, stage_voice
from streaming_server.__main__ import main
from streaming_server.voices.prompt import read_prompt
from tests.streaming_server.learning import TRANSCRIPT, everything, fields, sound_file, speech


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "anna.wav"
    path.write_bytes(sound_file(speech()))
    return path


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the environment names, beside something that looks like a checkpoint, and its adapters."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name, value in {"MODEL": "model", "VOICES_DIR": "voices", "CACHE_DIR": "cache", "ADAPTERS": "x/soft"}.items():
        monkeypatch.setenv(f"VOXWIRE_{name}", value)
    return tmp_path / "voices"


def add(audio: Path, *given: str, name: str = "Anna", **changes: str) -> int:
    told = {"transcript": TRANSCRIPT, "language": "en", "licence": "CC0-1.0", "consent": "Anna agrees.", **changes}
    flags = [part for flag, value in told.items() for part in (f"--{flag}", value)]
    return main(["voices", "add", name, "--audio", str(audio), *flags, *given])


def put(voices: Path, audio: Path) -> None:
    """A voice as it lies there, without a model that could speak with it."""
    voice = own_voice(fields())
    with audio.open("rb") as file:
        prompt = read_prompt(file)
    publish_voice(stage_voice(voices, voice, prompt.pcm, prompt.rate_hz), voice)


def test_a_voice_is_added_once_made_ready_and_removed(
    voices: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_checkpoint(tmp_path / "tiny", SHAPES["tiny"], seed=9)
    (tmp_path / "voxwire.toml").write_text('model = "nothing"\nvoices_dir = "elsewhere"\n')
    assert add(audio, "--model", "tiny", gender="female", adapter="soft") == 0, capsys.readouterr().err
    (voice,) = read_voices(voices).values()
    assert (voice.name, voice.gender, voice.adapter, voice.transcript) == ("Anna", "female", "soft", TRANSCRIPT)
    assert "Anna: voices/Anna" in capsys.readouterr().out
    assert len(everything(tmp_path / "cache")) == 1
    assert add(audio, name="anna") == 2
    assert "there is the voice 'Anna' already" in capsys.readouterr().err
    assert main(["voices", "remove", "Anna", "--model", "espeak"]) == 0
    assert everything(voices) == everything(tmp_path / "cache") == set()


def test_the_file_is_read_as_the_server_reads_it(
    voices: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOXWIRE_VOICES_DIR")
    (tmp_path / "voxwire.toml").write_text('voices_dir = "from file"\n')
    (tmp_path / "other.toml").write_text('voices_dir = "from another"\n')
    for folder, flags in {"from file": (), "from another": ("--config", "other.toml")}.items():
        put(tmp_path / folder, audio)
        assert main(["voices", "remove", "Anna", *flags]) == 0
        assert everything(tmp_path / folder) == set()


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("../Anna", {}, "'name' was expected as 1 to 64 letters"),
        ("Anna", {"transcript": "今天天气很好。"}, "'transcript' was expected in the language en"),
        ("Anna", {"consent": " "}, "'consent' was expected, but it is empty"),
        ("Anna", {"gender": "tenor"}, "'gender' was expected as one of"),
        ("Anna", {"language": "fr"}, "'language' was expected as one of zh, en, but 'fr' came"),
        ("Anna", {"adapter": "harsh"}, "'adapter' was expected as one that is loaded (soft), but 'harsh' came"),
        ("Amber", {}, "there is the voice 'amber' already"),
        ("Anna", {"model": "espeak"}, "but espeak and cache came: only a checkpoint learns voices"),
        ("Anna", {"config": "nowhere.toml"}, "The configuration file nowhere.toml cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    name: str, changes: dict[str, str], said: str, voices: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(audio, name=name, **changes) == 2
    error = capsys.readouterr().err
    assert error.startswith("voxwire: ")
    assert said in error
    assert error.count("\n") == 1
    assert not voices.exists()


def test_a_running_server_is_not_told_by_this_command(
    voices: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(voices, audio)
    for command in (["add", "Bert", "--audio", "a", "--transcript", "a", "--language", "en"], ["remove", "Anna"]):
        rest = ["--licence", "a", "--consent", "a"] if command[0] == "add" else []
        assert main(["voices", "--url", "http://127.0.0.1:1", *command, *rest]) == 2
        error = capsys.readouterr().err
        assert f"--url: `voices {command[0]}` is about a folder of this machine" in error
        assert error.count("\n") == 1
    assert len(read_voices(voices)) == 1


def test_a_recording_that_will_not_do_is_told(voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    assert add(tmp_path / "notes.txt") == 2
    assert "a WAV, FLAC, Ogg or MP3 file was expected" in capsys.readouterr().err
    assert add(tmp_path / "nowhere.wav") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_voice_that_cannot_be_made_ready_is_not_kept(
    voices: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(audio) == 1
    assert "The voice could not be made ready" in capsys.readouterr().err
    assert everything(voices) == set()


@pytest.mark.parametrize("name", ["Nobody", "..", "../voices", ""])
def test_what_is_not_there_is_not_removed(name: str, voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (voices / "Anna").mkdir(parents=True)
    assert main(["voices", "remove", name]) == 2
    assert f"(Anna), but {name!r} came" in capsys.readouterr().err
    assert everything(voices) == {"Anna"}


def test_voices_alone_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices", "--model", "tone"]) == 0
    assert capsys.readouterr().out.startswith("* tone")
