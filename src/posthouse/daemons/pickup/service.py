"""PickupService: the submit socket and the maildrop runs. One process, one message of maildrop at a time."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from posthouse.config.parameters import AUTHORIZED_SUBMIT_USERS, MAIL_NAME, MESSAGE_SIZE_LIMIT, MYHOSTNAME
from posthouse.daemons.pickup.maildrop import DroppedFile, Maildrop
from posthouse.daemons.pickup.parameters import SUBMIT_BYTES_PER_USER, SUBMIT_FILES_PER_USER
from posthouse.daemons.pickup.submission import LocalSubmission, Site, Submitter
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.origin import SENDMAIL, Origin
from posthouse.ipc.stream import peer_credentials, refuse_descriptors
from posthouse.ipc.submit import DRAINED
from posthouse.ipc.user_limit import UserLimit
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.matchlist import MatchList, open_string_list
from posthouse.util import eager, log
from posthouse.util.accounts import find_user_id
from posthouse.util.connection import Connection
from posthouse.util.errors import TemporaryError
from posthouse.util.files import close_done

SUBMIT_TIMEOUT_S: Final = 3600.0  # postconf(5) ipc_timeout: a user's program may be slow
LINGER_S: Final = 60.0  # how long a program may take to read its answer
READ_SIZE: Final = 256 * 1024
RESCAN_S: Final = 60.0
HEAR_S: Final = 0.1  # how long the governor's first word is waited for


class SubmitConnection(Connection):
    """One sendmail(1) at the submit socket."""

    def __init__(
        self, service: "PickupService", sock: socket.socket, submitter: Submitter, refusal: Done | None
    ) -> None:
        self._service = service
        self._uid = submitter.uid
        self._submission: LocalSubmission | None = service.submission(submitter, time.time(), self._answer)
        super().__init__(service.context.loop, sock)
        self.set_deadline(SUBMIT_TIMEOUT_S)
        if refusal is not None:
            self._answer(refusal)

    def data_received(self, data: memoryview) -> None:
        """Pass records on; what comes after the answer is read and dropped."""
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
        """Answer, and let the other end close: a socket that is closed with unread bytes takes its answer with it."""
        self._submission = None
        self.write(format_answer(done))
        self.set_deadline(LINGER_S)
        self.resume_reading()

    def connection_lost(self, error: OSError | None) -> None:
        """Forget what was not complete."""
        if self._submission is not None:
            self._submission.abandon()
        self._service.leave(self._uid)


class PickupService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, authorized: MatchList) -> None:
        settings = context.settings
        self.context = context
        self._authorized = authorized
        self._cleanup = CleanupClient(context.loop, context.public("cleanup"))
        origin = Origin.of_service(settings, SENDMAIL)
        self._site = Site(settings[MYHOSTNAME], settings[MAIL_NAME], settings[MESSAGE_SIZE_LIMIT], origin)
        self._maildrop = Maildrop(
            f"{context.queue_directory}/maildrop",
            files_per_user=settings[SUBMIT_FILES_PER_USER],
            bytes_per_user=settings[SUBMIT_BYTES_PER_USER],
        )
        self._limit = UserLimit()
        refuse_descriptors(context.listeners)
        self._submits = settings.service_name == "submit"
        self._files: Iterator[DroppedFile] = iter(())  # of this run; each is opened when its turn comes
        self._current = False
        self._rescan = False  # a run is due for what had to wait
        self._again = False  # somebody left a file during this run
        self._refuses = False  # there is no room for mail
        self._draining = False
        self._hears_until = context.loop.time() + HEAR_S
        context.resources.watch(self._review_resources)
        if not self._submits:
            context.loop.call_later(HEAR_S, self._scan)

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a submission, or a trigger to look into maildrop; once it is known whether there is room for mail."""
        wait = self._hears_until - self.context.loop.time()
        if wait <= 0 or self.context.resources.state.queue_known:
            self._take(sock)
        else:  # this process has just begun
            self.context.loop.call_later(wait, self._take, sock)

    def _take(self, sock: socket.socket) -> None:
        if not self._submits:
            sock.close()
            self._scan()
            return
        uid = peer_credentials(sock).uid
        if self._refuses or not self._limit.admit(uid):
            sock.close()  # without an answer, so sendmail(1) leaves the message in maildrop
            return
        self.context.session_started()
        submitter = Submitter(uid, login_name(uid))
        eager.start(self._may_submit(submitter), partial(self._checked, sock, submitter))

    def _review_resources(self) -> None:
        """While mail is refused for want of room it waits in maildrop, which is looked at when there is room again."""
        self._draining = self.context.resources.state.drain
        before, self._refuses = self._refuses, self.context.resources.state.refuse_mail
        if before and not self._refuses and not self._submits:
            self._scan()

    def leave(self, uid: int) -> None:
        """Count a session out."""
        self._limit.leave(uid)
        self.context.session_ended()

    @property
    def busy(self) -> bool:
        """Whether a file of maildrop is on its way."""
        return self._current or not self._cleanup.idle

    def retire(self) -> None:
        """Leave the rest of maildrop to the next process."""
        self._files = iter(())

    def closing(self) -> None:
        """Close the connection to cleanup."""
        self._cleanup.close()

    def submission(self, submitter: Submitter, arrival: float, done: Callable[[Done], None]) -> LocalSubmission:
        """Begin a submission."""
        return LocalSubmission(self._cleanup, self._site, submitter, arrival, done)

    async def _may_submit(self, submitter: Submitter) -> bool:
        if not submitter.login:
            raise TemporaryError(f"user number {submitter.uid} cannot be looked up now")
        return submitter.uid in (0, os.geteuid()) or await self._authorized.matches(submitter.login)

    def _checked(self, sock: socket.socket, submitter: Submitter, outcome: eager.Outcome[bool]) -> None:
        refusal = Done(0, 451, "4.3.2", DRAINED, "") if self._draining else self._refusal(submitter, outcome)
        SubmitConnection(self, sock, submitter, refusal)

    def _refusal(self, submitter: Submitter, outcome: eager.Outcome[bool]) -> Done | None:
        try:
            allowed = outcome.result()
        except TemporaryError as error:
            log.warning(f"authorized_submit_users: {error}")
            return Done(0, 451, "4.3.0", "who may submit mail cannot be looked up now", "")
        if allowed:
            return None
        log.warning(f"uid={submitter.uid}: user {submitter.login} is not in authorized_submit_users")
        return Done(0, 550, "5.7.1", "you are not allowed to submit mail (authorized_submit_users)", "")

    # maildrop

    def _scan(self) -> None:
        if self.context.lifetime.retiring or self._refuses:
            return
        self._again = self._current
        if not self._current:
            self._files = self._maildrop.scan()
            self._next()

    def _look_again(self) -> None:
        self._rescan = False
        self._scan()

    def _next(self) -> None:
        if self._current or self._refuses:
            return
        file = next(self._files, None)
        if file is None:
            if self._again:
                self._scan()
            return
        self._current = True
        submitter = Submitter(file.uid, login_name(file.uid))
        eager.start(self._may_submit(submitter), partial(self._file_checked, file, submitter))

    def _file_checked(self, file: DroppedFile, submitter: Submitter, outcome: eager.Outcome[bool]) -> None:
        refusal = self._refusal(submitter, outcome)
        if refusal is not None:
            self._file_done(file, refusal)
            return
        submission = self.submission(submitter, file.arrival, partial(self._file_done, file))
        self._feed(file, submission)

    def _feed(self, file: DroppedFile, submission: LocalSubmission) -> None:
        """Read on while cleanup keeps up."""
        while True:
            try:
                data = os.read(file.descriptor, READ_SIZE) if file.descriptor >= 0 else b""
            except OSError as error:
                submission.fail(Done(0, 451, "4.3.0", f"cannot read it: {error.strerror}", ""))
                return
            if not data:
                if file.descriptor >= 0:
                    submission.close_input()
                return
            submission.feed(data)
            if submission.congested:
                self.context.loop.call_later(0.01, self._feed, file, submission)
                return

    def _file_done(self, file: DroppedFile, done: Done) -> None:
        close_done(file.descriptor)
        file.descriptor = -1
        self._current = False
        if 200 <= done.code < 300:
            self._maildrop.remove(file.name)
        elif done.code >= 500:
            log.warning(f"maildrop/{file.name}: uid {file.uid}: {done.code} {done.dsn} {done.text}; removed")
            self._maildrop.remove(file.name)
        else:
            log.warning(f"maildrop/{file.name}: {done.code} {done.dsn} {done.text}; will try again")
            self._maildrop.hold(file.uid)  # perhaps it is this file; nobody else waits for it
            if not self._rescan:
                self._rescan = True
                self.context.loop.call_later(RESCAN_S, self._look_again)
        self.context.loop.call_soon(self._next)


def format_answer(done: Done) -> bytes:
    """Write the answer of the submit socket: one line (ipc/submit.py)."""
    return f"{done.code} {done.dsn} {done.text}\n".encode("utf-8", "replace")


def login_name(uid: int) -> str:
    """Name of a user; the number where there is none; empty when that cannot be known now."""
    try:
        return find_user_id(uid).pw_name
    except KeyError:
        return str(uid)
    except OSError as error:
        log.warning(f"looking up user number {uid}: {error.strerror}")
        return ""


def start(context: Context) -> PickupService:
    """Open what is looked up, make the service."""
    authorized = open_string_list(AUTHORIZED_SUBMIT_USERS, context.settings)
    return PickupService(context, authorized)
