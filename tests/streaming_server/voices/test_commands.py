"""`voxwire voices add` and `remove`, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.voice_folder import read_voices
from streaming_server.__main__ import main
from tests.streaming_server.learning import TRANSCRIPT, everything, sound_file, speech


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "anna.wav"
    path.write_bytes(sound_file(speech()))
    return path


def add(voices: Path, audio: Path, name: str = "Anna", **changes: str) -> int:
    given = {"transcript": TRANSCRIPT, "language": "en", "licence": "CC0-1.0", "consent": "Anna agrees.", **changes}
    flags = [part for flag, value in given.items() for part in (f"--{flag}", value)]
    folder = ["--voices-dir", str(voices), "--model", "tone"]
    return main(["voices", "add", name, "--audio", str(audio), *flags, *folder])


def test_a_voice_is_added_and_removed(tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voices = tmp_path / "voices"
    assert add(voices, audio, gender="female", adapter="soft") == 0
    (voice,) = read_voices(voices)
    assert (voice.name, voice.gender, voice.adapter, voice.transcript) == ("Anna", "female", "soft", TRANSCRIPT)
    assert f"Anna: {voices}/Anna" in capsys.readouterr().out
    assert main(["voices", "remove", "Anna", "--voices-dir", str(voices)]) == 0
    assert everything(voices) == set()


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("../Anna", {}, "'name' was expected as 1 to 64 letters"),
        ("Anna", {"transcript": "今天天气很好。"}, "'transcript' was expected in the language en"),
        ("Anna", {"consent": " "}, "'consent' was expected, but it is empty"),
        ("Anna", {"gender": "tenor"}, "'gender' was expected as one of"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    name: str, changes: dict[str, str], said: str, tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(tmp_path / "voices", audio, name, **changes) == 2
    error = capsys.readouterr().err
    assert error.startswith("voxwire: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "voices").exists()


def test_a_recording_that_will_not_do_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no sound")
    assert add(tmp_path / "voices", tmp_path / "notes.txt") == 2
    assert "a WAV, FLAC, Ogg or MP3 file was expected" in capsys.readouterr().err
    assert add(tmp_path / "voices", tmp_path / "nowhere.wav") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_name_is_added_once(tmp_path: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(tmp_path / "voices", audio) == 0
    assert add(tmp_path / "voices", audio, "anna") == 2
    assert "there is the voice 'Anna' already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Nobody", "..", "../voices", ""])
def test_what_is_not_there_is_not_removed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "voices" / "Anna").mkdir(parents=True)
    assert main(["voices", "remove", name, "--voices-dir", str(tmp_path / "voices")]) == 2
    assert f"(Anna), but {name!r} came" in capsys.readouterr().err
    assert everything(tmp_path) == {"voices", "voices/Anna"}


def test_voices_alone_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices", "--model", "tone"]) == 0
    assert capsys.readouterr().out.startswith("* tone")
