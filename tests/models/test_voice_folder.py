"""Voices of one's own on disk: what is read, what is left out, and that writing is all or nothing."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import ModelError, Pcm
from models.own_voice import MAX_CHARS, OwnVoice, check_name, own_voice
from models.voice_folder import (
    MAX_VOICES,
    PROMPT_FILE,
    STALE_S,
    VOICE_FILE,
    VoiceExists,
    VoicesFull,
    abandoned_folders,
    discard_voice,
    prompts_in,
    publish_voice,
    read_voice,
    read_voices,
    remove_voice,
    restore_voice,
    stage_voice,
    voice_names,
)

RATE_HZ = 16_000
ANNA = {
    "name": "Anna",
    "language": "en",
    "transcript": "The quick brown fox.",
    "licence": "CC-BY-4.0",
    "consent": "Anna agrees.",
}


def prompt(seconds: float = 2.0) -> Pcm:
    return (np.sin(np.arange(int(seconds * RATE_HZ)) / 10) * 8000).astype(np.int16)


def written(voices: Path, name: str = "Anna", **fields: str) -> OwnVoice:
    voice = own_voice({**ANNA, "name": name, **fields})
    publish_voice(stage_voice(voices, voice, prompt(), RATE_HZ), voice)
    return voice


def read(voices: Path, *taken: str) -> list[OwnVoice]:
    return list(read_voices(voices, taken).values())


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_voice_is_read_as_it_was_written(tmp_path: Path) -> None:
    voice = written(tmp_path, gender="female", description="soft", adapter="anna-lora")
    assert read_voice(tmp_path / "Anna") == voice
    assert read(tmp_path) == [voice]
    samples, rate_hz = soundfile.read(tmp_path / "Anna" / PROMPT_FILE, dtype="int16")
    assert rate_hz == RATE_HZ
    np.testing.assert_array_equal(samples, prompt())
    assert everything(tmp_path) == {"Anna", f"Anna/{PROMPT_FILE}", f"Anna/{VOICE_FILE}"}


LINE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30).map(str.strip).filter(bool)


@given(transcript=LINE, licence=LINE, consent=LINE, description=LINE)
@settings(max_examples=60)
def test_any_sound_text_survives_the_file(
    transcript: str, licence: str, consent: str, description: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = {**ANNA, "licence": licence, "consent": f"yes {consent}", "description": description}
    voice = own_voice({**values, "transcript": f"so {transcript}"})
    voices = tmp_path_factory.mktemp("voices")
    publish_voice(stage_voice(voices, voice, prompt(1.0), RATE_HZ), voice)
    assert read_voice(voices / "Anna") == voice


@pytest.mark.parametrize("name", ["Anna", "小明", "Ann-Marie 2", "o'neill", "à", "Ω_1", "x" * 64])
def test_a_name_that_fits_a_folder_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a.b", "-x", "_x", "x ", " x", "a  b", "a\tb", "a\nb"),
        *("a\0b", "a\u200bb", "a\u202eb", "con", "NUL", "com1", "ＣＯＮ", "default", "Auto", "*", "a:b", "a?b"),
        *("x" * 65, "𠀀" * 64, "\ud800", "😀", "$HOME", "`x`", "~", "a;b", "%2e"),
    ],
)
def test_a_name_that_does_not_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="'name'"):
        check_name(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transcript": None}, "'transcript' was expected, but it is missing"),
        ({"transcript": " \n "}, "'transcript' was expected, but it is empty"),
        ({"transcript": "123 ..."}, "'transcript' was expected to hold the words"),
        ({"transcript": "a" * 1001}, "'transcript' was expected with at most 1000 characters, but 1001 came"),
        ({"transcript": "a\x1bb"}, "'transcript' was expected without control"),
        ({"transcript": "a\ud800b"}, "'transcript' was expected without control"),
        ({"consent": ""}, "'consent' was expected, but it is empty"),
        ({"consent": "False"}, "'consent' was expected to say who agrees"),
        ({"licence": None}, "'licence' was expected, but it is missing"),
        ({"language": "english please"}, "'language' was expected as a tag"),
        ({"gender": "none"}, "'gender' was expected as one of female, male, neutral"),
        ({"description": 7}, "'description' was expected to be a text, but a int came"),
        ({"colour": "red"}, "One of the fields name, .* was expected, but 'colour' came"),
    ],
)
def test_a_field_that_is_wrong_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        own_voice({**ANNA, **change})


def set_toml(folder: Path, text: str) -> None:
    (folder / VOICE_FILE).write_text(text)


BREAKAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no toml": (lambda folder: (folder / VOICE_FILE).unlink(), r"A readable .*voice\.toml was expected"),
    "torn toml": (lambda folder: set_toml(folder, "name = "), r"voice\.toml: TOML was expected"),
    "not utf-8": (lambda folder: (folder / VOICE_FILE).write_bytes(b"\xff\xfe"), r"voice\.toml: TOML was expected"),
    "endless toml": (lambda folder: set_toml(folder, "#" * 70_000), r"voice\.toml: at most 65536 bytes"),
    "no consent": (lambda folder: set_toml(folder, 'name = "Anna"'), r"voice\.toml: 'language' was expected"),
    "another's name": (
        lambda folder: set_toml(folder, (folder / VOICE_FILE).read_text().replace('"Anna"', '"Bert"')),
        r"voice\.toml: 'name' was expected to be 'Anna' as its folder, but 'Bert' came",
    ),
    "no prompt": (lambda folder: (folder / PROMPT_FILE).unlink(), r"prompt\.wav: a sound file was expected"),
    "no sound": (lambda folder: (folder / PROMPT_FILE).write_bytes(b"text"), r"prompt\.wav: a sound file was expected"),
    "empty prompt": (
        lambda folder: soundfile.write(folder / PROMPT_FILE, prompt(0), RATE_HZ),
        r"prompt\.wav: 1 to 30 s of speech were expected, but it has 0\.0 s",
    ),
    "3-minute prompt": (
        lambda folder: soundfile.write(folder / PROMPT_FILE, prompt(180), RATE_HZ),
        r"prompt\.wav: 1 to 30 s of speech were expected, but it has 180\.0 s",
    ),
}


@pytest.mark.parametrize("case", BREAKAGES)
def test_a_broken_voice_is_left_out_with_one_warning_and_the_others_stay(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path)
    bert = written(tmp_path, "Bert")
    breaks, said = BREAKAGES[case]
    breaks(tmp_path / "Anna")
    with pytest.raises(ModelError, match=said):
        read_voice(tmp_path / "Anna")
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path) == [bert]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_voice_of_the_models_own_name_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, "Nova")
    assert read(tmp_path, "nova") == []
    assert "there is the voice 'nova'" in caplog.text


def test_no_folder_means_no_voices(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere") == []
    assert voice_names(tmp_path / "nowhere") == frozenset()


def test_what_is_staged_is_no_voice_yet_and_leaves_nothing_when_discarded(tmp_path: Path) -> None:
    staged = stage_voice(tmp_path, own_voice(ANNA), prompt(), RATE_HZ)
    assert read(tmp_path) == []
    assert read_voice(staged) == own_voice(ANNA)
    discard_voice(staged)
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("name", ["Anna", "anna", "ANNA", "Ａnna"])
def test_a_name_is_given_once_whatever_its_case(name: str, tmp_path: Path) -> None:
    written(tmp_path)
    voice = own_voice({**ANNA, "name": name})
    staged = stage_voice(tmp_path, voice, prompt(), RATE_HZ)
    with pytest.raises(VoiceExists, match="there is the voice 'Anna'"):
        publish_voice(staged, voice)
    discard_voice(staged)
    assert voice_names(tmp_path) == {"Anna"}


def test_of_many_who_want_a_name_at_once_one_gets_it(tmp_path: Path) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(8)

    def want(name: str) -> None:
        voice = own_voice({**ANNA, "name": name})
        staged = stage_voice(tmp_path, voice, prompt(), RATE_HZ)
        ready.wait()
        try:
            publish_voice(staged, voice)
            outcomes.append("won")
        except VoiceExists:
            outcomes.append("lost")
            discard_voice(staged)

    threads = [threading.Thread(target=want, args=(name,)) for name in ["Anna", "anna", "ANNA", "aNNA"] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    for number in range(MAX_VOICES):
        (tmp_path / f"v{number}").mkdir()
    voice = own_voice(ANNA)
    staged = stage_voice(tmp_path, voice, prompt(), RATE_HZ)
    with pytest.raises(VoicesFull, match="At most 256 voices"):
        publish_voice(staged, voice)


def test_a_removed_voice_is_gone_with_its_files(tmp_path: Path) -> None:
    written(tmp_path)
    grave = remove_voice(tmp_path, "Anna")
    assert grave is not None
    assert read(tmp_path) == []
    assert [path.name for path in prompts_in(grave)] == [PROMPT_FILE]
    discard_voice(grave)
    assert remove_voice(tmp_path, "Anna") is None
    assert everything(tmp_path) == set()


def test_a_removed_voice_can_be_had_back_while_its_name_is_free(tmp_path: Path) -> None:
    anna = written(tmp_path)
    before = everything(tmp_path)
    grave = remove_voice(tmp_path, "Anna")
    assert grave is not None
    restore_voice(grave)
    assert read(tmp_path) == [anna]
    assert everything(tmp_path) == before
    grave = remove_voice(tmp_path, "Anna")
    assert grave is not None
    other = written(tmp_path, "anna")
    with pytest.raises(VoiceExists):
        restore_voice(grave)
    assert read(tmp_path) == [other]


def test_what_is_known_is_not_read_again_until_it_is_written_anew(tmp_path: Path) -> None:
    written(tmp_path)
    bert = written(tmp_path, "Bert")
    known = read_voices(tmp_path)
    toml = tmp_path / "Anna" / VOICE_FILE
    written_at = toml.stat()
    text = toml.read_text()
    toml.write_text(text.replace("brown", "green"))
    os.utime(toml, ns=(written_at.st_atime_ns, written_at.st_mtime_ns))
    assert read_voices(tmp_path, known=known) == known, "no file is opened"
    os.utime(toml, ns=(written_at.st_atime_ns, written_at.st_mtime_ns + 1))
    anna, still = read_voices(tmp_path, known=known).values()
    assert ("green" in anna.transcript, still) == (True, bert)


def test_a_recording_written_anew_makes_another_voice(tmp_path: Path) -> None:
    written(tmp_path)
    (before,) = read_voices(tmp_path)
    soundfile.write(tmp_path / "Anna" / PROMPT_FILE, prompt(3.0), RATE_HZ)
    (after,) = read_voices(tmp_path)
    assert before != after
    assert before.changed_ns < after.changed_ns


def test_removing_a_linked_voice_spares_what_it_leads_to(tmp_path: Path) -> None:
    elsewhere, voices = tmp_path / "elsewhere", tmp_path / "voices"
    written(elsewhere)
    voices.mkdir()
    (voices / "Anna").symlink_to(elsewhere / "Anna")
    assert len(read_voices(voices)) == 1
    grave = remove_voice(voices, "Anna")
    assert grave is not None
    assert len(prompts_in(grave)) == 1
    discard_voice(grave)
    assert everything(voices) == set()
    assert len(read_voices(elsewhere)) == 1


def test_what_a_crash_left_is_found_once_it_is_old(tmp_path: Path) -> None:
    written(tmp_path)
    staged = stage_voice(tmp_path, own_voice(ANNA), prompt(), RATE_HZ)
    written(tmp_path, "Bert")
    grave = remove_voice(tmp_path, "Bert")
    assert grave is not None
    assert abandoned_folders(tmp_path) == [], "they may still be under way"
    found = abandoned_folders(tmp_path, now=time.time() + STALE_S + 1)
    assert set(found) == {staged, grave}
    assert [len(prompts_in(folder)) for folder in found] == [1, 1]
    assert abandoned_folders(tmp_path / "nowhere") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_says_so_and_stays_clean(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        stage_voice(tmp_path, own_voice(ANNA), prompt(), RATE_HZ)
    tmp_path.chmod(0o700)
    assert everything(tmp_path) == set()


def test_the_longest_fields_fit_the_file(tmp_path: Path) -> None:
    written(tmp_path, transcript="字" * MAX_CHARS["transcript"], consent="字" * MAX_CHARS["consent"])
    assert len(read_voices(tmp_path)) == 1
