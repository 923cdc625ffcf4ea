"""A real runas process, forked from the test, and the parts of master and of a daemon that ask it."""

import os
import socket

from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.runas_wire import ANSWER, JOB, LIMITS, RULE, Answer, Job, Limits
from posthouse.ipc.warm_wire import send_record
from posthouse.runas.server import Serve, serve_clients

USER, GROUP = 4321, 4322
DENIED = 77


def tell(descriptor: int, kind: int) -> None:
    """Stand in for the delivery code: say who we are, then wait for the end of the socket."""
    with socket.socket(fileno=descriptor) as sock:
        descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd"))
        text = f"{os.getresuid()} {os.getresgid()} {sorted(os.getgroups())} {kind} {len(descriptors)}"
        sock.sendall(text.encode())
        sock.recv(1)


class Runas:
    """A runas process, with a client's socket to it."""

    def __init__(self, rule: RunasRule, serve: Serve = tell) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.control.close()
                serve_clients(theirs.detach(), serve)
            finally:
                os._exit(99)
        theirs.close()
        self.sockets = [self.control]
        self.control.send(LIMITS.pack(Limits((USER + 1,), (GROUP + 1,), (DENIED,))))
        self.client = self.connect(rule)

    def connect(self, rule: RunasRule) -> socket.socket:
        """Play master: register a client."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        send_record(self.control, RULE.pack(rule), [theirs.fileno()])
        theirs.close()
        ours.settimeout(10)
        self.sockets.append(ours)
        return ours

    def ask(self, job: Job) -> tuple[Answer, socket.socket]:
        """Play a daemon: ask for a job."""
        ours, theirs = socket.socketpair()
        send_record(self.client, JOB.pack(job), [theirs.fileno()])
        theirs.close()
        ours.settimeout(10)
        self.sockets.append(ours)
        return ANSWER.unpack(self.client.recv(1024)), ours

    def close(self) -> None:
        """End it."""
        for sock in self.sockets:
            sock.close()
        _, status = os.waitpid(self.pid, 0)
        assert status == 0
