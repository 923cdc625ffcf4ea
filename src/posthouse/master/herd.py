"""The herd: all services and their processes. Starts them through warm, hears their reports, notes their deaths."""

import contextlib
import os
import signal
import socket
from typing import Any, Final

from posthouse.ipc.orders_wire import Address, Family, GlobalOrders, Identity, Orders
from posthouse.ipc.status_wire import RETIRE, STRESS_OFF, STRESS_ON
from posthouse.ipc.warm_wire import Answer, Ask, Request, Said
from posthouse.master import log
from posthouse.master.helpers import Warm
from posthouse.master.listen import Listeners
from posthouse.master.runas_link import RunasLink
from posthouse.master.service import Need, Process, Service, sealed
from posthouse.util.select_loop import Loop

STRESS_S: Final = 1000.0  # how long a full service stays in stress mode (STRESS_README)
SOLITARY_LEAVE_S: Final = 60.0  # the successor of a one-process service waits no longer than this
FORK_DELAY_S: Final = 1.0  # postconf(5) fork_delay


class Herd:
    """See the module's docstring."""

    def __init__(self, loop: Loop, listeners: Listeners) -> None:
        self._loop = loop
        self._listeners = listeners
        self.services: dict[tuple[str, str], Service] = {}
        self.warm: Warm | None = None
        self.settings = GlobalOrders("/", "/", "/", "", "")  # until orders come
        self.processes: set[Process] = set()  # also those of services that are no more
        self._by_pid: dict[int, Process] = {}
        self._early: dict[int, int] = {}  # deaths heard of before warm's answer: pid, wait status
        self.runas = RunasLink()
        self.stopping = False

    # --- orders --------------------------------------------------------------------------------------------------

    def follow(self, orders: Orders, sockets: dict[Address, socket.socket]) -> None:
        """Take new orders: every process of the old ones is told to go, its successor uses the new ones."""
        self.settings = orders.settings
        before, self.services = self.services, {}
        for service in before.values():
            self._unwatch(service)
        for order in orders.services:
            service = self.services[order.key] = before.pop(order.key, Service(order, []))
            service.order, service.sockets = order, [sockets[address] for address in order.addresses]
        for service in before.values():
            service.stopping = True
        for process in list(self.processes):
            self.dismiss(process)
        self._listeners.keep_only(set(sockets))
        self.runas.close()

    def begin(self, warm: Warm) -> None:
        """Warm is there: start what must be there and watch for the rest."""
        old, self.warm = self.warm, warm
        if old is not None:
            old.close()
        self.runas.begin(warm, self.settings)
        for service in list(self.services.values()):
            self._wake(service)
            self.tend(service)

    def dismiss(self, process: Process) -> None:
        """Tell a process to take nothing more and to exit when it is done."""
        if process.asked_to_go:
            return
        process.asked_to_go = True
        if not process.command(RETIRE) and process.pid:
            self._kill(process, signal.SIGTERM)
        if process.service.order.limit == 1:
            self._loop.after(SOLITARY_LEAVE_S, lambda: self._kill(process, signal.SIGKILL))

    # --- starting ------------------------------------------------------------------------------------------------

    def tend(self, service: Service) -> None:
        """Give a service what it needs."""
        need = service.need if self.warm is not None and self.warm.is_ready else Need.NOTHING
        if need is Need.WATCH:
            self._watch(service)
        elif need is Need.PROCESS:
            self._start(service)
        else:
            self._unwatch(service)
        if service.full and service.order.exposed and not service.stress:
            self._begin_stress(service)

    def _start(self, service: Service) -> None:
        assert self.warm is not None, "tend asks first"
        self._unwatch(service)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        process = Process(service, ours)
        service.processes.append(process)
        self.processes.add(process)
        self._loop.watch(ours, lambda: self._reported(process))
        order, owners = service.order, self.settings.owners
        who = owners[order.owner] if owners else Identity(1, 1)
        runas = self.runas.client(order.runas)
        lent = [sealed(order.settings), theirs.detach(), *runas]
        request = Request(Ask.FORK, package=order.package, become=bool(owners), client_limit=order.clients)
        rights: dict[str, Any] = {"chroot": order.chroot, "root_files": order.root_files} if owners else {}
        request = request._replace(runas_socket=bool(runas), **rights, **who._asdict())
        descriptors = [*lent, *(sock.fileno() for sock in service.sockets)]
        self.warm.request(request, descriptors, lambda answer: self._answered(process, answer))
        for descriptor in lent:
            os.close(descriptor)

    def _answered(self, process: Process, answer: Answer) -> None:
        """Warm has forked, or could not."""
        if answer.said is Said.FORKED:
            process.pid = answer.pid
            self._by_pid[answer.pid] = process
            if answer.pid in self._early:
                self.died(answer.pid, self._early.pop(answer.pid))
            return
        self._forget(process)
        if self.warm is not None and not self.warm.closed:
            log.warning(f"{process.service.order.name}: {answer.reason}")
            self._throttle(process.service, FORK_DELAY_S)

    def _watch(self, service: Service) -> None:
        if not service.watching:
            service.watching = True
            for sock in service.sockets:
                self._loop.watch(sock, lambda: self._start(service))

    def _unwatch(self, service: Service) -> None:
        if service.watching:
            service.watching = False
            for sock in service.sockets:
                self._loop.unwatch(sock)

    # --- hearing -------------------------------------------------------------------------------------------------

    def _reported(self, process: Process) -> None:
        was_ready = process.state is not None
        if not process.read_status():
            self._loop.unwatch(process.status)
            process.status.close()
            return  # the news of its death is on its way
        if not was_ready and process.service.stress:
            process.command(STRESS_ON)
        self.tend(process.service)

    def died(self, pid: int, wait_status: int) -> None:
        """Take note of a death, perhaps of one of ours."""
        if pid == self.runas.pid:
            self._runas_died()
        process = self._by_pid.pop(pid, None)
        if process is None:
            if self.warm is not None and self.warm.waiting:
                self._early[pid] = wait_status
            return
        self._forget(process)
        code = os.waitstatus_to_exitcode(wait_status)
        if not self.stopping:
            self._judge(process, code)
            self.tend(process.service)

    def _judge(self, process: Process, code: int) -> None:
        """Log a bad end, and hold the service back when the next process would end the same way."""
        program = process.service.order.program
        if code < 0:
            forbidden = " (a system call that its rules do not allow)" if -code == signal.SIGSYS else ""
            log.warning(f"process {program} pid {process.pid} killed by signal {-code}{forbidden}")
        elif code:
            log.warning(f"process {program} pid {process.pid} exit status {code}")
        if process.asked_to_go or (code == 0 and process.state is not None):
            return
        killed = -code in {signal.SIGKILL, signal.SIGTERM}
        if delay := process.service.failed(process, self.settings.throttle_s, killed=killed):
            log.warning(f"{program}: bad command startup -- throttling")
            self._throttle(process.service, delay)

    def _runas_died(self) -> None:
        """Start another; processes that asked the dead one cannot ask this one, so their successors must come."""
        self.runas.close()
        if not self.stopping:
            log.warning("runas died; the next one starts when it is needed")
            for process in [process for process in self.processes if process.service.order.runas.kinds]:
                self.dismiss(process)
                self.tend(process.service)

    def _forget(self, process: Process) -> None:
        process.service.processes.remove(process)
        self.processes.discard(process)
        if process.status.fileno() >= 0:
            self._loop.unwatch(process.status)
            process.status.close()

    def _throttle(self, service: Service, delay_s: float) -> None:
        service.throttled = True
        mark = f"pid/throttled.{service.order.name}"  # for governor(8), who tells the postmaster
        with contextlib.suppress(OSError):
            os.mkdir(mark, 0o755)

        def again() -> None:
            service.throttled = False
            with contextlib.suppress(OSError):
                os.rmdir(mark)
            self.tend(service)

        self._loop.after(delay_s, again)

    def _kill(self, process: Process, number: signal.Signals) -> None:
        if self._by_pid.get(process.pid) is process:  # not reaped, so the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def kill_all(self, number: signal.Signals) -> None:
        """Signal every process there is."""
        for process in list(self._by_pid.values()):
            self._kill(process, number)

    # --- overload, wakeup ----------------------------------------------------------------------------------------

    def _begin_stress(self, service: Service) -> None:
        name, limit = service.order.name, service.order.limit
        log.warning(
            f'service "{name}" has reached its process limit "{limit}": new clients may experience noticeable delays'
        )
        log.warning("to avoid this condition, increase the process count in master.cf or reduce the service time")
        self._set_stress(service, on=True)
        self._loop.after(STRESS_S, lambda: self._set_stress(service, on=False))

    def _set_stress(self, service: Service, *, on: bool) -> None:
        service.stress = on
        for process in service.processes:
            process.command(STRESS_ON if on else STRESS_OFF)

    def _wake(self, service: Service) -> None:
        """Send the trigger "W", now and every so often; with "?" only when the service was used before."""
        self._loop.cancel(service.wakeup)
        if service.stopping or not service.order.wakeup_s:
            return
        if not service.order.wakeup_if_used or service.processes:
            for address in service.order.addresses:
                if address.family is Family.UNIX:
                    _trigger(address.path)
        service.wakeup = self._loop.after(service.order.wakeup_s, lambda: self._wake(service))


def _trigger(path: str) -> None:
    """Connect, say "W", go. A full backlog wakes the daemon as well, so no answer is waited for."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(path)
        sock.send(b"W")
