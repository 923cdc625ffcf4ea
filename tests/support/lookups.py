"""Help for tests of tables and rewriting: running lookups that do not wait, and reading what was logged."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from posthouse.config.settings import Settings
from posthouse.tables.open import Opener
from posthouse.util import log
from posthouse.util.errors import TableError
from posthouse.util.loop import new_event_loop

T = TypeVar("T")


def now(coroutine: Coroutine[object, None, T]) -> T:
    """Run a coroutine that does not wait, and return its value."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("it waits")


def run_async(coroutine: Coroutine[object, None, T]) -> T:
    """Run a coroutine on the event loop that daemons have, and return its value."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)


def ask(spec: str, *keys: str, **settings: str) -> list[str | None]:
    """Open a table and look keys up, one after the other; "error: why" where there is one."""

    async def body() -> list[str | None]:
        opened = opener(**settings)
        table = opened.open(spec)
        found: list[str | None] = []
        for key in keys:
            try:
                found.append(await table.lookup(key))
            except TableError as error:
                found.append(f"error: {error}")
        opened.close()
        return found

    return run_async(body())


def opener(base_dir: str = "", **settings: str) -> Opener:
    """Make an Opener with a few settings; SMTPUTF8 is on."""
    return Opener(Settings.from_mapping({"smtputf8_enable": "yes", **settings}), base_dir=base_dir)


class _ListSink:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        self.lines += [line.decode().partition(": ")[2] for _, line in lines]
        return len(lines)


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect log lines, as text behind the program's name."""
    sink = _ListSink()
    before = log.LOG
    fresh = log.Log()
    log.LOG.__dict__.update(fresh.__dict__)
    log.LOG.open("test", sink)
    try:
        yield sink.lines
    finally:
        log.LOG.__dict__.update(log.Log().__dict__)
        assert before is log.LOG, "nobody replaces the log"
