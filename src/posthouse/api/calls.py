"""What is done around every call of the library: diagnostics, waiting, settings, errors.

Diagnostics of all layers go to the logger `posthouse.log` while a call runs, as bare texts: WARNING, ERROR, CRITICAL
(fatal), else INFO. Lookups are coroutines in the daemons; tables of this process answer them without waiting.
"""

import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from posthouse.config.settings import Settings
from posthouse.tables.open import Opener
from posthouse.tables.table import Table, TableFlags
from posthouse.util import log
from posthouse.util.errors import ConfigError, TemporaryError

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("posthouse.log")
_LEVELS: Final = {6: logging.INFO, 4: logging.WARNING, 3: logging.ERROR, 2: logging.CRITICAL}  # by syslog(3) severity
_PREFIXES: Final = {4: ("warning: ",), 3: ("error: ",), 2: ("fatal: ", "panic: ")}


class _LoggingSink:
    """Lines of util/log.py as records of logging."""

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Take all lines."""
        for severity, line in lines:
            text = line.decode("utf-8", "surrogateescape")
            for prefix in _PREFIXES.get(severity, ()):
                text = text.removeprefix(prefix)
            _LOGGER.log(_LEVELS.get(severity, logging.INFO), "%s", text)
        return len(lines)


_SINK: Final = _LoggingSink()


@contextmanager
def reported() -> Iterator[None]:
    """Give what is logged meanwhile to logging; mistakes in what the caller gave are ValueErrors."""
    try:
        with log.LOG.diverted(_SINK):
            yield
    except ConfigError as error:
        raise ValueError(error.why) from error


def answer(coroutine: Coroutine[object, None, T]) -> T:
    """Run a lookup to its end. Raises what it raises, and TemporaryError: it would have to wait for a server."""
    with reported():
        try:
            coroutine.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result
        coroutine.close()
        raise TemporaryError("this table has to wait for a server, which the library does not do")


class _LocalOpener(Opener):
    """Opens what answers at once; a table that has to be waited for needs an event loop and connections to keep."""

    def _remote(self, spec: str, flags: TableFlags) -> Table:
        raise ConfigError(f"{spec}: the library does not wait for servers; postmap -q does")


def opener(base_dir: str | None = None, values: Mapping[str, str] | None = None) -> Opener:
    """Make what opens tables; relative names begin in `base_dir`. Keys and values are UTF-8 unless `values` say no."""
    settings = Settings.from_mapping({"smtputf8_enable": "yes", **(values or {})})
    return _LocalOpener(settings, base_dir=base_dir or "")
