"""What `serve` prints: an address that a person can go to."""

from __future__ import annotations

import ipaddress
import os
import pwd

import pytest
from pydantic import SecretStr

from models.tone import ToneModel
from streaming_server.banner import addresses, print_banner, user_name
from streaming_server.serve import listen
from streaming_server.settings import Config


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1")])
def test_a_loopback_address_is_the_only_one(host: str, shown: str) -> None:
    with listen(Config(host=host, port=0)) as listener:
        assert addresses(listener) == [shown]


def test_a_wildcard_is_never_shown_as_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    with listen(Config(host="0.0.0.0", port=0, api_key=SecretStr("k"))) as listener:
        here, *others = addresses(listener)
        print_banner(listener, ToneModel().info, None)
        port = listener.getsockname()[1]
    said = capsys.readouterr().out
    assert here == "127.0.0.1"
    assert "real time" not in said
    assert "0.0.0.0" not in said
    for address in (here, *others):
        assert not ipaddress.ip_address(address).is_unspecified
        assert f"http://{address}:{port}/" in said


def test_a_slow_machine_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with listen(Config(port=0)) as listener:
        print_banner(listener, ToneModel().info, "slower than real time (rtf 2.50), one stream at a time")
    said = capsys.readouterr().out
    assert (
        "\nThis machine is slower than real time (rtf 2.50), one stream at a time; "
        "listeners wait until the rest plays without a gap.\n"
    ) in said


def test_a_user_without_a_name_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    nobody = next(uid for uid in range(54_321, 65_000) if uid not in taken)
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    assert user_name() == "USER"


def test_an_engine_that_stands_by_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with listen(Config(port=0)) as listener:
        print_banner(listener, ToneModel().info, None, has_standby=True)
    assert "A second engine stands by" in capsys.readouterr().out
