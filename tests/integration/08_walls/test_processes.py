"""What the kernel says of every process of a running system: user, groups, capabilities, filters, limits."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.instance import Instance
from tests.support.load import Load, smtp_source
from tests.support.processes import kernel_status, wait_confined

NOBODY = "65534"
STAY_ROOT = {"master", "warm", "runas"}
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
WAYS = {"discard.test": "discard:", "refused.test": "smtp:[127.0.0.1]:1"}
RECIPIENTS = ("u@discard.test", "u@refused.test", "alice@example.test", "box@box.test")


def busy_server(posthouse: Start) -> Instance:
    """Start a system and send mail every way, so that every kind of daemon runs."""
    transport = "".join(f"{domain} {way}\n" for domain, way in WAYS.items())
    server = posthouse(
        main={
            "transport_maps": "texthash:{directory}/etc/transport",
            "alias_maps": "inline:{{alice={mail}/alice/}}",
            "local_recipient_maps": "static:all",
            "virtual_mailbox_domains": "box.test",
            "virtual_mailbox_maps": "static:box/",
            "virtual_mailbox_base": "{mail}",
            "virtual_uid_maps": f"static:{NOBODY}",
            "virtual_gid_maps": f"static:{NOBODY}",
        },
        files={"transport": transport},
    )
    smtp_source(Load(len(RECIPIENTS) * 2, sessions=2, recipients=RECIPIENTS), server.port)
    assert server.command("postqueue", "-p").returncode == 0
    return server


@pytest.mark.root
def test_nobody_but_three_processes_keeps_anything_of_root(posthouse: Start) -> None:
    """No identity, group, capability or way back; each has a filter and cannot leave its memory behind."""
    server = busy_server(posthouse)
    seen = set()
    for process in server.processes():
        if process.name in STAY_ROOT:
            continue
        seen.add(process.name)
        wait_confined(process.pid)
        found = kernel_status(process.pid)
        for field in ("Uid", "Gid"):
            assert len(set(found[field].split())) == 1, f"{process.name}: {field} {found[field]}"
            assert "0" not in found[field].split(), f"{process.name}: {field} {found[field]}"
        assert "0" not in found["Groups"].split(), process.name
        assert {found[field] for field in CAPABILITIES} == {"0" * 16}, process.name
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2"), process.name
        assert int(found["SigCgt"], 16) >> (signal.SIGALRM - 1) & 1, f"{process.name} has no watchdog"
        limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
        assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]], process.name
    assert seen >= {
        "smtpd",
        "cleanup",
        "qmgr",
        "trivial_rewrite",
        "discard",
        "smtp",
        "virtual",
        "local",
        "pickup",
        "postlogd",
    }


# What a descriptor may be, apart from files that the daemon's rules name.
ANONYMOUS = re.compile(r"socket:\[\d+\]|pipe:\[\d+\]|anon_inode:\[event(poll|fd|)\].*|/dev/null")
FILES = {
    "qmgr": "{queue}/posthouse/",
    "postlogd": "{directory}/maillog",
    "cleanup": "{queue}/posthouse/spool/",
    "virtual": "{queue}/posthouse/spool/",
    "local": "{queue}/posthouse/spool/",
    "smtp": "{queue}/posthouse/spool/",
}


@pytest.mark.root
def test_descriptors_are_what_is_declared(posthouse: Start) -> None:
    """Sockets, pipes and the loop's own; files only where the daemon's work is."""
    server = busy_server(posthouse)
    for process in server.processes():
        if process.name in STAY_ROOT:
            continue
        allowed = FILES.get(process.name, "-").format(queue=server.queue_directory, directory=server.directory)
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            target = os.readlink(entry)
            if target == f"/proc/{process.pid}/smaps_rollup":  # its own size, for the governor
                continue
            if process.name == "governor" and re.match(r"/proc/[a-z]|/sys/fs/cgroup/", target):  # what it measures
                continue
            assert ANONYMOUS.fullmatch(target) or target.startswith(allowed), f"{process.name}: {target}"


@pytest.mark.root
def test_a_death_by_a_forbidden_call_is_named(posthouse: Start) -> None:
    """SIGSYS is what a call by another convention ends in; the service goes on with the next process."""
    server = busy_server(posthouse)
    (victim,) = [process.pid for process in server.processes() if process.name == "trivial_rewrite"]
    os.kill(victim, signal.SIGSYS)
    deadline = time.monotonic() + 10
    said = f"process trivial-rewrite pid {victim} killed by signal {int(signal.SIGSYS)}"
    while said not in server.log():
        assert time.monotonic() < deadline, server.log()[-2000:]
        time.sleep(0.05)
    assert "a system call that its rules do not allow" in server.log()
    smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
