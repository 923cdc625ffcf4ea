"""What a whole system does with files, watched by strace(1), is what its AppArmor profiles let it do.

No profile is in force here: the tests' machines have no AppArmor. What a process does before it enters its profile is
done in that of warm, so each daemon is held against both.
"""

import os
import re
import smtplib
import subprocess
from collections.abc import Iterator

import pytest

from posthouse.commands.policies.apparmor import apparmor
from posthouse.commands.policies.system import read_system
from tests.support import net
from tests.support.apparmor_match import Profiles, read_trace
from tests.support.instance import Options
from tests.support.mailboxes import DOMAIN, Boxes
from tests.support.peers import REPOSITORY, find_peer, peer_environment
from tests.support.policy_tools import need_tools
from tests.support.servers import OURS, Posthouse

START_LIMIT_S = 60  # strace stops every process at each of these calls
CALLS = "openat,open,connect,unlink,unlinkat,rename,renameat2,mkdir"
ENTERED = {"master": ("posthouse",), "warm": ("posthouse-warm",)}
RECIPIENT = ("posthouse-warm", "posthouse-runas", "posthouse-mailbox")
pytestmark = [pytest.mark.integration, pytest.mark.root]


class Traced(Posthouse):
    """A system whose every process writes down what it opens."""

    foreground: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start in the foreground, below strace."""
        done = self.command("postfix", "set-permissions")
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        strace = [find_peer("strace"), "-f", "-qq", "-s", "300", "-e", f"trace={CALLS}", "-o", str(self.trace)]
        system = [self.program("postfix"), "-c", str(self.config_directory), "start-fg"]
        environment = {**peer_environment(), **self.environment()}
        with open(os.devnull, "wb") as null:
            self.foreground = subprocess.Popen([*strace, *system], env=environment, stdout=null, stderr=null)
        net.wait_greeting(self.port, START_LIMIT_S)

    @property
    def trace(self) -> str:
        """Give the place of strace's output."""
        return f"{self.directory}/trace"


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Give a system that delivers to virtual mailboxes, and has tables of its own."""
    need_tools()
    if not find_peer("strace"):
        pytest.skip("strace is not here: make peers")
    boxes = Boxes(["alice"]).options(virtual_alias_maps="texthash:{directory}/etc/aliases", local_recipient_maps="")
    boxes["files"]["aliases"] = f"all@example.test alice@{DOMAIN}\n"
    system = Traced(Options(**boxes))  # type: ignore[arg-type]
    system.mail_directory.chmod(0o1777)
    yield system
    system.destroy()
    if system.foreground is not None:
        system.foreground.wait(30)


def test_no_process_opens_what_its_profile_refuses(traced: Traced) -> None:
    """Mail comes in by SMTP and by sendmail, is delivered, bounces and is listed; what is opened is named."""
    traced.start()
    names = use(traced)
    profiles = Profiles(apparmor(read_system(str(traced.config_directory), str(OURS.parent))))
    traced.stop()
    watched = [use for use in read_trace(traced.directory / "trace") if use[0] in names and is_judged(use[1])]
    assert {"master", "warm", "qmgr", "smtpd", "cleanup", "virtual", "local", "runas", "bounce", "pickup", "showq"} <= {
        names[pid] for pid, _, _ in watched
    }
    refused = {
        (names[pid], path, modes)
        for pid, path, modes in watched
        if not any(
            profiles.allows(profile, *asked) for profile in entered(names[pid]) for asked in spelled(path, modes)
        )
    }
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


def use(system: Traced) -> dict[int, str]:
    """Let every daemon work; returns the processes that did, by name."""
    with smtplib.SMTP("127.0.0.1", system.port, timeout=60) as client:
        for recipient in (f"alice@{DOMAIN}", "all@example.test", "nosuch@example.test"):
            client.sendmail("sender@example.test", [recipient], "Subject: files\r\n\r\nHello.\r\n")
    names = {process.pid: process.name for process in system.processes()}
    assert system.command("sendmail", f"alice@{DOMAIN}", stdin=b"Subject: local\n\nHello.\n").returncode == 0
    assert system.command("postqueue", "-p").returncode in (0, 69)
    system.wait_log(r"postfix/virtual.* status=sent .*(?s:.*)status=sent .*(?s:.*)status=sent ", 60)
    system.wait_log(r"postfix/bounce.*notification", 60)
    return names | {process.pid: process.name for process in system.processes()}


def entered(name: str) -> tuple[str, ...]:
    """Give the profiles that a process of this name has been in. runas and its children have one name."""
    if name == "runas":
        return RECIPIENT
    return ENTERED.get(name, ("posthouse-warm", f"posthouse-{name.replace('_', '-')}"))


def spelled(path: str, modes: str) -> Iterator[tuple[str, str]]:
    """Give a path as AppArmor may see it: that of a directory ends with a slash."""
    path = os.path.normpath(path)
    yield path, modes
    if modes == "r" or os.path.isdir(path):  # one that was made
        yield f"{path}/", modes


def is_judged(path: str) -> bool:
    """Leave out the work tree's own code, which lies outside the prefix only here, and names below a descriptor."""
    return path.startswith("/") and not path.startswith(f"{REPOSITORY}/src")
