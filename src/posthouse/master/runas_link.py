"""Master's end of runas: starts it when a service may need it, and gives the processes of such services a socket."""

import socket

from posthouse.ipc.orders_wire import GlobalOrders, RunasRule
from posthouse.ipc.runas_wire import LIMITS, RULE, Limits
from posthouse.ipc.warm_wire import Answer, Ask, Request, send_record
from posthouse.master.helpers import Warm


class RunasLink:
    """Without owners (not root) there is no runas: the services are the one user they can be."""

    def __init__(self) -> None:
        self._source: tuple[Warm, GlobalOrders] | None = None
        self._control: socket.socket | None = None
        self.pid = 0

    def begin(self, warm: Warm, settings: GlobalOrders) -> None:
        """From now on it can be started, by the first process that may ask for something."""
        self._source = (warm, settings) if settings.owners else None

    def _start(self, warm: Warm, settings: GlobalOrders) -> None:
        """Have warm fork it, and say whom it never becomes."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uids, gids = {owner.uid for owner in settings.owners}, {owner.gid for owner in settings.owners}
        limits = Limits(tuple(uids), tuple(gids), settings.denied_groups)
        self._control.send(LIMITS.pack(limits))
        warm.request(Request(Ask.RUNAS), [theirs.fileno()], self._answered)
        theirs.close()

    def client(self, rule: RunasRule) -> int:
        """Make the socket by which one process may ask; -1: this service asks for nothing, or runas is not there."""
        if not rule.kinds or self._source is None:
            return -1
        if self._control is None:
            self._start(*self._source)
            assert self._control is not None, "just made"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            send_record(self._control, RULE.pack(rule), [theirs.fileno()])
        except OSError:  # it has just died: the process will find its socket closed and say so
            self.close()
        theirs.close()
        return ours.detach()

    def close(self) -> None:
        """Dismiss it: it stays until its last client is gone."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self.pid = 0

    def _answered(self, answer: Answer) -> None:
        self.pid = answer.pid
        if not answer.pid:
            self.close()
