"""qshape(1): how much mail waits for which domains, and for how long: one row a domain, one column an age.

Columns end at 5, 10, 20, 40 ... minutes (-t, -b; -l: 5, 10, 15 ...). -p adds rows for parent domains with a dot in
front, when they have at least five subdomains (-m). On a terminal the twenty largest rows are shown again and again
while a large queue is read (-n, -N); elsewhere all of them, once. Source: qshape(1).
"""

import asyncio
import getopt
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TextIO

from posthouse.commands.queue_client import EX_UNAVAILABLE, QueueClient, QueueUnavailableError, RefusedError
from posthouse.ipc.showq import Listed
from posthouse.util.errors import ConfigError

USAGE: Final = """\
usage: qshape [-s] [-p] [-m min_subdomains] [-l] [-b buckets] [-t minutes] [-w width] [-N messages] [-n domains]
              [--json] [-c config_dir] [queue ...]
  -s  sender domains        -p  parent domains too, with at least -m (5) subdomains
  -l  ages of equal length  -b  number of ages (10)   -t  minutes of the first one (5)
  -w  width of the table (80)   -n, -N  on a terminal: rows, and messages between two views
"""
QUEUES: Final = ("incoming", "active")
KNOWN: Final = frozenset({"active", "corrupt", "deferred", "hold", "incoming", "maildrop"})
TOTAL: Final = "TOTAL"
NULL_SENDER: Final = "MAILER-DAEMON"
MIN_WIDTH: Final = 80
MIN_DOMAIN_WIDTH: Final = 18
MIN_COLUMN: Final = 3
CLEAR: Final = "\x1b[H\x1b[2J"
FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    senders: bool = False
    parents: bool = False
    linear: bool = False
    min_subdomains: int = 5
    buckets: int = 10
    minutes: int = 5
    width: int = MIN_WIDTH
    view_messages: int = 1000  # on a terminal: messages between two views
    view_rows: int = 20
    directory: str = ""
    json: bool = False
    queues: tuple[str, ...] = QUEUES

    def ages(self) -> list[int]:
        """Give the minutes at which the columns end; the last one has no end, its number is where it begins."""
        ends, end = list[int](), 0
        while len(ends) < self.buckets - 1:
            end += end if end and not self.linear else self.minutes
            ends.append(end)
        return [*ends, end]

    def column(self, age_s: float) -> int:
        """Find the column of an age, from 0."""
        steps = age_s / (60 * self.minutes)
        if steps < 1:
            return 0
        return min(int(steps) if self.linear else 1 + int(math.log2(steps)), self.buckets - 1)


@dataclass(slots=True)
class Shape:
    """What was counted: recipients (or senders) by domain and column."""

    options: Options
    now: float
    rows: dict[str, list[int]] = field(default_factory=dict)
    _subdomains: Counter[str] = field(default_factory=Counter)

    def add(self, message: Listed) -> None:
        """Count one message."""
        column = self.options.column(self.now - message.arrival)
        addresses = [message.sender] if self.options.senders else [rcpt.address for rcpt in message.recipients]
        for address in addresses:
            self._count(TOTAL, column)
            domain = _domain(address)
            is_new = self._count(domain, column)
            for parent in _parents(domain) if self.options.parents else ():
                self._subdomains[parent] += is_new
                is_new = self._count(parent, column)

    def _count(self, domain: str, column: int) -> bool:
        is_new = domain not in self.rows
        self.rows.setdefault(domain, [0] * self.options.buckets)[column] += 1
        return is_new

    def sorted(self) -> Iterator[tuple[str, list[int]]]:
        """Give the rows to be shown, the largest first."""
        self.rows.setdefault(TOTAL, [0] * self.options.buckets)
        order = sorted(self.rows.items(), key=lambda row: (-sum(row[1]), len(row[0]), row[0]))
        for domain, counts in order:
            if not domain.startswith(".") or self._subdomains[domain] >= self.options.min_subdomains:
                yield domain, counts

    def as_json(self) -> str:
        """One object: the ends of the columns in minutes (null: no end), and the rows."""
        ages = self.options.ages()
        rows = [{"domain": domain, "total": sum(counts), "counts": counts} for domain, counts in self.sorted()]
        return json.dumps({"ages_minutes": [*ages[:-1], None], "rows": rows}, ensure_ascii=False) + "\n"

    def table(self, most_rows: int | None = None) -> Iterator[str]:
        """Give the lines of the table."""
        total = self.rows.get(TOTAL, [0] * self.options.buckets)
        ages = self.options.ages()
        heads = ["T", *map(str, ages[:-1]), f"{ages[-1]}+"]
        widths = [_column_width(head, count) for head, count in zip(heads, [sum(total), *total], strict=True)]
        left = max(self.options.width - sum(widths), MIN_DOMAIN_WIDTH)
        yield _line("", left, heads, widths)
        for domain, counts in islice(self.sorted(), most_rows):
            yield _line(domain, left, [sum(counts), *counts], widths)


def _column_width(head: str, count: int) -> int:
    return max(len(head), len(str(count)), MIN_COLUMN - 1) + 1


def _line(domain: str, left: int, cells: "list[str] | list[int]", widths: list[int]) -> str:
    if len(domain) > left:
        mark = ".+" if domain.startswith(".") else "+"
        domain = mark + domain[len(mark) - left :]
    shown = "".join(character if character.isprintable() else "?" for character in domain)
    return shown.rjust(left) + "".join(str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)) + "\n"


def _domain(address: str) -> str:
    """Give the domain in lower case, without dots at its ends; an address without one counts as itself."""
    domain = address.lower().rpartition("@")[2] if address else NULL_SENDER
    return domain.replace("..", ".").strip(".") or domain


def _parents(domain: str) -> Iterator[str]:
    """Give .example.com, .com of mail.example.com: what has a dot inside, the top level left out."""
    rest = domain.partition(".")[2]
    while "." in rest:
        yield "." + rest
        rest = rest.partition(".")[2]


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options = _options((sys.argv if argv is None else argv)[1:])
    except ValueError as error:
        sys.stderr.write(f"qshape: {error}\n{USAGE}")
        return FAILED
    try:
        asyncio.run(_show(options, sys.stdout))
    except (ConfigError, QueueUnavailableError, RefusedError) as error:
        sys.stderr.write(f"qshape: fatal: {error}\n")
        return EX_UNAVAILABLE
    except BrokenPipeError:
        sys.stderr.close()
    return 0


async def _show(options: Options, out: TextIO) -> None:
    shape = Shape(options, time.time())
    views = options.view_messages if out.isatty() and not options.json else 0
    client = QueueClient(options.directory)
    seen = 0
    for queue_name in options.queues:
        async for message in client.listing(queue_name=queue_name):
            shape.add(message)
            seen += 1
            if views and seen % views == 0:
                out.write(CLEAR + "".join(shape.table(options.view_rows)))
                out.flush()
    await client.close()
    if options.json:
        out.write(shape.as_json())
    else:
        out.write(CLEAR * bool(views) + "".join(shape.table(options.view_rows if views else None)))
    out.flush()


def _options(arguments: list[str]) -> Options:
    """Read the command line. Raises ValueError."""
    try:
        found, queues = getopt.getopt(arguments, "lhc:psw:b:t:m:n:N:", ["json"])
    except getopt.GetoptError as error:
        raise ValueError(error.msg) from None
    given = dict(found)
    if "-h" in given:
        raise ValueError("help")
    names = tuple(path.rstrip("/").rpartition("/")[2] for path in queues) or QUEUES
    if unknown := [name for name in names if name not in KNOWN]:
        raise ValueError(f"no such queue: {unknown[0]}; there are {', '.join(sorted(KNOWN))}")
    return Options(
        senders="-s" in given,
        parents="-p" in given,
        linear="-l" in given,
        min_subdomains=_number(given, "-m", 5),
        buckets=_number(given, "-b", 10),
        minutes=_number(given, "-t", 5),
        width=max(_number(given, "-w", MIN_WIDTH), MIN_WIDTH),
        view_messages=_number(given, "-N", 1000),
        view_rows=_number(given, "-n", 20),
        directory=given.get("-c", ""),
        json="--json" in given,
        queues=names,
    )


def _number(given: dict[str, str], option: str, default: int) -> int:
    text = given.get(option, str(default))
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(f'{option}: "{text}" is not a number above 0')
    return int(text)
