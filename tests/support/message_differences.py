"""What is known to differ between Postfix and Posthouse in messages, each with its line in docs/compatibility.md.

A difference is two functions: whether a message can show it at all, and what to take out of an outcome so that it does
not count. Two outcomes that are equal when the differences are taken out are explained by those that were needed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.support.exact_client import Letter
from tests.support.exact_sink import Delivery
from tests.support.message_outcomes import Outcome

_PLAIN_PATH: Final = re.compile(rb"<[A-Za-z0-9+=._'-]+@[A-Za-z0-9.-]*[A-Za-z0-9]>")
_ORCPT: Final = re.compile(rb" ORCPT=[^ ]+")
_FOR: Final = re.compile(rb"\r\n\tfor <[^\r]*>; DATE")
_FIELD: Final = re.compile(rb"[^\n]*\n(?:[ \t][^\n]*\n)*")
SIZE_LIMIT: Final = 4000  # of the configuration "limits"
RECORDS: Final = 2000  # octets at most of the envelope in a queue file


@dataclass(frozen=True, slots=True)
class Difference:
    """row: how its line in docs/compatibility.md begins."""

    row: str
    concerns: Callable[[Letter], bool]
    without: Callable[[Outcome], Outcome]


def explain(letter: Letter, theirs: Outcome, ours: Outcome) -> list[Difference] | None:
    """Give the differences that explain a pair of outcomes, none for equal ones; None: nothing explains them."""
    known = [difference for difference in DIFFERENCES if difference.concerns(letter)]
    if level(known, theirs) != level(known, ours):
        return None
    for difference in tuple(known):
        fewer = [other for other in known if other is not difference]
        if level(fewer, theirs) == level(fewer, ours):
            known = fewer
    return known


def level(differences: Sequence[Difference], outcome: Outcome) -> Outcome:
    """Take differences out of an outcome."""
    for difference in differences:
        outcome = difference.without(outcome)
    return outcome


def _each(change: Callable[[Delivery], Delivery]) -> Callable[[Outcome], Outcome]:
    return lambda outcome: replace(outcome, deliveries=tuple(change(delivery) for delivery in outcome.deliveries))


def _without_order(delivery: Delivery) -> Delivery:
    return replace(delivery, recipients=tuple(sorted(delivery.recipients)))


def _without_original(delivery: Delivery) -> Delivery:
    recipients = tuple(_ORCPT.sub(b"", recipient) for recipient in delivery.recipients)
    recipients = tuple(sorted({rcpt.lower() for rcpt in recipients}))  # no doubles that are spelt in two ways
    return replace(delivery, recipients=recipients, content=_FOR.sub(b"\r\n\tfor X; DATE", delivery.content))


def _without_redirected(delivery: Delivery) -> Delivery:
    """Take out whose DSN parameters a redirected message has: of the first one in order."""
    recipients = tuple(rcpt.partition(b"> ")[0] if b"<redirected@" in rcpt else rcpt for rcpt in delivery.recipients)
    return replace(delivery, recipients=recipients)


def _without_body(delivery: Delivery) -> Delivery:
    return replace(delivery, mail=delivery.mail.replace(b" BODY=8BITMIME", b"").replace(b" BODY=7BIT", b""))


def _replaced(pattern: bytes, new: bytes) -> Callable[[Delivery], Delivery]:
    """Put something else in place of a pattern wherever it stands in the content."""
    return lambda delivery: replace(delivery, content=re.sub(pattern, new, delivery.content))


def _without_blanks_in_names(delivery: Delivery) -> Delivery:
    """Take them out, and with them the folding, which they can change."""
    content = re.sub(rb"(Dotted\.|50%|Yahoo!)[ \r\n\t]+", rb"\1", delivery.content)
    return replace(delivery, content=re.sub(rb",\r\n[ \t]+", b", ", content))


def _without_address_fields(delivery: Delivery) -> Delivery:
    """Take To: and Cc: out."""
    head, end, body = delivery.content.partition(b"\r\n\r\n")
    fields = re.sub(rb"(?m)^(?:To|Cc):[^\n]*\n(?:[ \t][^\n]*\n)*", b"", head + b"\r\n")
    return replace(delivery, content=fields + end + body)


def _without_half_brackets(delivery: Delivery) -> Delivery:
    """Take the fields out in which a bracket has no other: the limit of a header's size made two of one address."""
    head, end, body = delivery.content.partition(b"\r\n\r\n")
    fields = [field for field in _FIELD.findall(head + b"\r\n") if field.count(b"<") == field.count(b">")]
    return replace(delivery, content=b"".join(fields) + end + body)


def _is_eight_bit(letter: Letter) -> bool:
    """Whether something in it, or in the Received: that is made of it, is 8-bit and not announced."""
    if b"".join((letter.content, *letter.recipients)).isascii():
        return False
    return b"BODY=" not in letter.mail_options or b"-Transfer-Encoding" in letter.content


def _always(_: Letter) -> bool:
    return True


def _nothing(_: Outcome) -> Outcome:
    return Outcome((), ())


def _is_about_limit(letter: Letter) -> bool:
    return letter.name.startswith("limits.") and SIZE_LIMIT - RECORDS < len(letter.content) <= SIZE_LIMIT + RECORDS


DIFFERENCES: Final = (
    Difference("order of the recipients", _always, _each(_without_order)),
    Difference(
        "recipients in `ORCPT` and `Received:`",
        lambda letter: not letter.name.startswith("utf8.") and not all(map(_PLAIN_PATH.fullmatch, letter.recipients)),
        _each(_without_original),
    ),
    Difference("order of the recipients", lambda letter: b"List-Id:" in letter.content, _each(_without_redirected)),
    Difference("`BODY=8BITMIME`", _is_eight_bit, _each(_without_body)),
    Difference(
        "original recipients beyond ASCII", lambda letter: letter.name.startswith("utf8."), _each(_without_original)
    ),
    Difference(
        "CRs before a line end",
        lambda letter: b"\r\r\n" in letter.content + b"\r\n",
        _each(_replaced(rb"(?: *|=20)\r\n", b"\r\n")),
    ),
    Difference(
        "names with `.`, `%` or `!`",
        lambda letter: b"Dotted. J." in letter.content or b"50% off" in letter.content,
        _each(_without_blanks_in_names),
    ),
    Difference(
        "a NUL in a header", lambda letter: b"X-Nul:" in letter.content, _each(_replaced(rb"X-Nul: a[^\r]*", b""))
    ),
    Difference("`message_size_limit`", _is_about_limit, _nothing),
    Difference(
        "malformed lists of addresses",
        lambda letter: letter.name.startswith("malformed."),
        _each(_without_address_fields),
    ),
    Difference(
        "malformed lists of addresses", lambda letter: letter.name.startswith("limits."), _each(_without_half_brackets)
    ),
    Difference("bad addresses behind `%` and `!`", lambda letter: letter.name.startswith("routed."), _nothing),
    Difference(
        "repeated MAIL parameters",
        lambda letter: letter.name.startswith("nowhere."),
        _nothing,
    ),
)
