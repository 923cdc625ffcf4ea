"""One local submission on its way to cleanup(8), wherever its records come from.

The sender is what the program said, or the submitter's login name; who that is comes from the kernel. The records are
strict (ipc/submit.py); what is checked here is what they mean.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from posthouse.ipc.cleanup import CleanupClient, Done, Transaction
from posthouse.ipc.message import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    TRACE_DELIVERY,
    TRACE_VERIFY,
    ClientInfo,
    Envelope,
    Recipient,
)
from posthouse.ipc.origin import Origin
from posthouse.ipc.submit import (
    FLAG_GATEWAY,
    FLAG_SMTPUTF8,
    FLAG_TRACE,
    FLAG_VERIFY,
    Submission,
    SubmissionError,
    SubmissionReader,
)
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Server, format_received_local
from posthouse.util import eager, log
from posthouse.util.clock import local_zone
from posthouse.util.errors import TemporaryError

_NOTIFY_WORDS = {"never": NOTIFY_NEVER, "success": NOTIFY_SUCCESS, "failure": NOTIFY_FAILURE, "delay": NOTIFY_DELAY}


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits, by the kernel's word."""

    uid: int
    login: str


@dataclass(frozen=True, slots=True)
class Site:
    """What a submission needs to know of this system."""

    myhostname: str
    mail_name: str
    size_limit: int  # 0: none
    origin: Origin


class LocalSubmission:
    """Feed records; `done` gets the SMTP-like answer once."""

    def __init__(
        self, cleanup: CleanupClient, site: Site, submitter: Submitter, arrival: float, done: Callable[[Done], None]
    ) -> None:
        self._cleanup = cleanup
        self._site = site
        self._submitter = submitter
        self._arrival = arrival
        self._done: Callable[[Done], None] | None = done
        self._reader = SubmissionReader()
        self._waiting: list[bytes] = []  # content that came before the queue ID
        self._transaction: Transaction | None = None
        self._started = False
        self._ended = False
        self._size = 0

    @property
    def congested(self) -> bool:
        """Whether to read more slowly: cleanup is slow, or there is no queue ID yet for what has come."""
        if self._transaction is None:
            return bool(self._waiting) and self._done is not None
        return self._transaction.congested

    def feed(self, data: bytes) -> None:
        """Take bytes of records."""
        try:
            for piece in self._reader.feed(data):
                self._content(piece)
            if self._reader.complete and not self._ended:
                self._ended = True
                self._begin()
                self._flush()
        except SubmissionError as error:
            self.fail(Done(0, 554, "5.3.0", f"submission refused: {error}", ""))

    def close_input(self) -> None:
        """No more records come: what is not complete by now never will be."""
        if not self._ended:
            self.fail(Done(0, 554, "5.3.0", "submission refused: it has no end", ""))

    def abandon(self) -> None:
        """The submitter is gone before the end."""
        self._done = None
        if self._transaction is not None:
            self._transaction.abort()

    def _content(self, piece: bytes) -> None:
        if not self._size and piece.startswith((b" ", b"\t")):
            piece = b"\n" + piece  # or it would continue our Received:
        self._size += len(piece)
        limit = self._site.size_limit
        if limit and self._size > limit:
            self.fail(Done(0, 552, "5.3.4", f"Message exceeds the size limit of {limit} bytes", ""))
            return
        self._begin()
        self._waiting.append(piece)
        self._flush()

    def _begin(self) -> None:
        if self._started or self._done is None:
            return
        self._started = True
        if not self._reader.envelope.recipients:
            self.fail(Done(0, 554, "5.5.0", "no recipients", ""))
            return
        eager.start(self._cleanup.new_queue_id(), self._named)

    def _named(self, outcome: eager.Outcome[str]) -> None:
        if self._done is None:
            return
        try:
            queue_id = outcome.result()
            envelope = make_envelope(queue_id, self._reader.envelope, self._submitter, self._arrival, self._site.origin)
            recipients = [make_recipient(*given) for given in self._reader.envelope.recipients]
            self._transaction = self._cleanup.begin(envelope, recipients)
        except TemporaryError as error:
            self.fail(Done(0, 451, "4.3.0", str(error), ""))
            return
        except SubmissionError as error:
            self.fail(Done(0, 554, "5.3.0", f"submission refused: {error}", ""))
            return
        log.info(
            f"{queue_id}: uid={self._submitter.uid} from=<{envelope.sender}>",
            event="pickup",
            queue_id=queue_id,
            uid=self._submitter.uid,
            sender=envelope.sender,
        )
        arrival = int(self._arrival)
        server = Server(self._site.myhostname, self._site.mail_name)
        date = format_date(arrival, *local_zone(arrival))
        received = format_received_local(server, self._submitter.uid, queue_id, date)
        self._transaction.content(received)
        self._transaction.done.add_done_callback(lambda done: self.fail(done.result()))
        self._flush()

    def _flush(self) -> None:
        if self._transaction is None:
            return
        for piece in self._waiting:
            self._transaction.content(piece)
        self._waiting.clear()
        if self._ended and not self._transaction.ended:
            self._transaction.end()

    def fail(self, answer: Done) -> None:
        """End it with this answer, unless it has one."""
        done, self._done = self._done, None
        if self._transaction is not None and not self._transaction.ended:
            self._transaction.abort()
        if done is not None:
            done(answer)


def make_envelope(queue_id: str, given: Submission, submitter: Submitter, arrival: float, origin: Origin) -> Envelope:
    """Turn a submission's envelope into cleanup's. Raises SubmissionError."""
    if given.ret not in ("", "FULL", "HDRS"):
        raise SubmissionError("unknown RET value")
    return Envelope(
        queue_id=queue_id,
        sender=given.sender if given.sender_given else submitter.login,
        arrival=min(arrival, time.time()),
        encoding=given.encoding,
        smtputf8=FLAG_SMTPUTF8 in given.flags,
        dsn_ret=given.ret,
        dsn_envid=given.envid,
        client=ClientInfo(
            name="localhost",
            address="127.0.0.1",
            rewrite_context="remote" if FLAG_GATEWAY in given.flags else "local",
            uid=submitter.uid,
        ),
        full_name=given.full_name,
        trace=(TRACE_DELIVERY * (FLAG_TRACE in given.flags)) | (TRACE_VERIFY * (FLAG_VERIFY in given.flags)),
        filter=origin.filter,
        overrides=origin.overrides,
        finds_smtputf8=origin.finds_smtputf8,
        returns=True,  # a program may be gone, or look at no exit status, when content is refused
    )


def make_recipient(address: str, notify: str) -> Recipient:
    """Turn a recipient and its NOTIFY words into cleanup's. Raises SubmissionError."""
    bits = 0
    for word in filter(None, notify.split(",")):
        try:
            bits |= _NOTIFY_WORDS[word]
        except KeyError:
            raise SubmissionError("unknown NOTIFY value") from None
    return Recipient(address, notify=bits)
