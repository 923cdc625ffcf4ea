"""posthouse confine prove: it passes on this system, and notices each wall that is taken away."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posthouse.commands.confine.attempt import Answer, Outcome
from posthouse.commands.confine.prove import choose, kernel_of, prove
from posthouse.commands.confine.prover import Proof
from posthouse.commands.confine.report import as_json, told
from posthouse.commands.confine.scratch import Scratch
from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.config.settings import Settings
from posthouse.confine import bpf, enforce, landlock, seccomp
from posthouse.confine import kernel as calls
from posthouse.confine.rules import Rules
from posthouse.warm import image
from tests.support.readable import readable_python
from tests.support.servers import OURS

pytestmark = pytest.mark.root
AT_LEAST = 60  # things that are refused to each daemon
NOBODY = 65534
# What no version of Landlock that we use refuses: whoever finds a socket's path may connect.
BY_PATH = "connect to a socket that all may use"
AGAIN = "read a table of root's again"
SCOPED = {"connect to an abstract socket", "send to an abstract socket"}
THREADED = "connect to an abstract socket, from a thread"
Step = tuple[str, Callable[[], None]]


@pytest.fixture(scope="module", autouse=True)
def etc() -> Iterator[str]:
    """Make a configuration directory that every user may read, and the users of the system."""
    directory = Path(tempfile.mkdtemp(prefix="etc-"))
    directory.chmod(0o755)
    places = f"queue_directory = {directory}/queue\ndata_directory = {directory}/data\n"
    (directory / "main.cf").write_text(f"compatibility_level = 3.11\n{places}")
    command = [str(OURS / "postfix"), "-c", str(directory), "set-permissions"]
    subprocess.run(command, check=True, capture_output=True)
    yield str(directory)
    shutil.rmtree(directory)


def everybody() -> set[str]:
    """Every program that a stock master.cf starts."""
    return {name for name, program in PROGRAMS.items() if is_built(program.package)} - {"oqmgr"}


def answers(proof: Proof, answer: Answer) -> set[str]:
    """Give the names of the attempts that ended so."""
    return {outcome.name for outcome in proof.attempts if outcome.answer is answer}


def check_report(report: dict[str, Any]) -> None:
    """See that it passed, and is no proof of nothing."""
    assert not (ended := {each["daemon"]: each["problem"] for each in report["daemons"] if each["problem"]}), ended
    assert report["passed"], json.dumps(report["summary"])
    assert {each["daemon"] for each in report["daemons"]} == everybody()
    for each in report["daemons"]:
        assert len(refused(each)) >= AT_LEAST, each["daemon"]
        assert sum(deed["answer"] == "works" for deed in each["allowed"]) >= 3, each["daemon"]


def test_every_daemon_passes_as_root(etc: str) -> None:
    """Nothing forbidden goes through, and all that is allowed works; the users of the system stand between daemons."""
    command = [str(OURS / "posthouse"), "confine", "prove", "--json", "-c", etc]
    done = subprocess.run(command, capture_output=True, check=False)
    report = json.loads(done.stdout)
    check_report(report)
    assert done.returncode == 0
    assert report["kernel"]["as_root"]
    assert {each["user"] for each in report["daemons"]} == {"posthouse", "postnet", "postspool"}
    for each in report["daemons"]:
        assert {found["name"] for found in each["attempts"] if found["answer"] == "no wall"} == {BY_PATH}
    assert {"cleanup", "smtpd"} <= {each["daemon"] for each in report["daemons"] if AGAIN in refused(each)}


def refused(daemon: dict[str, Any]) -> set[str]:
    """Give the names of what was refused to a daemon of a report."""
    return {attempt["name"] for attempt in daemon["attempts"] if attempt["answer"] == "refused"}


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """Clone this environment for somebody without rights."""
    with readable_python() as made:
        yield made


def as_nobody(python: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run an interpreter as a user who can do nothing."""
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    argv = ["setpriv", *who, "--inh-caps=-all", str(python), *words]
    return subprocess.run(argv, capture_output=True, check=False, cwd="/", text=True)


def test_every_daemon_passes_without_root(python: Path, etc: str) -> None:
    """One user for all: what root's users kept apart Landlock does; local runs commands and has fewer walls."""
    done = as_nobody(python, "-m", "posthouse.commands.posthouse", "confine", "prove", "--json", "-c", etc)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    report = json.loads(done.stdout)
    check_report(report)
    assert not report["kernel"]["as_root"]
    for each in report["daemons"]:
        without = {found["name"] for found in each["attempts"] if found["answer"] == "no wall"}
        if each["daemon"] == "local":
            assert "read a file that all may read" in without
        else:
            assert without == {BY_PATH, "connect to a socket of root's"}


DUMPABLE: str = """\
from posthouse.commands.confine.prove import choose, prove
from posthouse.commands.confine.scratch import Scratch
from posthouse.confine import enforce

original = enforce.steps

def alter():
    enforce.steps = lambda *given: [step for step in original(*given) if step[0] != "dumpable"]

with Scratch() as scratch:
    for change in (lambda: None, alter):
        [proof] = prove(scratch, choose(scratch.served, ["smtpd"]), change)
        print([outcome.name for outcome in proof.let_through], proof.problem)
"""


def test_a_process_that_can_be_read_is_noticed_where_no_change_of_user_hides_it(python: Path) -> None:
    """The kernel makes a process undumpable when it ceases to be root; without root only the step does."""
    done = as_nobody(python, "-c", DUMPABLE)
    assert done.stdout.splitlines() == ["[] ", "['be read by others of its user'] "], done.stderr


@pytest.mark.parametrize(
    ("version", "missing", "without"),
    [
        (1, {"truncate", "ports", "abstract"}, {BY_PATH, *SCOPED, "connect its listening socket elsewhere"}),
        (4, {"abstract"}, {BY_PATH, *SCOPED}),
        (6, set(), {BY_PATH}),
    ],
)
def test_an_older_landlock_lacks_what_is_named_and_no_more(version: int, missing: set[str], without: set[str]) -> None:
    """Held down to a version: what is missing is said, everything else still holds."""
    with Scratch(Settings.from_mapping({"landlock_newest_abi": str(version)})) as scratch:
        proofs = prove(scratch, scratch.served)
        kernel = kernel_of(scratch.settings, as_root=True)
    assert kernel.landlock == version
    said = " ".join(kernel.missing)
    assert all(word in said for word in missing)
    assert bool(said) == bool(missing)
    for proof in proofs:
        assert proof.good, proof
        expected = without & {outcome.name for outcome in proof.attempts if outcome.answer is not Answer.ABSENT}
        expected |= {THREADED} & answers(proof, Answer.NO_WALL) if version < landlock.ABI_SCOPES else set()
        if version < landlock.ABI_NETWORK and proof.program in {"smtp", "lmtp", "dns"}:
            expected.add("bind a TCP port")
        assert answers(proof, Answer.NO_WALL) == expected, proof.program
    lines = list(told(proofs, kernel))
    assert max(map(len, lines)) <= 120
    assert all(f"this kernel lacks {what}" in lines for what in kernel.missing)
    assert lines[-1].startswith(f"{sum(map(tried, proofs))} attempts, {len(proofs)} daemons, 0 let through")


def tried(proof: Proof) -> int:
    """Count what was really tried."""
    return sum(outcome.answer not in (Answer.ALLOWED, Answer.ABSENT) for outcome in proof.attempts)


# --- one wall after the other ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    """Run one scratch system for all that follows."""
    with Scratch() as made:
        yield made


def without_step(name: str) -> Callable[[], None]:
    """Leave one step of the confinement out."""

    def alter() -> None:
        original = enforce.steps

        def steps(rules: Rules, newest_abi: int) -> list[Step]:
            return [step for step in original(rules, newest_abi) if step[0] != name]

        setattr(enforce, "steps", steps)  # noqa: B010 - in a process of its own

    return alter


def with_rules(change: Callable[[Rules], Rules]) -> Callable[[], None]:
    """Enforce other rules than those that were computed."""

    def alter() -> None:
        original = enforce.steps
        setattr(enforce, "steps", lambda rules, newest_abi: original(change(rules), newest_abi))  # noqa: B010

    return alter


def with_landlock_of(**changes: object) -> Callable[[], None]:
    """Let Landlock alone enforce other rules."""

    def alter() -> None:
        original = landlock.restrict
        other = lambda rules, abi: original(replace(rules, **changes), abi)  # noqa: E731
        setattr(landlock, "restrict", other)  # noqa: B010

    return alter


def with_value(module: object, name: str, value: object) -> Callable[[], None]:
    """Give something in the process that forks the daemons another value."""
    return lambda: setattr(module, name, value)


def all_of(*changes: Callable[[], None]) -> Callable[[], None]:
    """Take several walls away."""

    def alter() -> None:
        for change in changes:
            change()

    return alter


def stay_root(_request: object) -> None:
    """Take the place of the change of user."""


TAKEN_AWAY: dict[str, tuple[Callable[[], None], str, set[str], bool]] = {
    # what is taken away: how, from which daemon, what the proof names, and whether it is no more than that
    "Landlock": (
        without_step("landlock"),
        "smtpd",
        {"read a file that all may read", "read /proc/self/maps", "connect its listening socket elsewhere", *SCOPED},
        False,
    ),
    "Landlock's files": (
        with_landlock_of(reads=("/",), writes=("/",)),
        "smtpd",
        {"read a file that all may read", "read main.cf", "read the names in /", "read cmdline of master"},
        False,
    ),
    "Landlock's ports": (
        with_landlock_of(tcp_connect=None),
        "smtpd",
        {"connect its listening socket elsewhere"},
        True,
    ),
    "Landlock's ports to bind": (
        with_landlock_of(tcp_bind=(0, *range(1024, 65536))),
        "smtp",
        {"bind a TCP port"},
        True,
    ),
    "Landlock's scopes": (with_value(landlock, "_SCOPES", 0), "smtpd", SCOPED, True),
    "seccomp": (
        without_step("seccomp"),
        "smtpd",
        {"chmod", "a user namespace", "fork", "make system calls without a filter", "send by UDP", "memory to execute"},
        False,
    ),
    "one call of the filter": (
        with_value(seccomp, "ALWAYS", seccomp.ALWAYS + " memfd_create"),
        "smtpd",
        {"a file in memory"},
        True,
    ),
    "a condition of the filter": (
        with_value(seccomp, "_PROT_EXEC", 0),
        "smtpd",
        {"memory to execute", "memory to write and execute", "make memory executable"},
        True,
    ),
    "change of user": (
        with_value(image, "_become", stay_root),
        "showq",
        {"stay root", "stay in root's group", "stay who started it", "keep the bounding set"},
        False,
    ),
    "change of user and what stands behind it": (
        all_of(with_value(image, "_become", stay_root), with_value(calls, "drop_capabilities", lambda: None)),
        "showq",
        {"stay root", "keep a capability"},
        False,
    ),
    "bounding set": (with_value(image, "PR_CAPBSET_DROP", -1), "smtpd", {"keep the bounding set"}, True),
    "filter of a thread": (
        with_rules(lambda rules: replace(rules, executes=True)),
        "cleanup",
        {"fork, from a thread", "fork", "execute a program", "read a file that all may read, from a thread"},
        False,
    ),
}


@pytest.mark.parametrize("taken_away", TAKEN_AWAY)
def test_a_wall_that_is_missing_is_noticed(scratch: Scratch, taken_away: str) -> None:
    """Without it something goes through, and the proof says what; with all of them nothing does."""
    alter, program, named, alone = TAKEN_AWAY[taken_away]
    [proof] = prove(scratch, choose(scratch.served, [program]), alter)
    assert not proof.problem
    found = {outcome.name for outcome in proof.let_through}
    assert found == named if alone else found >= named
    assert not proof.good
    kernel = kernel_of(scratch.settings, as_root=True)
    lines = "\n".join(told([proof], kernel))
    assert all(f"{program}: let through: {name}" in lines for name in named)
    assert f"1 daemons, {len(found)} let through" in lines
    assert as_json([proof], kernel)["passed"] is False


def test_one_path_too_many_is_noticed(scratch: Scratch) -> None:
    """A rule that nobody declared lets one file be read."""
    more = with_rules(lambda rules: replace(rules, reads=(*rules.reads, scratch["readable"])))
    [proof] = prove(scratch, choose(scratch.served, ["showq"]), more)
    assert {outcome.name for outcome in proof.let_through} == {"read a file that all may read"}


def test_a_right_that_is_missing_is_noticed(scratch: Scratch) -> None:
    """A daemon to which everything is refused is no success either."""
    less = with_rules(lambda rules: replace(rules, reads=tuple(path for path in rules.reads if path != "/etc")))
    [proof] = prove(scratch, choose(scratch.served, ["showq"]), less)
    failing = [outcome for outcome in proof.allowed if not outcome.good]
    assert [(outcome.name, outcome.said) for outcome in failing] == [("read /etc", "EACCES")]
    assert not proof.good


def test_a_daemon_that_cannot_be_confined_is_named_with_its_reason(scratch: Scratch) -> None:
    """Without no_new_privs the kernel takes neither of the other two from who is not root."""
    [proof] = prove(scratch, choose(scratch.served, ["smtpd"]), without_step("no_new_privs"))
    assert not proof.good
    assert proof.problem.startswith('ended at "its start", exit status 1: fatal: cannot confine this process')
    assert "Operation not permitted" in proof.problem


def test_a_daemon_that_dies_of_an_attempt_is_named_with_it(scratch: Scratch) -> None:
    """A filter that kills: the proof goes on, and says at what it happened."""
    wanted = choose(scratch.served, ["smtpd", "error"])
    proofs = prove(scratch, wanted, with_value(bpf, "REFUSE", bpf.KILL))
    assert [proof.program for proof in proofs] == ["smtpd", "error"]
    for proof in proofs:
        assert "killed by signal 31 (SIGSYS)" in proof.problem
        assert not proof.good


def test_outcomes_say_which_error_the_kernel_gave(scratch: Scratch) -> None:
    """The table of one daemon has the error's name and the walls."""
    [proof] = prove(scratch, choose(scratch.served, ["discard"]))
    found = {outcome.name: outcome for outcome in proof.attempts}
    assert found["chmod"] == Outcome("chmod", Answer.REFUSED, 1, ("seccomp",))
    assert found["read a file that all may read"].said == "EACCES"
    assert found["fork by clone3"].said == "ENOSYS"
    lines = list(told([proof], kernel_of(scratch.settings, as_root=True)))
    assert any(line.split() == ["chmod", "refused", "EPERM", "seccomp"] for line in lines)
