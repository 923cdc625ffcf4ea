"""What became of a message at one server, in a form that can be compared: without names, times and queue IDs.

Left out: the queue ID and the time in the Received header of the server itself, the SIZE it announces to the next one,
and time and ID of the Date and Message-Id that it added. All else counts, octet for octet.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tests.support.exact_client import Letter
from tests.support.exact_sink import Delivery

_SIZE: Final = re.compile(rb" SIZE=[0-9]+")
_OWN_ID: Final = re.compile(rb"(?P<before>\r\n\t(?:[^\r]* )?id )[0-9A-Za-z]+")
_OWN_DATE: Final = re.compile(
    rb";(?: |\r\n\t)[A-Z][a-z]{2}, [ 0-9]{1,2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} [+-][0-9]{4} \(\w+\)\r\n"
)
_ADDED_DATE: Final = re.compile(
    rb"^((?:Resent-)?Date): [A-Z][a-z]{2}, [ 0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} [+-][0-9]{4} \(\w+\)\r$",
    re.MULTILINE,
)
_ADDED_ID: Final = re.compile(rb"^((?:Resent-)?Message-Id): <[0-9A-Za-z.]+@mail\.example\.test>\r$", re.MULTILINE)

_MBOX_DATE: Final = re.compile(
    rb"^(From [^ ]*  ?)[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} 20[0-9]{2}\n", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The replies to a message and the deliveries of it, each (MAIL, RCPTs, content) with what may differ left out."""

    replies: tuple[str, ...]
    deliveries: tuple[Delivery, ...]


def plain(delivery: Delivery) -> Delivery:
    """Leave out of a delivery what no two servers have in common."""
    content = _ADDED_ID.sub(rb"\1: ADDED\r", _ADDED_DATE.sub(rb"\1: ADDED\r", delivery.content))
    content = _OWN_DATE.sub(b"; DATE\r\n", _OWN_ID.sub(rb"\g<before>ID", content, count=1), count=1)
    return replace(delivery, mail=_SIZE.sub(b"", delivery.mail), content=content)


def outcomes(
    letters: Iterable[Letter], answers: Mapping[str, tuple[str, ...]], taken: Iterable[Delivery]
) -> dict[str, Outcome]:
    """Bring together what became of each message, by its name."""
    found: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in taken:
        found[delivery.envid.decode()].append(plain(delivery))
    return {
        letter.name: Outcome(
            answers[letter.name], tuple(sorted(found[letter.name], key=lambda one: (one.recipients, one.content)))
        )
        for letter in letters
    }


def plain_box(text: bytes) -> bytes:
    """Leave out of a mailbox's text what no two servers have in common."""
    text = _MBOX_DATE.sub(rb"\1 DATE\n", text).replace(b"\r", b"\\r").replace(b"\n", b"\r\n")
    return plain(Delivery(b"", (), text)).content


def describe(letter: Letter, theirs: Outcome, ours: Outcome) -> str:
    """Say where two outcomes of a message differ."""
    lines = [f"== {letter.name}: {letter.sender!r} {letter.recipients!r}{letter.mail_options.decode()}"]
    if theirs.replies != ours.replies:
        lines += [f"Postfix   {theirs.replies}", f"Posthouse {ours.replies}"]
    left, right = (_lines(outcome) for outcome in (theirs, ours))
    return "\n".join([*lines, *difflib.unified_diff(left, right, "Postfix", "Posthouse", n=0, lineterm="")])


def _lines(outcome: Outcome) -> list[str]:
    """Show deliveries as lines that can be read."""
    shown = []
    for delivery in outcome.deliveries:
        shown += [repr(line)[1:] for line in (delivery.mail, *delivery.recipients, *delivery.content.split(b"\r\n"))]
    return shown
