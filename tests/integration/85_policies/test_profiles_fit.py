"""What a whole system does with files, watched by strace(1), is what its AppArmor profiles let it do.

No profile is in force here: the tests' machines have no AppArmor. Each process is held against the profile that it
would be in at that moment: its parent's, until it enters its own.
"""

import os
import re
import smtplib
import socket
from collections.abc import Iterator

import pytest

from posthouse.commands.policies.apparmor import apparmor
from posthouse.commands.policies.system import read_system
from tests.support.apparmor_match import Profiles, file_uses
from tests.support.instance import Options
from tests.support.mailboxes import DOMAIN, Boxes
from tests.support.peers import REPOSITORY
from tests.support.servers import OURS
from tests.support.traced import CURRENT, Task, Traced

PARTS = ("warm", "orders", "runas", "mailbox")
EXPECTED = (*PARTS, "qmgr", "smtpd", "cleanup", "virtual", "local", "bounce", "pickup", "showq", "governor", "metrics")
pytestmark = [pytest.mark.integration, pytest.mark.root]


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Give a system that delivers to virtual mailboxes, and has tables of its own."""
    boxes = Boxes(["alice"]).options(virtual_alias_maps="texthash:{directory}/etc/aliases", local_recipient_maps="")
    boxes["files"]["aliases"] = f"all@example.test alice@{DOMAIN}\n"
    system = Traced(Options(master=["metrics unix - - n - - metrics"], **boxes))  # type: ignore[arg-type]
    system.mail_directory.chmod(0o1777)
    yield system
    system.destroy()


def test_no_process_opens_what_its_profile_refuses(traced: Traced) -> None:
    """Mail comes in by SMTP and by sendmail, is delivered, bounces and is listed; what is opened is named."""
    traced.start()
    use(traced)
    profiles = Profiles(apparmor(read_system(str(traced.config_directory), str(OURS.parent))))
    traced.stop()
    used = [use for task in traced.tree().all() for use in uses(task)]
    assert {profile for profile, _, _ in used} >= {"posthouse", *(f"posthouse-{name}" for name in EXPECTED)}
    assert {name for name, _, _ in used if name not in profiles} == set()
    refused = {use for use in used if not any(profiles.allows(use[0], *asked) for asked in spelled(*use[1:]))}
    assert refused == set()


def test_a_missing_rule_is_found(traced: Traced) -> None:
    """The same profiles without qmgr's directory, or without smtpd's socket of cleanup, refuse what was done."""
    text = apparmor(read_system(str(traced.config_directory), str(OURS.parent)))
    store = f"{traced.queue_directory}/posthouse/store-1.sqlite"
    assert Profiles(text).allows("posthouse-qmgr", store, "rw")
    assert not Profiles(text).allows("posthouse-smtpd", store, "r")
    assert not Profiles(re.sub(r".*/posthouse/\*\* rwkl,\n", "", text)).allows("posthouse-qmgr", store, "rw")
    cleanup = f"{traced.queue_directory}/public/cleanup"
    assert Profiles(text).allows("posthouse-smtpd", cleanup, "rw")
    assert not Profiles(text.replace("/public/cleanup rw,", "/public/other rw,")).allows(
        "posthouse-smtpd", cleanup, "rw"
    )


def use(system: Traced) -> None:
    """Let every daemon work."""
    with smtplib.SMTP("127.0.0.1", system.port, timeout=60) as client:
        for recipient in (f"alice@{DOMAIN}", "all@example.test", "nosuch@example.test"):
            client.sendmail("sender@example.test", [recipient], "Subject: files\r\n\r\nHello.\r\n")
    assert system.command("sendmail", f"alice@{DOMAIN}", stdin=b"Subject: local\n\nHello.\n").returncode == 0
    assert system.command("postqueue", "-p").returncode in (0, 69)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{system.queue_directory}/private/metrics")
        sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    system.wait_log(r"postfix/virtual.* status=sent .*(?s:.*)status=sent .*(?s:.*)status=sent ", 60)
    system.wait_log(r"postfix/bounce.*notification", 60)


def uses(task: Task) -> Iterator[tuple[str, str, str]]:
    """Give what a process did to files: the profile it was in, path (as the kernel resolves thread-self) and modes."""
    for call in task.calls:
        for path, modes in file_uses(call.name, call.arguments):
            if path == CURRENT:
                yield call.profile, f"/proc/{task.pid}/task/{task.pid}/attr/current", "rw"
            elif is_judged(path):
                yield call.profile, path, modes


def spelled(path: str, modes: str) -> Iterator[tuple[str, str]]:
    """Give a path as AppArmor may see it: that of a directory ends with a slash."""
    path = os.path.normpath(path)
    yield path, modes
    if modes == "r" or os.path.isdir(path):  # one that was made
        yield f"{path}/", modes


def is_judged(path: str) -> bool:
    """Leave out the work tree's own code, which lies outside the prefix only here, and names below a descriptor."""
    return path.startswith("/") and not path.startswith(f"{REPOSITORY}/src")
