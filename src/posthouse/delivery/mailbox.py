"""Delivering to a mailbox of a user: which job to ask of the child, and what its ending means for the recipient.

Shared by local(8) and virtual(8). A path that ends in "/" is a Maildir, any other an mbox file.
"""

import time
from dataclasses import dataclass
from typing import Final

from posthouse.delivery.agent import Delivery
from posthouse.delivery.users import Child, Identity, RefusedIdentityError, Users
from posthouse.ipc.as_user import NO_SPACE, NOT_FOUND, OK, OVER_QUOTA, REFUSED, Finished, WriteMailbox, WriteMaildir
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.util.errors import TemporaryError

INLINE_LIMIT: Final = 64 * 1024  # bytes; larger content goes to the child as a descriptor


@dataclass(frozen=True, slots=True)
class MailboxRules:
    """What main.cf says of mailboxes."""

    relay: str  # "local" or "virtual", for the log
    host: str  # in names of Maildir files
    size_limit: int  # of an mbox file; 0: none
    locks: list[str]
    strict_owner: bool = True
    bounces_missing: bool = False  # what is not there, or a directory, bounces; a mail spool may be mounted later
    says_original: bool = True  # X-Original-To
    patience: tuple[int, float, float] = (20, 1.0, 500.0)  # with a lock: tries, seconds between, age of a stale one


def trace_headers(sender: str, rcpt: DeliverTo, delivered_to: str, *, says_original: bool) -> bytes:
    """The lines that final delivery puts before a message. says_original: enable_original_recipient."""
    original = f"X-Original-To: {rcpt.original or rcpt.address}\n" if says_original else ""
    text = f"Return-Path: <{sender}>\n{original}Delivered-To: {delivered_to}\n"
    return text.encode("utf-8", "surrogateescape")


def from_line(sender: str) -> bytes:
    """Begin a message in an mbox file, or on a command's standard input."""
    shown = sender.replace(" ", "-") or "MAILER-DAEMON"
    return f"From {shown}  {time.strftime('%a %b %e %H:%M:%S %Y')}\n".encode("utf-8", "surrogateescape")


async def deliver_to_mailbox(
    users: Users, delivery: Delivery, rcpt: DeliverTo, path: str, identity: Identity, rules: MailboxRules
) -> RecipientResult:
    """Write the message into a mailbox as its owner; the result for the recipient. Never raises."""
    head = trace_headers(delivery.request.envelope.sender, rcpt, rcpt.address, says_original=rules.says_original)
    try:
        child = users.child(JobKind.MAILBOX, identity)
        finished = await child.ask(_job(child, delivery, path, head, rules), delivery.descriptor)
    except TemporaryError as error:
        return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", str(error), rules.relay)
    except RefusedIdentityError as error:
        return RecipientResult(rcpt.rcpt_id, DEFERRED, "4.2.0", str(error), rules.relay)
    if rules.bounces_missing and finished.ending == NOT_FOUND:
        return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.2.0", finished.text, rules.relay)
    return result_of(rcpt, finished, rules.relay)


def _job(child: Child, delivery: Delivery, path: str, head: bytes, rules: MailboxRules) -> WriteMaildir | WriteMailbox:
    lent = delivery.descriptor >= 0
    content = b"" if lent else delivery.content()
    if path.endswith("/"):
        return WriteMaildir(child.next_id(), path.rstrip("/"), rules.host, head, content, lent)
    return WriteMailbox(
        child.next_id(),
        path,
        from_line(delivery.request.envelope.sender),
        head,
        content,
        lent,
        rules.size_limit,
        rules.locks,
        rules.strict_owner,
        rules.patience,
    )


def result_of(rcpt: DeliverTo, finished: Finished, relay: str) -> RecipientResult:
    """Say what an ending means: full disk defers, a full mailbox and a refused file bounce (facts B11.16)."""
    if finished.ending == OK:
        return RecipientResult(rcpt.rcpt_id, SENT, "2.0.0", finished.text, relay, action="delivered")
    if finished.ending == OVER_QUOTA:
        return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.2.2", finished.text, relay)
    if finished.ending == REFUSED:
        return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.2.0", finished.text, relay)
    status = "4.3.0" if finished.ending == NO_SPACE else "4.2.0"
    return RecipientResult(rcpt.rcpt_id, DEFERRED, status, finished.text, relay)
