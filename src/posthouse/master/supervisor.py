"""The supervisor: start, reload, stop. It replaces orders and warm image together, or not at all.

A *candidate* is a warm process that imports and an orders process that reads the configuration, at the same time.
Only when both have succeeded does it replace what is in force; a broken configuration or module is logged, and all
goes on as before. At start there is nothing before, so there the failure is the end.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Final

from posthouse.ipc.orders_wire import LogKind, Orders
from posthouse.master import log
from posthouse.master.helpers import Launch, OrdersRun, Warm
from posthouse.master.herd import Herd
from posthouse.master.listen import Listeners
from posthouse.master.stop import Stop
from posthouse.util.fatal import Fatal
from posthouse.util.instance_lock import lock_instance
from posthouse.util.select_loop import Loop

RETRY_S: Final = 1.0  # before another warm process is tried when one failed
MAX_RETRY_S: Final = 60.0
UNCHANGED: Final = "reload failed, the old configuration stays in force: "
END_S: Final = 0.5  # how long what was killed may take to vanish


class Supervisor:
    """See the module's docstring. `tell` hears once what became of the start: "" or the reason of the failure."""

    def __init__(
        self, loop: Loop, listeners: Listeners, config_directory: str, launch: Launch, tell: Callable[[str], None]
    ) -> None:
        self._loop, self._config_directory, self._launch, self._tell = loop, config_directory, launch, tell
        self._listeners, self._herd = listeners, Herd(loop, listeners)
        self._orders: Orders | None = None
        self._warm: Warm | None = None  # the candidate's
        self._run: OrdersRun | None = None  # the candidate's; None: only warm is replaced
        self._new: Orders | None = None  # what came of it
        self._stop: Stop | None = None
        self._retry_s = self._asked = 0.0  # _asked: when the configuration began to be read, seconds since the epoch
        self._again = False  # a reload was asked for while one was under way
        self.exit_status = 0
        loop.on_signal(signal.SIGCHLD, self._reap)
        loop.on_signal(signal.SIGHUP, self._reload)
        loop.on_signal(signal.SIGTERM, lambda: self._terminate(signal.SIGTERM))
        loop.on_signal(signal.SIGINT, lambda: self._terminate(signal.SIGINT))
        loop.on_signal(signal.SIGQUIT, self._abort)

    # --- preparing -----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Begin to start, or to reload."""
        self._abandon()
        self._new, self._asked = None, time.time()
        self._warm = Warm(self._loop, self._launch, self._complete, self._lost)
        self._warm.import_daemons(_packages(self._orders) or self._launch.early.split(), last=False)
        self._run = OrdersRun(self._loop, self._launch, self._config_directory, self._ordered)

    def _prepare_warm(self) -> None:
        """Replace a warm process that died."""
        if self._warm is None and self._stop is None:
            self._new = self._orders
            self._warm = Warm(self._loop, self._launch, self._complete, self._lost)
            self._warm.import_daemons(_packages(self._new))

    def _ordered(self, outcome: Orders | str) -> None:
        """The orders process has ended."""
        assert self._warm is not None, "an abandoned run does not call back"
        if isinstance(outcome, str):
            self._failed(outcome)
            return
        self._new = outcome
        self._warm.import_daemons(_packages(outcome))
        if self._orders is None:
            try:
                self._first_orders(outcome)
            except (Fatal, OSError) as error:
                self._failed(str(error))

    def _first_orders(self, orders: Orders) -> None:
        """Take possession of the directories and listen; clients may connect from now on and wait for warm."""
        lock_instance(orders.settings.queue_directory, orders.settings.data_directory)
        os.chdir(orders.settings.queue_directory)
        self._follow("daemon started", orders)

    def _follow(self, what: str, orders: Orders) -> None:
        """Do as these orders say, with new sockets first, because that is what can still fail. Raises Fatal."""
        settings, before = orders.settings, (self._orders or orders).settings
        places = {(each.queue_directory, each.data_directory) for each in (settings, before)}
        if len(places) > 1:
            raise Fatal("queue_directory and data_directory change with stop and start only")
        wanted = [(address, order.backlog) for order in orders.services for address in order.addresses]
        sockets = self._listeners.open_all(wanted)
        path = log.SYSTEM if settings.log is LogKind.SYSLOG else f"{settings.queue_directory}/public/postlog"
        log.LOG.open(f"{settings.syslog_name}/master", path, settings.facility, json=settings.log_json)
        self._herd.follow(orders, sockets)
        with contextlib.suppress(OSError):  # how old the configuration in force is, for `posthouse status`
            os.utime("pid/master.pid", (self._asked, self._asked))
        log.write("info", f"{what} -- version {settings.version}, configuration {settings.config_directory}")
        for note in orders.notes:
            log.warning(note)

    def _complete(self) -> None:
        """Warm has imported everything; it does so only after the orders came."""
        warm, orders, self._warm = self._warm, self._new, None
        assert warm is not None, "an abandoned warm process does not call back"
        assert orders is not None, "warm is ready only after import_daemons"
        first = self._orders is None
        try:
            if not first and self._run is not None:
                self._follow("reload", orders)
            self._orders, self._retry_s = orders, 0.0
            self._herd.begin(warm)
        except Fatal as error:
            log.write("error", UNCHANGED + str(error))
            warm.close()
        if first:
            self._tell("")
        self._run = None
        self._reload_again()

    def _failed(self, reason: str) -> None:
        """The candidate is no good."""
        self._abandon()
        for line in reason.split("\n"):
            log.write(*(("fatal", line) if self._orders is None else ("error", UNCHANGED + line)))
        if self._orders is None:
            self._tell(reason)
            self.exit_status = 1
            self._loop.stop()
            return
        if self._herd.warm is None or self._herd.warm.closed:
            self._retry_warm()
        self._reload_again()

    def _lost(self, warm: Warm, reason: str) -> None:
        """A warm process has failed."""
        if warm is self._warm:
            self._failed(reason)
        else:
            log.warning(f"warm: {reason}; starting another")
            self._retry_warm()

    def _retry_warm(self) -> None:
        self._loop.after(self._retry_s, self._prepare_warm)
        self._retry_s = min(max(RETRY_S, 2 * self._retry_s), MAX_RETRY_S)

    def _abandon(self) -> None:
        candidate, self._warm, self._run = (self._warm, self._run), None, None
        for part in (each for each in candidate if each is not None):
            part.close()

    # --- signals -------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitpid(-1, os.WNOHANG))[0]:
                self._herd.died(*dead)
                if self._stop is not None:
                    self._stop.review()

    def _reload(self) -> None:
        if self._stop is not None or self._orders is None:
            return
        if self._run is not None:
            self._again = True  # what it has read may be older than this signal
        else:
            self.prepare()

    def _reload_again(self) -> None:
        if self._again:
            self._again = False
            self.prepare()

    def _terminate(self, number: signal.Signals) -> None:
        if self._stop is not None:
            self._abort()
            return
        log.write("info", f"terminating on signal {int(number)}")
        self._abandon()
        if self._orders is None:
            self._tell(f"terminated by signal {int(number)}")
            self.exit_status = 1
        self._herd.stopping = True
        self._stop = Stop(self._loop, self._herd, self._loop.stop)

    def _abort(self) -> None:
        self._abandon()
        self._herd.stopping = True
        self._herd.kill_all(signal.SIGKILL)
        self._loop.stop()

    def end(self) -> None:
        """Leave no process behind: warm holds nothing that a kill could harm, daemons were told or killed before."""
        self._abandon()
        warm = self._herd.warm
        if warm is not None and not warm.closed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(warm.pid, signal.SIGKILL)
        deadline = time.monotonic() + END_S
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)


def _packages(orders: Orders | None) -> list[str]:
    """Name the daemons of these orders."""
    return sorted({order.package for order in orders.services}) if orders is not None else []
