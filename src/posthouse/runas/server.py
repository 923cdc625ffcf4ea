"""runas(8): the last root part. Forks children that become somebody for good, and does nothing else.

It reads fixed records: from master who may ask (a socket per process of local, virtual, pipe or spawn, with its
rule), from those processes what they want: kind, service, uid, gid, groups and a descriptor. It refuses root, our own
users, ids below the service's minimum, and for services whose user the configuration fixes every other user. Groups
that are as good as root (disk, shadow, docker ...) are given to nobody. It parses nothing, looks up no account, and
holds no configuration. Its child reads jobs from the descriptor, as the user, until that is closed.
"""

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable
from typing import Final, NoReturn, cast

from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.runas_wire import ANSWER, JOB, LIMITS, RULE, Answer, Job, Limits, Verdict
from posthouse.ipc.warm_wire import close_all, receive_record
from posthouse.util.process import become, close_others

MAX_RECORD: Final = max(RULE.size, JOB.size)
MAX_CHILDREN: Final = 200  # each is one user's deliveries at a time; beyond it agents try again
Serve = Callable[[int, int], None]  # (descriptor, kind): reads jobs until end of file


def serve_clients(descriptor: int, serve: Serve) -> NoReturn:
    """Serve until master has closed the control socket and the last client is gone."""
    control = socket.socket(fileno=descriptor)
    record, passed = receive_record(control, LIMITS.size + 1)
    close_all(passed)
    if record:
        Runas(control, LIMITS.unpack(record), serve).run()
    os._exit(0)


class Runas:
    """The process's state: who may ask, and how many children there are."""

    def __init__(self, control: socket.socket, limits: Limits, serve: Serve) -> None:
        self._control = control
        self._limits = limits
        self._forbidden_groups = frozenset((0, *limits.own_gids, *limits.denied_groups))
        self._serve = serve
        self._children: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, None)

    def run(self) -> None:
        """Take records until nobody is left who could send one: a client may outlive master's interest in us."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while self._selector.get_map():
            for key, _ in self._selector.select(10.0):
                sock = cast("socket.socket", key.fileobj)
                passed: list[int] = []
                try:
                    record, passed = receive_record(sock, MAX_RECORD + 1)
                    self._take(sock, key.data, record, passed)
                except (OSError, ValueError):  # gone, or it does not speak our records or read the answers: cut off
                    self._selector.unregister(sock)
                    sock.close()
                close_all(passed)
            self._reap()

    def _take(self, sock: socket.socket, rule: RunasRule | None, record: bytes, passed: list[int]) -> None:
        """Register a client for master, or do a client's job. Raises ValueError: the end, or no such record."""
        if len(passed) != 1:
            raise ValueError("every record comes with one descriptor")
        if rule is not None:
            sock.send(ANSWER.pack(self._do(rule, JOB.unpack(record), passed[0])))
            return
        rule = RULE.unpack(record)
        client = socket.socket(fileno=passed.pop())
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ, rule)

    def _do(self, rule: RunasRule, job: Job, descriptor: int) -> Answer:
        if not permitted(rule, job, self._limits):
            return Answer(Verdict.REFUSED, job.number)
        self._reap()
        if len(self._children) >= MAX_CHILDREN:
            return Answer(Verdict.BUSY, job.number)
        try:
            pid = os.fork()
        except OSError:
            return Answer(Verdict.BUSY, job.number)
        if pid == 0:
            self._child(job, descriptor)
        self._children.add(pid)
        return Answer(Verdict.STARTED, job.number, pid)

    def _child(self, job: Job, descriptor: int) -> NoReturn:
        """Become the user before anything else; then everything is the user's own business."""
        code = 70  # EX_SOFTWARE
        try:
            close_others([descriptor])
            become(job.uid, job.gid, [gid for gid in job.groups if gid not in self._forbidden_groups])
            os.setsid()  # its commands can be killed as a group
            self._serve(descriptor, job.kind)
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):  # no child at all
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._children.discard(pid)


def permitted(rule: RunasRule, job: Job, limits: Limits) -> bool:
    """Tell whether a client with this rule may have this done."""
    return (
        bool(job.kind & rule.kinds)
        and job.uid not in (0, *limits.own_uids)
        and job.gid not in (0, *limits.own_gids, *limits.denied_groups)
        and job.uid >= rule.minimum
        and (rule.uid == 0 or (job.uid == rule.uid and job.gid == rule.gid))
    )
