"""Watcher: measures everything again and again, and puts it on the board. It decides when to look, not what to do."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from posthouse.config.parameters import (
    MAIL_SPOOL_DIRECTORY,
    MESSAGE_SIZE_LIMIT,
    QUEUE_MINFREE,
    QUEUE_RESERVE,
    SERVICE_THROTTLE_TIME,
)
from posthouse.config.settings import Settings
from posthouse.daemons.governor.absent import Absent
from posthouse.daemons.governor.parameters import CERTIFICATE_PARAMETERS
from posthouse.daemons.governor.places import Place
from posthouse.daemons.governor.probes import Probes
from posthouse.daemons.governor.reports import Reports
from posthouse.governor import conditions as c
from posthouse.governor.board import Board, Reading
from posthouse.governor.certificate import expiry_of
from posthouse.governor.level import MARGIN, Level
from posthouse.governor.measures import Space
from posthouse.governor.units import format_bytes, format_seconds
from posthouse.util import log
from posthouse.util.successor import ask_for_successor, is_out_of_reach

POLL_S: Final = 0.5
NEAR_S: Final = 0.1  # when anything is not normal
PLACES_S: Final = 2.0  # between looks at mailbox file systems
CERTIFICATES_S: Final = 600.0
MAX_CERTIFICATE: Final = 1024 * 1024  # bytes


class Watcher:
    """See the module's docstring. `changed` is called with the key after each change of a level."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        queue_directory: str,
        board: Board,
        reports: Reports,
    ) -> None:
        self._loop, self._settings = loop, settings
        self.board, self._reports = board, reports
        self.changed: Callable[[str, Level], None] = lambda _key, _before: None
        self.polled: Callable[[], None] = lambda: None
        self.probes = Probes()
        self.queue = Place(loop, f"{queue_directory}/posthouse", queue_directory)
        self._absent = Absent(f"{queue_directory}/pid", settings[SERVICE_THROTTLE_TIME])
        self._mailboxes = [Place(loop, path) for path in mailbox_directories(settings)]
        self.refusal = c.refusal_space(settings[MESSAGE_SIZE_LIMIT], settings[QUEUE_MINFREE])
        self._reserve = settings[QUEUE_RESERVE]
        self.holds_reserve = self.deliveries_only = False
        self._places_due = self._certificates_due = 0.0
        for what in self.probes.missing:
            log.info(f"resources: this kernel does not tell: {what}", event="resources")

    def start(self) -> None:
        """Begin; the first look is at once."""
        self._poll()

    # What is free where the queue is.

    @property
    def queue_free(self) -> int:
        """Bytes free for mail: a reserve that was given up is not for mail."""
        space = self.queue.space
        return 0 if space is None else max(space.free - self._missing("bytes"), 0)

    def _queue_files(self, space: Space) -> int:
        return max(space.files_free - self._missing("files"), 0)

    def _missing(self, what: str) -> int:
        """What the reserve should hold and does not: it was given up, or is not made yet."""
        numbers = self._reports.queue
        return int(max(numbers.get(f"reserve_{what}_wanted", 0) - numbers.get(f"reserve_{what}_held", 0), 0))

    def _review_reserve(self, space: Space) -> None:
        """Decide whether there is a reserve: it is made (again) only where mail is still taken with it in place."""
        size = c.reserve_size(self._reserve, space.size)
        files = c.reserve_inodes(space.files) if self._reserve else 0
        free, left = self.queue_free, self._queue_files(space)
        if self._level(c.QUEUE_SPACE, c.QUEUE_INODES) is Level.CRITICAL:
            if free < size or (files and left <= files):
                self.holds_reserve, self.deliveries_only = False, True
            return
        self.deliveries_only = False
        if self.holds_reserve:
            return
        numbers = self._reports.queue
        more = size - int(numbers.get("reserve_bytes_held", 0))
        more_files = files - int(numbers.get("reserve_files_held", 0))
        floor, kept = max(self.refusal, size), c.inodes_kept(space.files)
        has_files = not files or space.files_free - more_files > (1 + MARGIN) * kept
        self.holds_reserve = space.free - more > (1 + MARGIN) * floor and has_files

    def _level(self, *keys: str) -> Level:
        entries = (self.board.entries.get(key) for key in keys)
        return max((entry.gauge.level for entry in entries if entry is not None), default=Level.NORMAL)

    # Looking.

    def _poll(self) -> None:
        now = self._loop.time()
        for reading in self._of_kernel():
            self._take(reading)
        self._take(self._absent.look(self._reports.subscribers, now, time.time()))
        asked = self.queue.ask()
        if asked is not None:
            asked.add_done_callback(lambda _done: self._queue_told())
        if now >= self._places_due:
            self._places_due = now + PLACES_S
            self._look_at_mailboxes()
        if now >= self._certificates_due:
            self._certificates_due = now + CERTIFICATES_S
            for reading in self._certificates():
                self._take(reading)
        self.polled()
        self._loop.call_later(POLL_S if self._is_quiet() else NEAR_S, self._poll)

    def _is_quiet(self) -> bool:
        """Whether nothing that can change within a moment is short."""
        return self._level(c.QUEUE_SPACE, c.QUEUE_INODES, c.MEMORY, c.MEMORY_PRESSURE, c.DESCRIPTORS) is Level.NORMAL

    def _take(self, reading: Reading) -> None:
        entry = self.board.entries.get(reading.key)
        before = Level.NORMAL if entry is None else entry.gauge.level
        if self.board.take(reading, self._loop.time(), time.time()):
            self.changed(reading.key, before)

    def _queue_told(self) -> None:
        space = self.queue.space
        if space is not None:
            for reading in self._disk(c.QUEUE_SPACE, c.QUEUE_INODES, "", self._effective(space)):
                self._take(reading)
            self._review_reserve(space)
        self.polled()

    def _effective(self, space: Space) -> Space:
        return Space(space.size, self.queue_free, space.files, self._queue_files(space))

    def _disk(self, by_space: str, by_files: str, place: str, space: Space) -> Iterator[Reading]:
        is_queue = by_space == c.QUEUE_SPACE
        least = c.reserve_size(self._reserve, space.size) if is_queue else self._settings[MESSAGE_SIZE_LIMIT]
        floor = max(self.refusal, least) if is_queue else least
        what = (
            f"mail is refused at {format_bytes(floor)}" if is_queue else "deliveries there are put off when it is full"
        )
        text = f"{format_bytes(space.free)} of {format_bytes(space.size)} free; {what}"
        suffix = f":{place}" if place else ""
        yield Reading(by_space + suffix, space.free, c.space(space.size, floor), text, floor if is_queue else 0.0)
        if space.files:
            kept = c.inodes_kept(space.files)
            text = f"{space.files_free} of {space.files} files can still be made"
            text += f"; mail is refused at {kept}" if is_queue else ""
            yield Reading(by_files + suffix, space.files_free, c.inodes(space.files), text, kept if is_queue else 0.0)

    def _look_at_mailboxes(self) -> None:
        for place in self._mailboxes:
            asked = place.ask()
            if asked is not None:
                asked.add_done_callback(partial(self._mailbox_told, place))
            elif place.hangs_s and not place.is_told:
                place.is_told = True
                log.warning(f"resources: {place.path} has not answered for {format_seconds(place.hangs_s)}")

    def _mailbox_told(self, place: Place, _done: "asyncio.Future[None]") -> None:
        """Several directories may lie on one disk, that of the queue perhaps: the first stands for it."""
        before = self._mailboxes[: self._mailboxes.index(place)]
        if place.space is None or place.device in {self.queue.device, *(each.device for each in before)}:
            return
        for reading in self._disk(c.MAILBOX_SPACE, c.MAILBOX_INODES, place.path, place.space):
            self._take(reading)

    def _of_kernel(self) -> Iterator[Reading]:
        memory = self.probes.memory()
        if memory is not None:
            own = self._reports.memory
            text = f"{format_bytes(memory.available)} of {format_bytes(memory.limit)} left ({memory.where})"
            text += f", Posthouse itself {format_bytes(own)}" if own else ""
            yield Reading(c.MEMORY, memory.available, c.memory(memory.limit), text)
        for key, pressure in (
            (c.MEMORY_PRESSURE, self.probes.memory_pressure()),
            (c.IO_PRESSURE, self.probes.io_pressure()),
        ):
            if pressure is not None:
                value = pressure.full_10 if key == c.MEMORY_PRESSURE else pressure.full_60
                text = f"all tasks waited {pressure.full_10:.1f} % of the last 10 s, {pressure.full_60:.1f} % of 60 s"
                yield Reading(key, value, c.FIXED[key], text)
        yield from self._shares()
        delay, service = self._reports.delay()
        yield Reading(c.LOOP_DELAY, delay, c.FIXED[c.LOOP_DELAY], f"{delay:.2f} s {service}".rstrip())
        age = self._reports.queue.get("queue_oldest_active", 0.0)
        yield Reading(c.QUEUE_AGE, age, c.FIXED[c.QUEUE_AGE], format_seconds(age))

    def _shares(self) -> Iterator[Reading]:
        share, service, used, most = self._reports.descriptors()
        where = f"process of {service}"
        files = self.probes.files()
        if files is not None and files[1] and files[0] / files[1] > share:
            (used, most), where = files, "this machine"
            share = used / most
        yield Reading(c.DESCRIPTORS, share, c.FIXED[c.DESCRIPTORS], f"{used} of {most} in use ({where})")
        processes = self.probes.processes()
        if processes is not None:
            used, most, where = processes
            yield Reading(c.PROCESSES, used / most, c.FIXED[c.PROCESSES], f"{used} of {most} ({where})")

    def _certificates(self) -> Iterator[Reading]:
        """Look at the certificates that main.cf names; one we may not read is somebody else's to watch."""
        for path in certificate_files(self._settings):
            try:
                with open(path, "rb") as file:
                    left = expiry_of(file.read(MAX_CERTIFICATE)) - time.time()
            except (OSError, ValueError) as error:
                if is_out_of_reach(error) and f"{c.CERTIFICATE}:{path}" in self.board.entries:
                    ask_for_successor(f"{path} was replaced")
                why = (error.strerror or error) if isinstance(error, OSError) else error
                log.info(f"resources: certificate {path} is not watched: {why}", event="resources")
                continue
            text = f"expires in {format_seconds(left)}" if left > 0 else "has expired"
            yield Reading(f"{c.CERTIFICATE}:{path}", left, c.FIXED[c.CERTIFICATE], text)


def mailbox_directories(settings: Settings) -> list[str]:
    """Name the directories that mailboxes are in, as far as main.cf names them."""
    found = [settings[MAIL_SPOOL_DIRECTORY], settings.text("virtual_mailbox_base")]
    if settings.text("home_mailbox"):
        found.append("/home")
    return list(dict.fromkeys(os.path.normpath(path) for path in found if path.startswith("/")))


def certificate_files(settings: Settings) -> list[str]:
    """Name the certificates of ours that main.cf names."""
    words = " ".join(settings.text(name) for name in CERTIFICATE_PARAMETERS).replace(",", " ").split()
    return list(dict.fromkeys(word for word in words if word.startswith("/")))
