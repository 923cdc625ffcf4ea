"""Every process of a running system tries to enter its domain, at the one place where it can and must (strace(1)).

The kernel of the tests has neither AppArmor nor SELinux, so reading the present domain fails and nothing is written;
what is written where there is one, tests/unit/util/test_enter_domain.py and tests/unit/confine/test_domain.py show.
"""

import smtplib
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.instance import MASTER_CF, Options
from tests.support.mailboxes import DOMAIN, Boxes
from tests.support.peers import REPOSITORY
from tests.support.processes import Process
from tests.support.traced import Call, Task, Traced

pytestmark = [pytest.mark.integration, pytest.mark.root]
CHROOTED: Final = MASTER_CF.replace("inet n - n - - smtpd", "inet n - y - - smtpd")
# Calls that tell how far a process has come.
MARKS: Final = {
    "setresuid": "user",
    "chroot": "chroot",
    "landlock_restrict_self": "wall",
    "seccomp": "wall",
    "execve": "program",
}
# What the interpreter opens at its start (its site module looks for the home directory), and when it imports.
DEVICES: Final = ("/proc/self/", "/dev/null", "/dev/urandom", "/sys/devices/")
CODE: Final = (
    "/usr/",
    "/lib",
    str(REPOSITORY),
    sys.prefix,
    "/etc/ld.so",
    "/etc/passwd",
    "/etc/nsswitch.conf",
    *DEVICES,
)


def mark(call: Call) -> str:
    """Say in a word what a call means here; "" for nothing."""
    if call.enters:
        return "domain"
    if call.name == "prctl" and call.arguments.startswith("PR_SET_NO_NEW_PRIVS"):
        return "no_new_privs"
    return "thread" if call.starts_thread else MARKS.get(call.name, "")


def marks(task: Task) -> list[str]:
    """Give these words in their order."""
    return [word for word in map(mark, task.calls) if word]


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[Task, list[Process]]]:
    """Run a system that receives, delivers to a mailbox and a command, bounces and lists; give what was there."""
    main = {"alias_maps": "texthash:{directory}/etc/commands", "local_recipient_maps": ""}
    boxes = Boxes(["alice"]).options(**main)
    boxes["files"]["commands"] = 'command "|exec cat >/dev/null"\n'
    system = Traced(Options(master_cf=CHROOTED, **boxes))  # type: ignore[arg-type]
    system.mail_directory.chmod(0o1777)
    try:
        system.start()
        with smtplib.SMTP("127.0.0.1", system.port, timeout=60) as client:
            recipients = [f"alice@{DOMAIN}", "command@example.test", "nosuch@example.test"]
            client.sendmail("sender@example.test", recipients, "Subject: domains\r\n\r\nHello.\r\n")
        assert system.command("sendmail", f"alice@{DOMAIN}", stdin=b"Subject: local\n\nHello.\n").returncode == 0
        assert system.command("postqueue", "-p").returncode in (0, 69)
        system.wait_log(r" status=sent .*(?s:.*)status=sent .*(?s:.*)status=sent ", 60)
        system.wait_log(r"postfix/bounce.*notification", 60)
        living = system.processes()
        system.stop()
        yield system.tree(), living
    finally:
        system.destroy()


@pytest.fixture(scope="module")
def tasks(ran: tuple[Task, list[Process]]) -> dict[int, Task]:
    """Give every process and thread that there was."""
    return {task.pid: task for task in ran[0].all()}


def children(tasks: dict[int, Task], name: str) -> list[Task]:
    """Give the processes that those of a name started, threads apart."""
    parents = [task for task in tasks.values() if task.name == name]
    threads = {call.result for task in parents for call in task.calls if call.starts_thread}
    return [child for task in parents for child in task.children if child.pid not in threads]


def test_every_living_process_but_master_has_entered_once(
    ran: tuple[Task, list[Process]], tasks: dict[int, Task]
) -> None:
    """None is left out: master is put where it is by systemd or init, and everybody else goes by himself."""
    names = {process.name for process in ran[1]}
    daemons = {
        "smtpd",
        "cleanup",
        "qmgr",
        "virtual",
        "local",
        "pickup",
        "showq",
        "governor",
        "trivial_rewrite",
        "postlogd",
    }
    assert names >= {"master", "warm", "runas", *daemons}
    entered = {(process.name, marks(tasks[process.pid]).count("domain")) for process in ran[1]}
    assert entered == {(name, 0 if name == "master" else 1) for name in names}


def test_daemons_enter_as_their_user_and_before_the_walls(tasks: dict[int, Task]) -> None:
    """Their domains have no right to change user, and no_new_privs would end all changes of domain."""
    daemons = [task for task in tasks.values() if "no_new_privs" in marks(task)]
    assert {task.name for task in daemons} >= {
        "smtpd",
        "cleanup",
        "qmgr",
        "virtual",
        "local",
        "bounce",
        "pickup",
        "showq",
    }
    for task in daemons:
        assert marks(task)[:3] == ["user", "domain", "no_new_privs"], task.name
    assert {task.name for task in daemons if "chroot" in marks(task)[3:]} == {"smtpd"}


def test_warm_and_orders_enter_before_they_do_anything(tasks: dict[int, Task]) -> None:
    """What they open before is the program; warm forks nobody, and orders is still root and has read nothing."""
    warm, orders = (next(task for task in tasks.values() if task.name == name) for name in ("warm", "orders"))
    assert marks(warm) == ["program", "domain"]
    assert marks(orders) == ["program", "domain", "user"]
    for task in (warm, orders):
        before = task.calls[: next(number for number, call in enumerate(task.calls) if call.enters)]
        assert {call.name for call in before} <= {"execve", "openat", "prctl"}
        opened = [call.arguments.split('"')[1] for call in before if call.name == "openat"]
        assert not [path for path in opened if not path.startswith(CODE)]


def test_runas_enters_before_its_first_record(tasks: dict[int, Task]) -> None:
    """As root, since it stays that; its children are somebody else when they enter theirs, and have opened nothing."""
    runas = next(task for task in tasks.values() if task.name == "runas" and "user" not in marks(task))
    assert marks(runas) == ["domain"]
    found = children(tasks, "runas")
    recipients = [task for task in found if "user" in marks(task)]
    assert len(recipients) >= 2
    for task in recipients:
        assert [mark(call) for call in task.calls[:2]] == ["user", "domain"]
    commands = [task for task in recipients if task.executes]
    assert commands
    assert {call.profile for task in commands for below in task.all() for call in below.calls[2:]} == {
        "posthouse-command"
    }
