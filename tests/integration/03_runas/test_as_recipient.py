"""What a recipient's process is before it opens anything, traced by the kernel; and what a command of his finds."""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.delivery import as_user
from posthouse.ipc.as_user import AGENT, NAME, OK, VERSION, Finished, RunCommand
from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.record import Hello
from posthouse.ipc.runas_wire import ANSWER, JOB, LIMITS, RULE, Job, JobKind, Limits
from posthouse.ipc.stream import encode_frame
from posthouse.ipc.warm_wire import send_record
from tests.support.runas import DENIED, GROUP, USER, Runas

pytestmark = [pytest.mark.integration, pytest.mark.root]
SERVER = "from posthouse.runas.server import serve_clients; from posthouse.delivery.as_user import serve; "
# What a fork does in libc and in the interpreter, and what the change of user is made of.
BEFORE = {"set_robust_list", "gettid", "getpid", "rseq", "rt_sigprocmask", "futex", "mmap", "munmap", "brk", "madvise"}
CHANGE = {"close_range", "close", "setgroups", "setresgid", "setresuid", "getresuid", "getresgid"}


class Agent:
    """A delivery agent at the socket of a recipient's process."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.sendall(encode_frame(Hello(NAME, VERSION)))
        self._frame()

    def run(self, command: str, **environment: str) -> Finished:
        """Have a command run."""
        self.sock.sendall(encode_frame(RunCommand(1, command, "", environment, b"", b"", False, 20.0)))
        return AGENT.decode(self._frame())

    def _frame(self) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, "the recipient's process went away"
            data += piece
        return data


@pytest.fixture
def agent() -> Iterator[Agent]:
    """Run a real runas with the real delivery code, and a process of a recipient's below it."""
    runas = Runas(RunasRule(JobKind.COMMAND, 1), as_user.serve)
    # What runas itself holds open must not reach anybody.
    answer, sock = runas.ask(Job(JobKind.COMMAND, 1, USER, GROUP, (GROUP + 5, DENIED)))
    assert answer.pid
    yield Agent(sock)
    runas.close()


def test_a_command_has_the_environment_of_its_job_and_our_path(agent: Agent) -> None:
    """Exactly the names that the agent gives; PATH is always our own, whatever is given."""
    os.environ["POSTHOUSE_SECRET"] = "x"
    done = agent.run("/usr/bin/env", USER="joe", SENDER="s@x", PATH="/tmp/evil", LD_PRELOAD_NOT="y")
    del os.environ["POSTHOUSE_SECRET"]
    lines = sorted(done.data.decode().split("\n"))
    assert lines == ["", "LD_PRELOAD_NOT=y", "PATH=/usr/bin:/bin", "SENDER=s@x", "USER=joe"]
    assert agent.run("/usr/bin/env").data == b"PATH=/usr/bin:/bin\n"


def test_a_command_has_three_descriptors(agent: Agent) -> None:
    """Its message, its output twice, and nothing of runas, of the agent or of the process it runs in."""
    lines = agent.run("/bin/ls -l /proc/self/fd").data.decode().split("\n")
    links = {int(line.split()[-3]): line.split()[-1] for line in lines if " -> " in line}
    listing = links.pop(3)  # the directory that ls reads
    assert listing.startswith("/proc/")
    assert links.keys() == {0, 1, 2}
    assert all(link.startswith("pipe:") for link in links.values()), links
    assert links[1] == links[2]


def test_a_command_is_the_recipient_and_leads_a_session(agent: Agent) -> None:
    """All ids, the groups that are left, no capability; its session and process group are its own."""
    done = agent.run("exec grep -E '^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|Pid|NSsid|NSpgid)' /proc/self/status")
    found = dict(line.split(":\t") for line in done.data.decode().splitlines())
    assert (done.ending, found["Uid"].split(), found["Gid"].split()) == (OK, [str(USER)] * 4, [str(GROUP)] * 4)
    assert found["Groups"].split() == [str(GROUP + 5)]
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert found["NSsid"] == found["NSpgid"] == found["Pid"]


def _traced(directory: Path) -> list[tuple[str, str]]:
    """Run runas under strace, and a command for a recipient; give the child's system calls with what they returned."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    output = directory / "trace"
    code = f"{SERVER}serve_clients({theirs.fileno()}, serve)"
    argv = ["strace", "-f", "-o", str(output), sys.executable, "-I", "-c", code]
    client, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    job, work = socket.socketpair()
    # A measurement of coverage writes files of its own: it ends here.
    clean = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(argv, pass_fds=[theirs.fileno()], env=clean) as strace, ours, client, job:
        theirs.close()
        ours.send(LIMITS.pack(Limits((USER + 1,), (GROUP + 1,), (DENIED,))))
        send_record(ours, RULE.pack(RunasRule(JobKind.COMMAND, 1)), [far.fileno()])
        send_record(client, JOB.pack(Job(JobKind.COMMAND, 1, USER, GROUP, (GROUP + 5,))), [work.fileno()])
        for sock in (far, work):
            sock.close()
        client.settimeout(60)
        job.settimeout(60)
        pid = ANSWER.unpack(client.recv(100)).pid
        assert Agent(job).run("/bin/true").ending == OK
        for sock in (job, client, ours):
            sock.close()
        assert strace.wait(60) == 0
    lines = [line.split(None, 1)[1] for line in output.read_text().splitlines() if line.split()[0] == str(pid)]
    # A call that another process interrupts has two lines; "<... name resumed>", the second, does not match.
    calls = [re.match(r"(\w+)\(", line) for line in lines]
    return [(call[1], line) for call, line in zip(calls, lines, strict=True) if call is not None]


def test_the_recipient_s_process_opens_nothing_as_root(tmp_path: Path) -> None:
    """Between the fork and setresuid it closes what it was not given and changes its ids; no file is touched."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not here: make peers")
    calls = _traced(tmp_path)
    names = [name for name, _ in calls]
    changed = names.index("setresuid")
    assert set(names[: changed + 1]) <= BEFORE | CHANGE, names[: changed + 1]
    assert [name for name in names[: changed + 1] if name in CHANGE - {"close"}][-4:] == [
        "close_range",
        "setgroups",
        "setresgid",
        "setresuid",
    ]
    by_name = dict(calls[: changed + 3])
    assert f"setgroups(1, [{GROUP + 5}]" in by_name["setgroups"]
    assert f"setresgid({GROUP}, {GROUP}, {GROUP}" in by_name["setresgid"]
    assert f"setresuid({USER}, {USER}, {USER}" in by_name["setresuid"]
    assert names[changed + 1 : changed + 3] == ["getresuid", "getresgid"]
    assert not {"setuid", "setresuid", "setreuid", "setgroups", "setresgid", "capset"} & set(names[changed + 1 :])
    assert "pipe2" in names[changed:], "the delivery code has made the pipes of the command, as the user"
