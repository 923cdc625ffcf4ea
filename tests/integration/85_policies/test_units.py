"""The systemd units are well-formed, and expose what systemd-analyze says they do."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.commands.policies.system import default_system
from posthouse.commands.policies.systemd import rootless_unit, socket_unit, systemd_unit
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


def test_exposure_is_measured(units: Path) -> None:
    """The same service without its hardening is what the score calls unsafe."""
    bare = "[Service]\nExecStart=/bin/true\n"
    (units / "bare.service").write_text(bare)
    assert exposure(units / "bare.service") > 9.0


def test_root_keeps_what_mail_needs(units: Path) -> None:
    """Homes stay writable, and commands of recipients may be set-uid programs."""
    text = (units / "posthouse.service").read_text()
    assert not re.search(r"^(NoNewPrivileges|ProtectHome|User)=", text, re.MULTILINE)
    assert f"ExecStart={OURS}/postfix " in text
