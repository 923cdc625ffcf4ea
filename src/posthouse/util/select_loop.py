"""A small event loop on selectors: descriptors that become readable, timers, signals. Callbacks run one by one.

Standard library only: it runs master(8), where asyncio would be half of the memory.
"""

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """A callback at a time; `cancel` makes it a callback never."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Forget the callback; harmless when it has run."""
        self.callback = None


class Loop:
    """See the module's docstring. `run` returns after `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
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
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._count), timer))
        return timer

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
            self._run_timers()
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            if not self._running:
                return
            for key, _ in self._selector.select(wait):
                # A callback before this one may have ended the watch, or begun another on the same number.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()

    def _on_signals(self) -> None:
        for number in sorted(set(self._signals.recv(4096))):
            if number in self._handlers:
                self._handlers[number]()
