"""What a process does to its own surroundings, in children of the test."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.util.process import EX_OSERR, become, close_others, name_process

USER, GROUP = 4321, 4322


def _in_child(work: Callable[[], object]) -> str:
    """Do it in a child of its own; what it says, or its exit status."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    pid = os.fork()
    if pid == 0:
        kept = os.dup2(writer, 2000)
        code = 99
        try:
            os.write(kept, str(work()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text if code == 0 else str(code)


def _open_ones() -> list[int]:
    return [number for number in range(2001) if _is_open(number)]


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_only_what_is_named_stays_open() -> None:
    """Beside standard input, output and error; in any order, twice, and closed ones too."""

    def work() -> list[int]:
        for number in (3, 9, 10, 500):
            os.dup2(0, number)
        close_others([2000, 10, 9, 10, 700])
        return _open_ones()

    assert _in_child(work) == "[0, 1, 2, 9, 10, 2000]"


def test_nothing_stays_open_when_nothing_is_named() -> None:
    """What the test itself speaks through goes as well."""
    assert _in_child(lambda: close_others([])) == "99"


def test_a_process_has_its_name() -> None:
    """Fifteen octets of it, as the kernel keeps them; where /proc is read-only that is no misfortune."""

    def work() -> str:
        name_process("a_daemon_with_a_long_name")
        return Path("/proc/self/comm").read_text().strip()

    assert _in_child(work) == "a_daemon_with_a"


def test_a_name_that_cannot_be_written_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may hide /proc."""

    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    name_process("x")
    monkeypatch.undo()
    assert Path("/proc/self/comm").read_text().strip() != "x"


@pytest.mark.root
def test_becoming_somebody_is_for_good() -> None:
    """All three ids and the groups; there is no way back."""

    def work() -> object:
        become(USER, GROUP, [GROUP + 5])
        with pytest.raises(PermissionError):
            os.setresuid(0, 0, 0)
        with pytest.raises(PermissionError):
            os.setgroups([])
        return os.getresuid(), os.getresgid(), os.getgroups()

    assert _in_child(work) == str(((USER,) * 3, (GROUP,) * 3, [GROUP + 5]))


@pytest.mark.root
@pytest.mark.parametrize("call", ["setresuid", "setresgid"])
def test_a_change_that_did_not_happen_ends_the_process(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whatever a kernel or a sandbox says: what the ids are is what counts."""
    monkeypatch.setattr(os, call, lambda *_: None)
    assert _in_child(lambda: become(USER, GROUP, [])) == str(EX_OSERR)
