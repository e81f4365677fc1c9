"""start.sh and test.sh, run in a copy of the repository whose interpreter and package managers only take notes."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ("setup.sh", "start.sh", "test.sh", "1键启动.sh", ".ci/run")
TOOLS = ["bash", "cat", "dirname", "env", "flock", "head", "id", "mkdir", "mv"]
TOOLS += ["readlink", "rm", "setsid", "sh", "sha256sum", "xargs"]

PYTHON = f"""#!/bin/sh
case "$1 $2" in
  -c*) exec "{sys.executable}" "$@" ;;
  "-P -c") echo weights/one; exit ;;  # the registry: this checkpoint can be served
  "-m venv") mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
esac
echo "python $*" >> "$NOTES"
"""
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$NOTES"\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    code: int
    output: str
    notes: str  # one line for each program that a script ran, with its arguments


class Machine:
    """A folder that looks like a clone, and a PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.notes = folder / "clone", folder / "bin", folder / "notes"
        (self.root / ".ci").mkdir(parents=True)
        self.bin.mkdir()
        for name in (*SCRIPTS, "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        for tool in (*TOOLS, "basename", "cp"):
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.program("python3", PYTHON)

    def program(self, name: str, text: str = NOTE, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.write_text(text)
        path.chmod(0o755)

    def with_checkers(self, mypy_exit: int = 0) -> None:
        """A clone where start.sh has run, and whose environment has ruff and mypy."""
        self.run("start.sh")
        self.program("ruff", folder=self.root / ".venv" / "bin")
        self.program("mypy", f"{NOTE}exit {mypy_exit}\n", folder=self.root / ".venv" / "bin")

    def run(
        self, script: str | Path, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Outcome:
        self.notes.write_text("")
        environment = {"PATH": str(self.bin), "HOME": "/nowhere", "NOTES": str(self.notes), **(env or {})}
        done = subprocess.run(
            [self.root / script, *arguments], cwd=cwd or self.root, env=environment, text=True, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return Outcome(code=done.returncode, output=done.stdout, notes=self.notes.read_text())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_start_makes_the_environment_installs_and_serves_with_its_flags(machine: Machine) -> None:
    outcome = machine.run("start.sh", "--port", "7000", "--voice", "two words")
    assert outcome.code == 0, outcome.output
    made, installed, served = outcome.notes.splitlines()
    assert made.startswith("python -m venv --clear ")
    assert installed.startswith("python -m pip install ")
    assert installed.endswith(f"-c {machine.root}/constraints.txt -e {machine.root}")
    assert served == "python -P -m streaming_server serve --port 7000 --voice two words"


def test_a_second_start_installs_nothing(machine: Machine) -> None:
    machine.run("start.sh")
    assert machine.run("start.sh").notes == "python -P -m streaming_server serve\n"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(machine: Machine, name: str) -> None:
    machine.run("start.sh")
    with (machine.root / name).open("a") as file:
        file.write("# changed\n")
    assert "pip install" in machine.run("start.sh").notes


def test_start_works_from_any_folder_through_a_link_and_by_its_chinese_name(machine: Machine, tmp_path: Path) -> None:
    machine.run("start.sh")
    link = tmp_path / "link"
    link.symlink_to(machine.root / "start.sh")
    for script in (link, machine.root / "1键启动.sh"):
        outcome = machine.run(script, "--port", "1", cwd=Path("/"))
        assert outcome.notes == "python -P -m streaming_server serve --port 1\n", outcome.output


def test_only_a_checkpoint_brings_torch(machine: Machine) -> None:
    assert "voxcpm" not in machine.run("start.sh", "--model", "espeak").notes
    checkpoint = machine.root / "weights" / "one"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    assert f"-e {machine.root}[voxcpm]" in machine.run("start.sh").notes


@pytest.mark.parametrize(
    ("arguments", "env"),
    [(["--model", "here"], {}), (["--model=here"], {}), ([], {"VOXWIRE_MODEL": "here"})],
)
def test_a_checkpoint_may_be_asked_for_by_flag_or_variable(
    machine: Machine, arguments: list[str], env: dict[str, str]
) -> None:
    (machine.root / "here").mkdir()
    (machine.root / "here" / "config.json").write_text("{}")
    assert "[voxcpm]" in machine.run("start.sh", *arguments, env=env).notes


def test_without_a_fitting_python_start_says_what_is_needed(machine: Machine) -> None:
    machine.program("python3", "#!/bin/sh\nexit 1\n")
    outcome = machine.run("start.sh")
    assert outcome.code == 1
    assert "Python 3.11, 3.12 or 3.13 with venv is needed" in outcome.output
    assert "serve" not in outcome.notes


def test_another_python_can_be_named(machine: Machine) -> None:
    machine.program("python3", "#!/bin/sh\nexit 1\n")
    machine.program("mine", PYTHON)
    outcome = machine.run("start.sh", env={"PYTHON": str(machine.bin / "mine")})
    assert outcome.code == 0, outcome.output
    assert "serve" in outcome.notes


def test_conda_makes_a_python_where_the_machine_has_none(machine: Machine) -> None:
    machine.program("python3", "#!/bin/sh\nexit 1\n")
    home = machine.root.parent / "conda"
    (home / "bin").mkdir(parents=True)
    made = f'{NOTE}mkdir -p "$5/bin" && cp "{machine.bin}/mine" "$5/bin/python"\n'
    machine.program("mine", PYTHON)
    (home / "bin" / "conda").write_text(made)
    (home / "bin" / "conda").chmod(0o755)
    outcome = machine.run("start.sh", env={"CONDA_PREFIX": str(home)})
    assert outcome.notes.startswith(f"conda create -y -q -p {machine.root}/.conda python=3.12\n"), outcome.output
    assert "serve" in outcome.notes


def test_a_failed_install_is_not_taken_for_done(machine: Machine) -> None:
    machine.program("python3", PYTHON + 'case "$*" in *pip*) exit 1 ;; esac\n')
    outcome = machine.run("start.sh")
    assert outcome.code == 1
    assert "a mirror is set with: pip config set global.index-url URL" in outcome.output
    assert "pip install" in machine.run("start.sh").notes


@pytest.mark.parametrize(("uid", "sudo", "expected"), [("0", 1, "apt-get"), ("1000", 0, "sudo"), ("1000", 1, "")])
def test_apt_is_used_as_root_or_through_sudo_without_a_password_only(
    machine: Machine, uid: str, sudo: int, expected: str
) -> None:
    machine.program("python3", PYTHON.replace("-c*", "-c*ctypes*) exit 1 ;;\n  -c*"))
    (machine.bin / "id").unlink()
    machine.program("id", f"#!/bin/sh\necho {uid}\n")
    machine.program("apt-get")
    machine.program("sudo", f"{NOTE}exit {sudo}\n")
    outcome = machine.run("start.sh")
    assert outcome.code == 0
    asked = [line.split()[0] for line in outcome.notes.splitlines() if "libopus0" in line]
    assert asked == ([expected] if expected else [])
    assert ("Opus is off" in outcome.output) == (not expected)


def test_every_stage_runs_though_one_fails_and_the_summary_names_it(machine: Machine) -> None:
    machine.with_checkers(mypy_exit=3)
    for name in ("node", "npm", "chromium", "shellcheck"):
        machine.program(name)
    outcome = machine.run(".ci/run", cwd=Path("/"))
    assert outcome.code == 1
    ran = outcome.notes
    for part in ("[dev,voxcpm,oracle]", "ruff check .", "ruff format --check .", "node --test ", "run --silent types"):
        assert part in ran
    assert f"pip install -q --no-deps -c {machine.root}/constraints.txt voxcpm\n" in ran
    both = "--source=protocol,streaming_server/audio -m pytest -q tests/protocol tests/streaming_server/audio"
    assert "python -m coverage report --fail-under=100 " in ran.partition(f"python -m coverage run {both}\n")[2]
    parts = [line.split()[3:-3] for line in ran.splitlines() if line.startswith("python -m pytest ")]
    (others,) = (part for part in parts if part[0].startswith("--ignore="))
    named = [path for part in parts if part is not others for path in part]
    covered = ["tests/protocol", "tests/streaming_server/audio"]
    assert sorted(path.removeprefix("--ignore=") for path in others) == sorted([*named, *covered])
    summary = outcome.output.partition("== summary")[2]
    assert re.search(r"\d+ s  mypy +FAILED \(3\)", summary)
    assert re.search(r"\d+ s  pytest +ok", summary)


@pytest.mark.parametrize(("version", "ran"), [("12.22.9", False), ("18.0.0", True), ("20.20.2", True)])
def test_an_old_node_is_left_out_and_a_real_one_is_not(machine: Machine, version: str, ran: bool) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    machine.with_checkers()
    asked = f"\"{node}\" -e \"Object.defineProperty(process.versions, 'node', {{ value: '{version}' }}); $2\""
    machine.program("node", f'{NOTE}case "$1" in -e) {asked} ;; esac\n')
    assert ("node --test" in machine.run("test.sh").notes) == ran


def test_what_is_missing_is_left_out_with_a_reason(machine: Machine) -> None:
    machine.with_checkers()
    outcome = machine.run("test.sh", "--full", "-x")
    assert outcome.code == 0, outcome.output
    assert outcome.notes.splitlines()[-1] == "python -m pytest -x"
    for line in (r"chromium +left out: it is missing", r"node --test +left out: Node.js 18 or later is missing"):
        assert re.search(line, outcome.output)


def test_without_the_official_implementation_everything_else_is_tested(machine: Machine) -> None:
    machine.program("python3", PYTHON + 'case "$*" in *--no-deps*) exit 1 ;; esac\n')
    machine.with_checkers()
    outcome = machine.run("test.sh")
    assert outcome.code == 0, outcome.output
    assert "python -m pytest" in outcome.notes
    assert re.search(r"oracle +left out: pip could not install voxcpm", outcome.output)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_run_and_shellcheck_has_no_complaint(name: str) -> None:
    assert name == "setup.sh" or os.access(ROOT / name, os.X_OK)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-x", "-P", ROOT, ROOT / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_every_requirement_is_pinned_to_what_was_tested() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[>=<\[ ]", requirement)[0].lower() for requirement in wanted}
    assert names - pinned == {"triton"}, "which torch pins by itself where it is made for CUDA"
    assert pins["torch"] == "2.13.0"


def test_constraints_name_no_host_and_no_path() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.+]+", line) or "/" in line] == []
