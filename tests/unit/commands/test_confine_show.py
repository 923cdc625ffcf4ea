"""posthouse confine show, and what the proof is made of."""

import json
from pathlib import Path

import pytest

from posthouse.commands.confine import numbers
from posthouse.commands.confine.attempt import Scene, Wall, declared
from posthouse.commands.confine.attempts import all_attempts
from posthouse.commands.posthouse import main as umbrella
from posthouse.confine import calls, seccomp
from posthouse.confine.rules import Rules


@pytest.fixture
def etc(tmp_path: Path) -> str:
    """Give a configuration directory."""
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.11\nqueue_directory = {tmp_path}/queue\nmaillog_file = /var/log/proof.log\n"
        "transport_maps = texthash:/srv/mail/transport\nlandlock_newest_abi = 4\n"
    )
    return str(tmp_path)


def show(etc: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the command."""
    assert umbrella(["posthouse", "confine", "show", "-c", etc, *words]) == 0
    return capsys.readouterr().out


def test_every_program_is_shown_with_what_the_configuration_names(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of all, then one after the other."""
    said = show(etc, capsys)
    lines = said.splitlines()
    head = next(line for line in lines if line.startswith("daemon "))
    row = next(line for line in lines if line.startswith("smtpd "))
    assert row.split()[0:2] == ["smtpd", "postnet"]
    assert head.index("user") == row.index("postnet")
    assert "not to be had here: Landlock: abstract sockets, signals" in lines
    assert "\x1b" not in said
    block = said[said.index("trivial-rewrite  services: rewrite") :]
    assert "/srv/mail" in block[: block.index("\n\n")]


def test_one_daemon_alone(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that its rules have."""
    said = show(etc, capsys, "postlogd")
    assert "appends to      /var/log/proof.log" in said
    assert "smtpd" not in said
    assert "threads         yes" in said
    assert "never executable" in said
    assert "daemons/postlogd/daemon.py:" in said
    assert umbrella(["posthouse", "confine", "show", "-c", etc, "nosuch"]) == 1
    assert 'no daemon "nosuch"' in capsys.readouterr().err


def test_json_has_all(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines."""
    report = json.loads(show(etc, capsys, "--json"))
    assert report["kernel"]["landlock"] <= 4
    daemons = {each["daemon"]: each for each in report["daemons"]}
    assert daemons["dns"]["udp"] is True
    assert daemons["smtp"]["tcp_connect"] is None
    assert daemons["smtpd"]["tcp_connect"] == []
    assert daemons["bounce"]["services"] == ["bounce", "defer", "trace"]
    assert "execve" not in daemons["smtpd"]["system_calls"]["always"]
    assert daemons["smtpd"]["system_calls"]["when"]["socket"] == "UNIX"


def test_unknown_words_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage text."""
    assert umbrella(["posthouse", "confine"]) == 64
    assert umbrella(["posthouse", "confine", "dance"]) == 64
    assert umbrella(["posthouse", "confine", "show", "-x"]) == 64
    assert "usage: posthouse confine" in capsys.readouterr().err


# --- what the proof is made of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_numbers_agree_with_those_of_the_filter(machine: str) -> None:
    """Two tables of the same facts."""
    architecture = {"x86_64": numbers.AUDIT_X86_64, "aarch64": numbers.AUDIT_AARCH64}[machine]
    for name, number in calls.numbers(machine).items():
        assert numbers.number(name, architecture) == number, name
        assert numbers.name_of(number, architecture) == name
    for name, on_x86, on_arm in seccomp.NOBODY_NEEDS:
        assert numbers.number(name, architecture) == (on_x86 if machine == "x86_64" else on_arm), name


RULES = (
    Rules("plain"),
    Rules("network", tcp_connect=None, tcp_bind=(0,)),
    Rules("dns", tcp_connect=None, tcp_bind=(0,), udp=True),
    Rules("writer", writes=("/srv",), threads=True),
    Rules("log", appends=("/srv/log",), threads=True),
)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.daemon)
def test_every_attempt_has_a_wall_on_a_kernel_that_has_all(rules: Rules) -> None:
    """An attempt that nothing is expected to refuse would prove nothing; more than sixty are left for everybody."""
    scene = Scene(rules, as_root=True, landlock=9, seccomp=True)
    attempts = all_attempts()
    assert len({attempt.name for attempt in attempts}) == len(attempts)
    without = [attempt.name for attempt in attempts if not declared(attempt, scene) and not attempt.may(scene)]
    assert without == []
    assert len(attempts) > 200
    for wall in (Wall.USERS, Wall.NOT_ROOT, Wall.FILES, Wall.PORTS, Wall.SCOPES, Wall.CALLS):
        assert sum(wall in declared(attempt, scene) for attempt in attempts) >= 2, wall
