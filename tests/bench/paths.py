"""The ways of a message that are measured, and one run of one of them.

A run counts from the first connection to the last *delivery* (the log's status=sent lines, which both servers write),
not to the last 250: a server that only takes mail and lets it pile up is not fast. The rate of taking it is kept too.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.instance import DELIVERED, Instance, Options
from tests.support.load import Load, smtp_source

BOXES: Final = 10
RUN_LIMIT_S: Final = 300
_POLL_S: Final = 0.01
_NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    path: str
    connections: int
    reuse: bool
    messages: int

    @property
    def name(self) -> str:
        """Return the row's heading."""
        return f"{self.path}, {self.connections} conn{', reuse' if self.reuse else ''}"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave."""

    messages_per_s: float  # to the last delivery
    accepted_per_s: float  # to the last 250
    cpu_ms: float  # user and system of all the server's processes, for each message
    pss_mib: float


class LogTail:
    """Counts deliveries in a log that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""
        self.delivered = 0

    def read(self) -> int:
        """Take in what is new; return the number of deliveries since the start."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset)
                chunk = log.read()
        except FileNotFoundError:
            return self.delivered
        self._offset += len(chunk)
        whole, _, self._rest = (self._rest + chunk).rpartition(b"\n")
        self.delivered += whole.count(DELIVERED)
        return self.delivered

    def wait(self, wanted: int, limit_s: float) -> float:
        """Wait for that many deliveries; return when the last was seen (monotonic). Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while self.read() < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.delivered} of {wanted} messages delivered within {limit_s} s")
            time.sleep(_POLL_S)
        return time.monotonic()


def options(sink_port: int) -> Options:
    """Return the one configuration that both servers get: a domain for each way of a message."""
    transport = f"discard.test discard:\nrelay.test smtp:[127.0.0.1]:{sink_port}\n"
    boxes = "".join(f"box{n}@box.test box{n}/Maildir/\n" for n in range(BOXES))
    aliases = "".join(f"box{n} {{mail}}/local{n}/Maildir/\n" for n in range(BOXES))
    owner = _NOBODY if os.geteuid() == 0 else os.geteuid()
    group = _NOBODY if os.geteuid() == 0 else os.getegid()
    return Options(
        main={
            "mydestination": "local.test",
            "alias_maps": "texthash:{directory}/etc/aliases",
            "transport_maps": "texthash:{directory}/etc/transport",
            "virtual_mailbox_domains": "box.test",
            "virtual_mailbox_maps": "texthash:{directory}/etc/boxes",
            "virtual_mailbox_base": "{mail}",
            "virtual_uid_maps": f"static:{owner}",
            "virtual_gid_maps": f"static:{group}",
            "virtual_minimum_uid": "1",
            "local_recipient_maps": "$alias_maps",
        },
        files={"transport": transport, "boxes": boxes, "aliases": aliases},
    )


def prepare_mail(instance: Instance) -> None:
    """Make the mailboxes' directories, and let the one who delivers write there."""
    for n in range(BOXES):
        for name in (f"box{n}", f"local{n}"):
            (instance.mail_directory / name).mkdir(exist_ok=True)
    if os.geteuid() == 0:
        for path in (instance.mail_directory, *instance.mail_directory.iterdir()):
            os.chown(path, _NOBODY, _NOBODY)


def recipients(path: str) -> tuple[str, ...]:
    """Return the recipients for one way."""
    if path == "maildir":
        return tuple(f"box{n}@box.test" for n in range(BOXES))
    if path == "local":
        return tuple(f"box{n}@local.test" for n in range(BOXES))
    return (f"user@{path}.test",)


def run(instance: Instance, case: Case) -> Run:
    """Send the case's load through the server. Raises when a message is missing."""
    tail = LogTail(instance.maillog)
    load = Load(case.messages, case.connections, case.reuse, recipients=recipients(case.path))
    cpu = instance.cpu_seconds()
    begin = time.monotonic()
    accepted_s = smtp_source(load, instance.port)
    delivered_s = tail.wait(case.messages, RUN_LIMIT_S) - begin
    instance.wait_queue_empty(30)
    used = instance.cpu_seconds() - cpu
    _check(instance, case, tail)
    return Run(
        messages_per_s=case.messages / delivered_s,
        accepted_per_s=case.messages / accepted_s,
        cpu_ms=used / case.messages * 1000,
        pss_mib=instance.pss_bytes() / 2**20,
    )


def _check(instance: Instance, case: Case, tail: LogTail) -> None:
    """Hold the log against the mailboxes, and empty them for the next run."""
    assert tail.read() == case.messages, f"{case.name}: {tail.delivered} deliveries of {case.messages} messages"
    if case.path in ("maildir", "local"):
        boxes = list(instance.mail_directory.glob("*/Maildir"))
        found = sum(len(os.listdir(box / "new")) for box in boxes)
        assert found == case.messages, f"{case.name}: {found} files of {case.messages} messages"
        for box in boxes:
            shutil.rmtree(box)
