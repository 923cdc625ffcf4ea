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

    def _start(self, warm: Warm, settings: GlobalOrders) -> socket.socket:
        """Have warm fork it, and say whom it never becomes."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uids, gids = {owner.uid for owner in settings.owners}, {owner.gid for owner in settings.owners}
        limits = Limits(tuple(uids), tuple(gids), settings.denied_groups)
        ours.send(LIMITS.pack(limits))
        self._control = ours
        warm.request(Request(Ask.RUNAS), [theirs.fileno()], self._answered)
        theirs.close()
        return ours

    def client(self, rule: RunasRule) -> list[int]:
        """Make the socket by which one process may ask; none: this service asks for nothing, or there is no runas."""
        if not rule.kinds or self._source is None:
            return []
        control = self._control or self._start(*self._source)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            send_record(control, RULE.pack(rule), [theirs.fileno()])
        except OSError:  # it has just died: the process will find its socket closed and say so
            self.close()
        theirs.close()
        return [ours.detach()]

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
