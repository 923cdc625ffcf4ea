"""From resolved recipients to delivery requests: which entries one round of a message makes.

It gets resolutions, gives a plan; the scheduler queues it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.ipc import rewrite
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import DEFERRED, SENT, RecipientResult
from posthouse.ipc.rewrite import Resolved
from posthouse.protocol.address import join_address, split_address, split_extension
from posthouse.util import log

_TRANSPORT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}", re.ASCII)
DISCARDED: Final = "undeliverable postmaster notification discarded"


@dataclass(slots=True)
class Plan:
    """groups: (transport, nexthop, destination name) → rcpt_ids, in order. refused: results (also "sent"), no agent."""

    groups: dict[tuple[str, str, str], list[int]]
    refused: list[RecipientResult]
    readdressed: dict[int, str]


def plan_round(
    recipients: Iterable[DeliverTo],
    resolved: Sequence[Resolved],
    takes_one: Callable[[str], bool],
    deferred: frozenset[str],
    delimiters: str = "",
    double_bounce: str = "",
) -> Plan:
    """Group recipients by where they go.

    takes_one: whether a transport has a recipient limit of 1; there each recipient is its own destination, so that one
    user's slow mailbox does not hold up the others; his extensions (delimiters: recipient_delimiter) make no others,
    or he could have all places of the transport. deferred: defer_transports. double_bounce: double_bounce_sender.
    """
    plan = Plan({}, [], {})
    for rcpt, where in zip(recipients, resolved, strict=True):
        if where.flags & rewrite.FAILED:
            text = "address resolver failure"
            plan.refused.append(RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.0", text, "none"))
            continue
        if where.flags & rewrite.CLASS_LOCAL and _is_user(where.recipient, double_bounce):
            plan.refused.append(RecipientResult(rcpt.rcpt_id, SENT, "2.0.0", DISCARDED, "none"))
            continue
        if where.flags & rewrite.ERROR:
            key = ("error", "5.1.3 bad address syntax", "")
        elif where.transport in deferred:
            plan.refused.append(RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.2", "deferred transport", "none"))
            continue
        elif takes_one(where.transport):
            key = (where.transport, where.nexthop, _without_extension(where.recipient.lower(), delimiters))
        else:
            key = (where.transport, where.nexthop, "")
        if where.recipient and where.recipient != rcpt.address:
            plan.readdressed[rcpt.rcpt_id] = where.recipient
        plan.groups.setdefault(key, []).append(rcpt.rcpt_id)
    return plan


def filtered(wanted: str, default_nexthop: str, addresses: Iterable[str], myhostname: str) -> list[Resolved]:
    """Send everybody to a content filter, "transport:nexthop", whatever the addresses say (facts B08.12).

    Without a nexthop the default one is taken, and without that the recipient's domain. What cannot be the name of a
    transport is none: a table may have made it of a stranger's words, and it becomes the path of a socket.
    """
    transport, _, nexthop = wanted.partition(":")
    if _TRANSPORT.fullmatch(transport) is None:
        log.warning(f"content filter {wanted[:100]}: this is no name of a transport")
        return [Resolved(rewrite.FAILED, "", "", "") for _ in addresses]
    nexthop = nexthop or default_nexthop
    return [
        Resolved(0, transport, nexthop or split_address(address).domain or myhostname, address) for address in addresses
    ]


def _is_user(address: str, user: str) -> bool:
    """Whether it is this user here: nobody reads what comes to the sender of notices, and no notice answers it."""
    end = len(user)
    return end > 0 and address[end : end + 1] in ("", "@") and address[:end].lower() == user.lower()


def _without_extension(address: str, delimiters: str) -> str:
    if not delimiters:
        return address
    local_part, domain = split_address(address)
    return join_address(split_extension(local_part, delimiters)[0], domain)
