"""postconf -e: a name that nothing would read is refused, and what is wrong with a new value is said at a terminal."""

import os
import pty
import sys
from pathlib import Path

import pytest

from posthouse.commands import postconf
from tests.support.findings import GOOD_MAIN, GOOD_MASTER

KNOWN = [
    ["relayhost=[mx.example.net]"],
    ["relayhost = $my_relay", "my_relay=mx.example.net"],
    ["smtpd_restriction_classes=strict", "strict=reject"],
    ["smtp_destination_rate_delay=1s", "uucp_destination_recipient_limit=1", "slow_time_limit=5"],
    ["virtual_alias_maps=ldap:people", "people_search_base=o=example"],
    ["there_already=yes"],
    ["meant_for_it=yes"],
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a good configuration with two names of the user's own."""
    (tmp_path / "main.cf").write_text(GOOD_MAIN + "there_already = no\nmyorigin = $meant_for_it\n")
    (tmp_path / "master.cf").write_text(GOOD_MASTER)
    return tmp_path


@pytest.mark.parametrize("words", KNOWN)
def test_names_that_something_reads_are_set(directory: Path, words: list[str]) -> None:
    """Parameters, those of transports, classes, tables' attributes, and the user's own that a value refers to."""
    assert postconf.main(["-c", str(directory), "-e", *words]) == 0
    text = (directory / "main.cf").read_text()
    assert all(f"{word.partition('=')[0].strip()} = " in text for word in words)


def test_a_name_that_nothing_reads_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the name that was probably meant; nothing is changed, the good names of the same command neither."""
    before = (directory / "main.cf").read_text()
    assert postconf.main(["-c", str(directory), "-e", "relayhots=a", "max_use=5", "zzz=b"]) == 1
    assert (directory / "main.cf").read_text() == before
    assert capsys.readouterr().err == (
        'postconf: fatal: no parameter is called "relayhots" (did you mean "relayhost"?), "zzz", and no value refers '
        "to it; nothing is changed. Set it together with the value that uses it, or use --force\n"
    )
    assert postconf.main(["-c", str(directory), "relayhots=a"]) == 1


def test_a_name_that_nothing_reads_can_be_forced(directory: Path) -> None:
    """For scripts that set names before the values that use them."""
    assert postconf.main(["-c", str(directory), "--force", "-e", "relayhots=a"]) == 0
    assert "relayhots = a\n" in (directory / "main.cf").read_text()


def test_a_broken_file_can_be_repaired(directory: Path) -> None:
    """The question is not asked when the answer cannot be known."""
    (directory / "master.cf").write_text("broken\n")
    assert postconf.main(["-c", str(directory), "-e", "relayhots=a"]) == 0


@pytest.mark.parametrize(("word", "said"), [("max_use=0", "error: max_use: 0 is too small"), ("max_use=5", "")])
def test_a_wrong_value_is_told_at_a_terminal(directory: Path, word: str, said: str) -> None:
    """The value is set, as Postfix sets it; who types hears at once what is wrong with it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(
            sys.executable, [sys.executable, "-m", "posthouse.commands.postconf", "-c", str(directory), "-e", word]
        )
    output = b""
    try:
        while piece := os.read(terminal, 4096):
            output += piece
    except OSError:
        pass  # the other end is closed
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    shown = output.decode()
    assert (said in shown) if said else not shown
    assert word.replace("=", " = ") in (directory / "main.cf").read_text()


def test_an_edit_survives_a_power_cut(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is on disk before the file has its name, and the name is on disk before the command has succeeded."""
    steps: list[str] = []
    really_sync, really_rename = os.fsync, Path.rename

    def sync(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        really_sync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        steps.append(f"rename {path.name} {target.name}")
        return really_rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    assert postconf.main(["-c", str(directory), "-e", "max_use=5"]) == 0
    assert steps == ["sync main.cf.tmp", "rename main.cf.tmp main.cf", f"sync {directory.name}"]
