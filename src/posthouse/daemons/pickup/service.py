"""PickupService: the submit socket and the maildrop runs. One process, one message of maildrop at a time."""

import contextlib
import os
import pwd
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from posthouse.config.parameters import MAIL_NAME, MESSAGE_SIZE_LIMIT, MYHOSTNAME
from posthouse.daemons.pickup.maildrop import DroppedFile, Maildrop
from posthouse.daemons.pickup.parameters import SUBMIT_BYTES_PER_USER, SUBMIT_FILES_PER_USER
from posthouse.daemons.pickup.submission import LocalSubmission, Site, Submitter
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.stream import peer_credentials
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.matchlist import MatchList
from posthouse.util import eager, log
from posthouse.util.connection import Connection

SUBMIT_TIMEOUT_S: Final = 3600.0  # postconf(5) ipc_timeout: a user's program may be slow
READ_SIZE: Final = 256 * 1024
RESCAN_S: Final = 60.0


class SubmitConnection(Connection):
    """One sendmail(1) at the submit socket."""

    def __init__(self, service: "PickupService", sock: socket.socket, submitter: Submitter) -> None:
        self._service = service
        self._submission: LocalSubmission | None = service.submission(submitter, time.time(), self._answer)
        super().__init__(service.context.loop, sock)
        self.set_deadline(SUBMIT_TIMEOUT_S)

    def data_received(self, data: memoryview) -> None:
        """Pass records on."""
        if self._submission is None:
            return
        self._submission.feed(bytes(data))
        if self._submission is not None and self._submission.congested:
            self.pause_reading()
            self.loop.call_later(0.01, self._try_reading)

    def _try_reading(self) -> None:
        if self._submission is not None and self._submission.congested:
            self.loop.call_later(0.01, self._try_reading)
        else:
            self.resume_reading()

    def _answer(self, done: Done) -> None:
        self._submission = None
        self.write(f"{done.code} {done.dsn} {done.text}\n".encode())
        self.close()

    def connection_lost(self, error: OSError | None) -> None:
        """Forget what was not complete."""
        if self._submission is not None:
            self._submission.abandon()
        self._service.context.session_ended()


class PickupService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, authorized: MatchList) -> None:
        settings = context.settings
        self.context = context
        self._authorized = authorized
        self._cleanup = CleanupClient(context.loop, context.public("cleanup"))
        self._site = Site(settings[MYHOSTNAME], settings[MAIL_NAME], settings[MESSAGE_SIZE_LIMIT])
        self._maildrop = Maildrop(
            f"{context.queue_directory}/maildrop",
            files_per_user=settings[SUBMIT_FILES_PER_USER],
            bytes_per_user=settings[SUBMIT_BYTES_PER_USER],
        )
        self._submits = settings.service_name == "submit"
        self._todo: deque[DroppedFile] = deque()
        self._current = False
        if not self._submits:
            context.loop.call_soon(self._scan)

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a submission, or a trigger to look into maildrop."""
        if not self._submits:
            sock.close()
            self._scan()
            return
        self.context.session_started()
        uid = peer_credentials(sock).uid
        submitter = Submitter(uid, login_name(uid))
        eager.start(self._may_submit(submitter), partial(self._checked, sock, submitter))

    @property
    def busy(self) -> bool:
        """Whether a file of maildrop is on its way."""
        return self._current or not self._cleanup.idle

    def retire(self) -> None:
        """Leave the rest of maildrop to the next process."""
        while self._todo:
            os.close(self._todo.popleft().descriptor)

    def submission(self, submitter: Submitter, arrival: float, done: Callable[[Done], None]) -> LocalSubmission:
        """Begin a submission."""
        return LocalSubmission(self._cleanup, self._site, submitter, arrival, done)

    async def _may_submit(self, submitter: Submitter) -> bool:
        return submitter.uid in (0, os.geteuid()) or await self._authorized.matches(submitter.login)

    def _checked(self, sock: socket.socket, submitter: Submitter, outcome: eager.Outcome[bool]) -> None:
        if outcome.result():
            SubmitConnection(self, sock, submitter)
            return
        log.warning(f"uid={submitter.uid}: user {submitter.login} is not in authorized_submit_users")
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.send(b"550 5.7.1 you are not allowed to submit mail (authorized_submit_users)\n")
        sock.close()
        self.context.session_ended()

    # maildrop

    def _scan(self) -> None:
        if self._todo or self._current or self.context.lifetime.retiring:
            return
        self._todo.extend(self._maildrop.scan())
        self._next()

    def _next(self) -> None:
        if self._current or not self._todo:
            return
        self._current = True
        file = self._todo.popleft()
        submitter = Submitter(file.uid, login_name(file.uid))
        submission = self.submission(submitter, file.arrival, partial(self._file_done, file))
        self._feed(file, submission)

    def _feed(self, file: DroppedFile, submission: LocalSubmission) -> None:
        """Read on while cleanup keeps up."""
        while True:
            data = os.read(file.descriptor, READ_SIZE) if file.descriptor >= 0 else b""
            if not data:
                if file.descriptor >= 0:
                    submission.close_input()
                return
            submission.feed(data)
            if submission.congested:
                self.context.loop.call_later(0.01, self._feed, file, submission)
                return

    def _file_done(self, file: DroppedFile, done: Done) -> None:
        os.close(file.descriptor)
        file.descriptor = -1
        self._current = False
        if 200 <= done.code < 300:
            self._maildrop.remove(file.name)
        elif done.code >= 500:
            log.warning(f"maildrop/{file.name}: uid {file.uid}: {done.code} {done.dsn} {done.text}; removed")
            self._maildrop.remove(file.name)
        else:
            log.warning(f"maildrop/{file.name}: {done.code} {done.dsn} {done.text}; will try again")
            self.retire()
            self.context.loop.call_later(RESCAN_S, self._scan)
            return
        self.context.loop.call_soon(self._next)


def login_name(uid: int) -> str:
    """Name of a user; the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
