"""AddressHeaders: rewrite the addresses in From:, To: and their kin, and leave a header alone that needs nothing.

A header whose addresses are all plainly complete (user@host.domain, at most one quoted or plain phrase before it) is
recognised by one pattern and never parsed; that is nearly all mail. A header is written anew only when one of its
addresses changed, so that everybody else's formatting survives. Source: facts B07.03, B07.14.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.daemons.cleanup.header_scan import ROLES, Field, Role
from posthouse.protocol.message.tokens import Node, format_external, parse_address_list

MAX_TOKENS: Final = 10240  # of one header; header_address_token_limit's default

# An address that rewriting to standard form cannot change: no % or ! in the local part, a dot in the domain, none at
# its end. Possessive, so that no header makes it slow.
_PLAIN: Final = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~.-]++@(?:[A-Za-z0-9_-]++\.)++[A-Za-z0-9_-]++"
_PHRASE: Final = rb"""(?:"[^"\\\r\n]*+"|[^"(),:;<>@\[\]\\\r\n]++)?+"""
_BLANKS: Final = rb"[ \t\n]*+"
_MAILBOX: Final = rb"(?:%b<%b>|%b)" % (_PHRASE, _PLAIN, _PLAIN)
_COMPLETE: Final = re.compile(rb"%b(?:%b%b)?+(?:,%b%b%b)*+" % (_BLANKS, _MAILBOX, _BLANKS, _BLANKS, _MAILBOX, _BLANKS))

# From an address in external form to an address in external form.
Mapping = Callable[[str], Awaitable[str]]


class AddressHeaders:
    """Rewrites by two mappings, for headers with senders and for headers with recipients.

    has_tables: a complete address may change, too (canonical_maps, masquerade_domains).
    """

    def __init__(self, senders: Mapping, recipients: Mapping, *, has_tables: bool) -> None:
        self._senders = senders
        self._recipients = recipients
        self._has_tables = has_tables

    async def rewrite(self, content: bytes, found: Field) -> bytes | None:
        """Give the header as it must be now, or None when it stays as it is."""
        if not self._has_tables and _COMPLETE.fullmatch(content, found.value, found.end) is not None:
            return None
        text = content[found.value : found.end].decode("utf-8", "surrogateescape")
        nodes = parse_address_list(text, MAX_TOKENS)
        mapping = self._senders if ROLES[found.name] is Role.SENDER else self._recipients
        changed = False
        for node in nodes:
            if node.kind == "address" and await _map_address(node, mapping):
                changed = True
        if not changed:
            return None
        name = content[found.start : found.value]
        return name + b" " + _folded(format_external(nodes, fold=True)) + b"\n"


async def _map_address(node: Node, mapping: Mapping) -> bool:
    before = format_external(node.children)
    if not before:
        return False
    after = await mapping(before)
    if after == before:
        return False
    addresses = [found for found in parse_address_list(after) if found.kind == "address"]
    if len(addresses) != 1:  # a table's answer that is no address stays out of headers
        return False
    node.children = addresses[0].children
    return True


def _folded(text: str) -> bytes:
    """Indent the lines that format_external made behind each comma."""
    return text.replace("\n", "\n    ").encode("utf-8", "surrogateescape")
