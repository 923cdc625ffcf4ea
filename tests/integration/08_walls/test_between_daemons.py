"""A daemon that was taken over finds the doors of the others closed, where it has no business."""

import os
import pwd
import socket
import time

import pytest

from tests.conftest import Start
from tests.support.instance import Instance
from tests.support.load import Load, smtp_source

AGENTS = ("local", "virtual", "error", "discard", "bounce", "defer", "trace")
TIMEOUT_S = 10


def connect_as(server: Instance, user: str, path: str) -> str:
    """Connect as a daemon's user, in his groups, and wait: "closed" or "open"."""
    entry, inner = pwd.getpwnam(user), pwd.getpwnam("posthouse")
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.setgroups([inner.pw_gid])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        said = "closed"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.connect(str(server.queue_directory / path))
            if sock.recv(1):
                said = "open"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def wait_for(server: Instance, text: str) -> None:
    """Wait until the log says something."""
    deadline = time.monotonic() + TIMEOUT_S
    while text not in server.log():
        assert time.monotonic() < deadline, f"{text!r} does not come:\n{server.log()[-2000:]}"
        time.sleep(0.05)


@pytest.mark.root
def test_only_qmgr_has_mail_to_deliver(posthouse: Start) -> None:
    """smtpd's user cannot have a mailbox written or a bounce sent; qmgr's can, and does."""
    server = posthouse(main={"transport_maps": "inline:{{discard.test=discard:}}"})
    for agent in AGENTS:
        assert connect_as(server, "postnet", f"private/{agent}") == "closed", agent
        wait_for(server, f"may not use the {agent} service")
        assert connect_as(server, "postspool", f"private/{agent}") == "open", agent
    smtp_source(Load(1, recipients=("u@discard.test",)), server.port)
    wait_for(server, "to=<u@discard.test>, relay=none")
