"""The systemd units are well-formed, and expose what systemd-analyze says they do."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.commands import policies
from posthouse.commands.policies.system import default_system
from posthouse.commands.policies.systemd import rootless_unit, socket_unit, systemd_unit
from posthouse.confine import calls
from tests.support.peers import UNPACKED, find_peer, peer_environment
from tests.support.servers import OURS

SERVICES = {"posthouse.service": 4.0, "posthouse-rootless.service": 2.0}  # and the exposure each stays below


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    program = find_peer("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is not here: make peers")
    environment = dict(peer_environment())
    own = ":".join(str(path) for path in UNPACKED.glob("usr/lib/*-linux-gnu*/systemd"))
    environment["LD_LIBRARY_PATH"] += f":{own}"
    argv = [program, "--no-pager", *map(str, words)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Give a directory with the units, for programs that are there."""
    system = replace(default_system(), prefix=str(OURS.parent))
    (tmp_path / "posthouse.service").write_text(systemd_unit(system), encoding="utf-8")
    (tmp_path / "posthouse-rootless.service").write_text(rootless_unit(system), encoding="utf-8")
    (tmp_path / "posthouse.socket").write_text(socket_unit(system), encoding="utf-8")
    return tmp_path


def exposure(unit: Path) -> float:
    """Give what "systemd-analyze security" says of a unit: 0 for none, 10 for all."""
    said = analyze("security", "--offline=yes", unit).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


@pytest.mark.parametrize("name", [*SERVICES, "posthouse.socket"])
def test_systemd_understands_the_unit(units: Path, name: str) -> None:
    """No unknown setting, no unknown system call, no missing program."""
    done = analyze("verify", "--man=no", units / name)
    mine = [line for line in done.stderr.splitlines() if "posthouse" in line]
    assert done.returncode == 0, done.stderr
    assert mine == []


def test_systemd_would_find_mistakes(units: Path) -> None:
    """A setting that does not exist is named."""
    unit = units / "posthouse.service"
    unit.write_text(unit.read_text().replace("ProtectClock=yes", "ProtectClocks=yes"))
    assert "ProtectClocks" in analyze("verify", "--man=no", unit).stderr


@pytest.mark.parametrize("name", list(SERVICES))
def test_exposure_is_below_the_aim(units: Path, name: str) -> None:
    """With root less than 4.0, without less than 2.0; a unit without these settings has more than 9."""
    assert exposure(units / name) < SERVICES[name]


def test_the_command_prints_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    """An administrator sees what his unit is worth."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: its libraries are found then only")
    assert policies.main(["systemd", "-d"]) == 0
    assert re.fullmatch(r"systemd-analyze security: exposure [123]\.[0-9] of 10\n", capsys.readouterr().err)


def test_exposure_is_measured(units: Path) -> None:
    """The same service without its hardening is what the score calls unsafe."""
    bare = "[Service]\nExecStart=/bin/true\n"
    (units / "bare.service").write_text(bare)
    assert exposure(units / "bare.service") > 9.0


@pytest.mark.parametrize("name", list(SERVICES))
def test_no_daemon_needs_a_system_call_that_the_unit_refuses(units: Path, name: str) -> None:
    """What confine/seccomp.py lets daemons do, and what puts them behind their walls, is let through by systemd too."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", (units / name).read_text(), re.MULTILINE):
        words = line.removeprefix("~").split()
        named = {call for word in words for call in (_calls(word) if word.startswith("@") else {word})}
        allowed = allowed - named if line.startswith("~") else allowed | named
    needed = {
        *calls.numbers(),
        "prctl",
        "fork",
        "execve",
        "wait4",
        "kill",
        "memfd_create",
        "listen",
        "landlock_add_rule",
    }
    needed |= {"setresuid", "setresgid", "setgroups", "capset"} if name == "posthouse.service" else set()
    refused = {"capset", "chown", "chroot"} if name == "posthouse-rootless.service" else set()
    assert needed - allowed - refused == set()
    assert not allowed & {"mount", "ptrace", "init_module", "bpf", "reboot", "swapon", "keyctl", "kexec_load"}


def _calls(group: str) -> set[str]:
    """Give the system calls of one of systemd's groups, those of its groups included."""
    found: set[str] = set()
    for line in analyze("syscall-filter", group).stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= _calls(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def test_root_keeps_what_mail_needs(units: Path) -> None:
    """Homes stay writable, and commands of recipients may be set-uid programs."""
    text = (units / "posthouse.service").read_text()
    assert not re.search(r"^(NoNewPrivileges|ProtectHome|User)=", text, re.MULTILINE)
    assert f"ExecStart={OURS}/postfix " in text
