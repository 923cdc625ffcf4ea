"""A small event loop on selectors: descriptors that become readable, timers, signals. Callbacks run one by one.

Standard library only: it runs master(8), where asyncio would be half of the memory.
"""

import sched
import selectors
import signal
import socket
from collections.abc import Callable

Callback = Callable[[], None]
Timer = sched.Event


class Loop:
    """See the module's docstring. `run` returns after `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers = sched.scheduler()
        self._running = True
        self._signals, self._wakeup = socket.socketpair()
        self._handlers: dict[int, Callback] = {}
        for end in (self._signals, self._wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        self.watch(self._signals, self._on_signals)

    def watch(self, sock: socket.socket | int, callback: Callback) -> None:
        """Call back while the descriptor is readable or its other end is gone."""
        self._selector.register(sock, selectors.EVENT_READ, callback)

    def unwatch(self, sock: socket.socket | int) -> None:
        """Watch it no more."""
        self._selector.unregister(sock)

    def after(self, delay_s: float, callback: Callback) -> Timer:
        """Call back once, `delay_s` from now."""
        return self._timers.enter(delay_s, 0, callback)

    def cancel(self, timer: Timer | None) -> None:
        """Do not call back; harmless when that has happened, or when there is no timer."""
        if timer in self._timers.queue:
            self._timers.cancel(timer)

    def on_signal(self, number: int, callback: Callback) -> None:
        """Call back, from the loop and not from the handler, when the signal came (once for several of a kind)."""
        self._handlers[number] = callback
        signal.signal(number, lambda _number, _frame: None)

    def stop(self) -> None:
        """Let `run` return."""
        self._running = False

    def run(self) -> None:
        """Work until `stop`."""
        while True:
            wait = self._timers.run(blocking=False)
            if not self._running:
                return
            for key, _ in self._selector.select(wait):
                # A callback before this one may have ended the watch, or begun another on the same number.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()

    def _on_signals(self) -> None:
        for number in sorted(set(self._signals.recv(4096))):
            if number in self._handlers:
                self._handlers[number]()
