"""Delivery reports (RFC 3462, 3464): multipart/report of a text, the delivery status, and the message.

Builds the whole message in LF form from finished values; who gets a report and when is the bounce daemon's business.
Header and fields are those of Postfix (facts B12.*), the texts are our own. Nothing that a server or a sender said
can break out of its field: it is cleaned and folded here. Sources: RFC 3464 2, RFC 6533 (UTF-8 forms), RFC 3834.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.status import Action, encode_xtext

WIDTH: Final = 79  # columns at which text and fields are folded
INDENT: Final = "    "
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HEADER_END: Final = re.compile(rb"\n\n")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What became of one recipient."""

    address: str  # external form
    action: Action
    status: str  # RFC 3463
    reason: str  # for people, one line
    original: str = ""  # the address before aliases, where it differs
    orcpt: str = ""  # "type;address" as the sender's DSN parameter gave it, decoded
    remote_mta: str = ""  # "dns; mx.example"
    diagnostic: str = ""  # "smtp; 550 5.1.1 ..." or "x-posthouse; ..."
    retry_until: str = ""  # date; only for delayed


@dataclass(frozen=True, slots=True)
class Texts:
    """What kind of report this is, in words."""

    subject: str
    lines: tuple[str, ...]
    description: str  # Content-Description of the returned message
    sender_name: str = "Mail Delivery System"


def failure_texts(hostname: str) -> Texts:
    """Word a report of failure."""
    lines = (
        f"This is the mail system at {hostname}.",
        "",
        "Your message did not reach everybody it was sent to. Below is who did",
        "not get it, and why; the message itself is attached.",
        "",
        "If you need help, forward this report to the postmaster here. It says",
        "what the postmaster has to know; the attached message may be left out.",
    )
    return Texts("Undelivered Mail Returned to Sender", lines, "Undelivered Message")


def delay_texts(hostname: str, hours: int | str, days: int | str) -> Texts:
    """Word a warning that a message is late: it waits for `hours`, and will be tried for `days` in all.

    To show the text as a template, names that stand for the numbers may be given.
    """
    lines = (
        f"This is the mail system at {hostname}.",
        "",
        "THIS IS ONLY A WARNING. You need not send your message again.",
        "",
        f"Your message has been waiting for more than {hours} hour(s), because of the",
        "problem below. We go on trying until it is",
        f"{days} day(s) old; then you get another report.",
    )
    return Texts("Delayed Mail (still being retried)", lines, "Delayed Message")


def success_texts(hostname: str) -> Texts:
    """Word a report that the sender asked for."""
    lines = (
        f"This is the mail system at {hostname}.",
        "",
        "You asked to be told what became of your message: it was delivered, or",
        "handed on, as it says below. Where it was handed on, another system may",
        "still report a failure.",
    )
    return Texts("Successful Mail Delivery Report", lines, "Message")


def verify_texts(hostname: str) -> Texts:
    """Word the report of a trial delivery (sendmail -bv)."""
    lines = (f"This is the mail system at {hostname}.", "", "Below is the delivery report that you asked for.")
    return Texts("Mail Delivery Status Report", lines, "Message")


@dataclass(frozen=True, slots=True)
class Report:
    """All that goes into a report."""

    texts: Texts
    recipients: tuple[RecipientStatus, ...]
    to: str  # whom it goes to, external form
    sender: str  # of the message it is about; "" is the null sender
    hostname: str
    queue_id: str  # of the message it is about
    arrival_date: str
    boundary: str
    original: bytes  # the message it is about, LF form
    headers_only: bool = False  # RET=HDRS, or too large
    envelope_id: str = ""  # ENVID, decoded
    smtputf8: bool = False  # addresses or headers are UTF-8
    message_id: str = ""  # of the message it is about, for threading; "" for none
    mail_name: str = "Postfix"


def format_boundary(queue_id: str, seconds: int, hostname: str) -> str:
    """Make the boundary between the parts; it does not occur in the returned message by construction of queue IDs."""
    return f"{queue_id}.{seconds}/{hostname}"


def format_report(report: Report) -> bytes:
    """Write the report, header (without Date and Message-ID, which cleanup adds) and body."""
    original = _returned(report)
    eight_bit = not original.isascii()
    text = "\n".join([*_top(report, eight_bit=eight_bit), *_notification(report), *_delivery_status(report)])
    boundary = report.boundary.encode("ascii", "replace")
    return b"".join(
        (_octets(text), b"\n", _part_head(report, eight_bit=eight_bit), original, b"\n--", boundary, b"--\n")
    )


def format_recipient_text(recipient: RecipientStatus) -> list[str]:
    """Say in words what became of a recipient, folded."""
    expanded = f" (expanded from <{_clean(recipient.original)}>)" if recipient.original else ""
    return _wrap(f"<{_clean(recipient.address)}>{expanded}: {_clean(recipient.reason)}")


def _top(report: Report, *, eight_bit: bool) -> list[str]:
    lines = [
        f"From: {report.texts.sender_name} <MAILER-DAEMON>",
        f"Subject: {report.texts.subject}",
        f"To: {_clean(report.to)}",
    ]
    if report.message_id:
        lines += [f"References: {_clean(report.message_id)}", f"In-Reply-To: {_clean(report.message_id)}"]
    return [
        *lines,
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{report.boundary}"',
        f"Content-Transfer-Encoding: {'8bit' if eight_bit or report.smtputf8 else '7bit'}",
        "",
        "This is a MIME-encapsulated message.",
        "",
    ]


def _notification(report: Report) -> list[str]:
    lines = [f"--{report.boundary}", "Content-Description: Notification"]
    lines.append(f"Content-Type: text/plain; charset={'utf-8' if report.smtputf8 else 'us-ascii'}")
    if report.smtputf8:
        lines.append("Content-Transfer-Encoding: 8bit")
    lines += ["", *report.texts.lines, ""]
    for recipient in report.recipients:
        lines += [*format_recipient_text(recipient), ""]
    return lines


def _delivery_status(report: Report) -> list[str]:
    kind = "global-delivery-status" if report.smtputf8 else "delivery-status"
    lines = [f"--{report.boundary}", "Content-Description: Delivery report", f"Content-Type: message/{kind}"]
    if report.smtputf8:
        lines.append("Content-Transfer-Encoding: 8bit")
    lines += ["", f"Reporting-MTA: dns; {report.hostname}"]
    if report.envelope_id:
        lines.append(f"Original-Envelope-Id: {_as_given(report.envelope_id)}")
    lines.append(f"X-{report.mail_name}-Queue-ID: {report.queue_id}")
    if report.sender:
        lines.append(f"X-{report.mail_name}-Sender: {_typed(report.sender, smtputf8=report.smtputf8)}")
    lines += [f"Arrival-Date: {report.arrival_date}", ""]
    for recipient in report.recipients:
        lines += [*_recipient_fields(recipient, smtputf8=report.smtputf8), ""]
    return lines


def _recipient_fields(recipient: RecipientStatus, *, smtputf8: bool) -> list[str]:
    lines = [f"Final-Recipient: {_typed(recipient.address, smtputf8=smtputf8)}"]
    kind, semicolon, address = recipient.orcpt.partition(";")
    if semicolon:
        encoded = _clean(address) if kind.lower() == "utf-8" and smtputf8 else _as_given(address)
        lines.append(f"Original-Recipient: {_clean(kind)};{encoded}")
    elif recipient.original:
        lines.append(f"Original-Recipient: {_typed(recipient.original, smtputf8=smtputf8)}")
    lines += [f"Action: {recipient.action}", f"Status: {recipient.status}"]
    if recipient.remote_mta:
        lines.append(f"Remote-MTA: {_clean(recipient.remote_mta)}")
    if recipient.diagnostic:
        lines += _wrap(f"Diagnostic-Code: {_ascii_unless(recipient.diagnostic, smtputf8=smtputf8)}")
    if recipient.retry_until:
        lines.append(f"Will-Retry-Until: {recipient.retry_until}")
    return lines


def _part_head(report: Report, *, eight_bit: bool) -> bytes:
    if report.headers_only:
        description, kind = f"{report.texts.description} Headers", "global-headers" if report.smtputf8 else ""
        content_type = f"message/{kind}" if kind else "text/rfc822-headers"
    else:
        description, content_type = report.texts.description, f"message/{'global' if report.smtputf8 else 'rfc822'}"
    encoding = "Content-Transfer-Encoding: 8bit\n" if eight_bit else ""
    return _octets(
        f"--{report.boundary}\nContent-Description: {description}\nContent-Type: {content_type}\n{encoding}\n"
        f"Return-Path: <{_clean(report.sender)}>\n"
    )


def _returned(report: Report) -> bytes:
    """Give the message back, or its header, ended by a line end."""
    original = report.original
    if report.headers_only:
        if original[:1] == b"\n":
            original = b""
        elif (end := _HEADER_END.search(original)) is not None:
            original = original[: end.start() + 1]
    return original if original.endswith(b"\n") or not original else original + b"\n"


def _as_given(text: str) -> str:
    """Write what came as xtext, which is SMTP's, without it (RFC 3461 4.2, 4.4); what cannot stand here keeps it."""
    return text if text.isascii() and text.isprintable() else encode_xtext(_octets(text))


def _typed(address: str, *, smtputf8: bool) -> str:
    """Write an address with its type (RFC 3464 2.3.1, RFC 6533 3)."""
    address = _clean(address)
    if address.isascii():
        return f"rfc822; {address}"
    return f"utf-8; {address}" if smtputf8 else f"rfc822; {_ascii_unless(address, smtputf8=False)}"


def _ascii_unless(text: str, *, smtputf8: bool) -> str:
    text = _clean(text)
    return text if smtputf8 or text.isascii() else text.encode("ascii", "replace").decode("ascii")


def _clean(text: str) -> str:
    return text if text.isprintable() else _UNPRINTABLE.sub("?", text)


def _wrap(text: str) -> list[str]:
    """Fold a line at blanks so that no line is longer than WIDTH, if there are blanks; the rest is indented."""
    lines: list[str] = []
    while len(text) > WIDTH:
        cut = text.rfind(" ", len(INDENT) + 1 if lines else 1, WIDTH + 1)
        if cut < 0 and (cut := text.find(" ", WIDTH)) < 0:
            break
        lines.append(text[:cut].rstrip(" "))
        text = INDENT + text[cut:].lstrip(" ")
    if text.strip(" "):
        lines.append(text)
    return lines


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
