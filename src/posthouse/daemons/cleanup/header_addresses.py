"""AddressHeaders: rewrite the addresses in From:, To: and their kin, and leave a header alone that needs nothing.

A header whose addresses are all plainly complete (user@host.domain, at most one quoted or plain phrase before it) is
recognised by one pattern and never parsed; that is nearly all mail. A header is written anew only when one of its
addresses changed, so that everybody else's formatting survives. Source: facts B07.03, B07.14.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from posthouse.daemons.cleanup.header_scan import ROLES, Field, Role
from posthouse.protocol.address import quote_address
from posthouse.protocol.message.tokens import Node, format_external, format_internal
from posthouse.rewriting.header import map_header, put_address
from posthouse.util.turns import Turns

# An address that rewriting to standard form cannot change: no % or ! in the local part, a dot in the domain, none at
# its end. No header makes it slow: quantifiers are possessive, of groups atomic. (A possessive group gives back too
# little of what it tried in Python before 3.11.5, and then an incomplete address looks complete.)
_ATOM: Final = rb"[A-Za-z0-9#$&'*+/=?^_`{|}~-]++"
_PLAIN: Final = _ATOM + rb"(?>(?:\." + _ATOM + rb")*)@(?>(?:[A-Za-z0-9_-]++\.)+)[A-Za-z0-9_-]++"
_PHRASE: Final = rb"""(?>(?:"[^"\\\r\n]*+"[ \t]*+|[^"(),:;<>@\[\]\\\r\n]++)?)"""
_BLANKS: Final = rb"[ \t\n]*+"
_MAILBOX: Final = rb"(?:%b<%b>|%b)" % (_PHRASE, _PLAIN, _PLAIN)
_COMPLETE: Final = re.compile(
    rb"%b(?>(?:%b%b)?)(?>(?:,%b%b%b)*)" % (_BLANKS, _MAILBOX, _BLANKS, _BLANKS, _MAILBOX, _BLANKS)
)

# From an address in external form to an address in external form.
Mapping = Callable[[str], Awaitable[str]]


class AddressHeaders:
    """Rewrites by two mappings, for headers with senders and for headers with recipients.

    has_tables: a complete address may change, too (canonical_maps, masquerade_domains). token_limit: how much of one
    header is read (header_address_token_limit); what is beyond is lost when the header is written anew.
    """

    def __init__(self, senders: Mapping, recipients: Mapping, *, has_tables: bool, token_limit: int) -> None:
        self._senders = senders
        self._recipients = recipients
        self._has_tables = has_tables
        self._token_limit = token_limit

    def incomplete(self, content: bytes, headers: list[Field]) -> list[Field]:
        """Give the headers that have to be read; the others stay as they are."""
        if self._has_tables:
            return headers
        return [found for found in headers if _COMPLETE.fullmatch(content, found.value, found.end) is None]

    async def rewrite(self, content: bytes, found: Field, turns: Turns) -> bytes | None:
        """Give the header as it must be now, or None when it stays as it is."""
        mapping = self._senders if ROLES[found.name] is Role.SENDER else self._recipients
        name = content[found.start : found.value].rstrip(b": \t")
        value = content[found.value : found.end].rstrip(b"\n")
        mapped = await map_header(name, value, self._token_limit, partial(_map_address, mapping, turns), turns)
        return None if mapped is None else mapped + b"\n"


async def _map_address(mapping: Mapping, turns: Turns, node: Node) -> bool:
    before = format_external(node.children)
    if not before:
        return False
    after = await mapping(_external_form(node, before))
    if after == before:
        return False
    await turns.rest()
    return put_address(node, after)


def _external_form(node: Node, text: str) -> str:
    """Write an address with the quotes that its local part needs, and no others. text: it as it stands.

    A route (@one,@two:user@domain) is no local part to be quoted, nor is what has no domain: rewriting looks for
    routes in it, takes them off, and quotes.
    """
    if text.startswith("@") or not any(child.kind == "op" and child.text == "@" for child in node.children):
        return text
    return quote_address(format_internal(node.children))
