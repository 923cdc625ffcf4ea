"""Running commands: what they are told, what they say, how they end."""

import time
import tracemalloc
from pathlib import Path

import pytest

from posthouse.delivery import command
from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import TRY_LATER, RunCommand


def run(text: str, *, content: bytes = b"body\n", limit_s: float = 20.0, **environment: str) -> tuple[int, bytes]:
    """Run a command with a message."""
    return command.run(RunCommand(1, text, "", environment, b"Head: er\n", b"", False, limit_s), content)


def test_the_message_is_its_standard_input() -> None:
    """Head first; its output is kept."""
    assert run("cat") == (0, b"Head: er\nbody\n")


def test_it_has_the_environment_it_is_given_and_no_other() -> None:
    """Nothing of ours; a path of the system's own programs."""
    status, output = run("env", SENDER="s@x", USER="u")
    assert status == 0
    assert sorted(output.split()) == [b"PATH=/usr/bin:/bin", b"SENDER=s@x", b"USER=u"]


def test_a_shell_runs_what_needs_one() -> None:
    """And only that; words of other commands are cut at blanks."""
    assert run('echo "$USER" | tr a-z A-Z; exit 3', USER="joe") == (3, b"JOE\n")
    assert run("echo a  b") == (0, b"a b\n")


def test_standard_error_is_output_as_well() -> None:
    """It goes to the log and into the notice."""
    assert run("echo oops >&2; exit 1") == (1, b"oops\n")


def test_much_output_is_cut() -> None:
    """A kilobyte says enough."""
    assert run("head -c 100000 /dev/zero | tr '\\0' x")[1] == b"x" * command.MAX_OUTPUT


def test_a_command_that_does_not_read_is_no_error() -> None:
    """The message may be larger than a pipe."""
    assert run("true", content=b"x" * 1_000_000) == (0, b"")


def test_a_signal_is_told() -> None:
    """As a negative number."""
    assert run("kill -9 $$") == (-9, b"")


def late(text: str) -> Ending:
    """Run a command with too little time."""
    with pytest.raises(Ending) as caught:
        run(text, limit_s=0.1)
    return caught.value


def test_a_command_that_takes_too_long_is_killed_with_its_children() -> None:
    """The mail waits."""
    began = time.monotonic()
    ending = late("sleep 30; true")
    assert ending.kind == TRY_LATER
    assert ending.text == 'Command time limit exceeded: "sleep 30; true"'
    assert time.monotonic() - began < 5


def test_a_child_that_ran_away_holds_up_nobody() -> None:
    """It has a session of its own, and our pipe."""
    began = time.monotonic()
    assert late("setsid sleep 3; true").kind == TRY_LATER
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("text", ["/no/such/program", "/no/such/program a b", "/", "", " "])
def test_a_command_that_cannot_be_run_is_a_temporary_failure(text: str) -> None:
    """EX_TEMPFAIL, as in Postfix: somebody must mend the alias; an empty one does not swallow mail."""
    assert run(text)[0] == command.CANNOT_RUN == 75


def test_a_word_that_is_no_program_may_be_one_of_the_shell() -> None:
    """Which says 127 when it is not; the mail is returned then."""
    assert run("exit 3")[0] == 3
    assert run("no-such-program a b")[0] == 127


def test_it_starts_in_the_root_directory_or_where_it_is_told(tmp_path: Path) -> None:
    """Never where we happen to be."""
    assert run("pwd") == (0, b"/\n")
    job = RunCommand(1, "pwd", str(tmp_path), {}, b"", b"", False, 20.0)
    assert command.run(job, b"") == (0, f"{tmp_path}\n".encode())


def test_a_command_that_writes_for_ever_takes_no_memory() -> None:
    """Its output is read and dropped until its time is over: memory is everybody's."""
    tracemalloc.start()
    try:
        with pytest.raises(Ending):
            run("yes", limit_s=0.5)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
