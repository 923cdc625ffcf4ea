"""GenericMaps: smtp_generic_maps, lmtp_generic_maps: local addresses become addresses of the Internet as mail leaves.

Envelope addresses, and those in the message's own header, each mapped once. A header none of whose addresses is in the
tables stays as it is. Sources: generic(5), postconf(5): propagate_unmatched_extensions; facts B10.17.
"""

from typing import Final

from posthouse.protocol.address import quote_address
from posthouse.protocol.message.tokens import Node, format_internal
from posthouse.rewriting.header import RECIPIENT_HEADERS, SENDER_HEADERS, map_header, put_address
from posthouse.rewriting.mapping import map_generic
from posthouse.tables.maps import Maps
from posthouse.tables.search_order import SearchRules
from posthouse.util.turns import Turns

MAX_TOKENS: Final = 10240  # of one header; header_address_token_limit's default
ADDRESS_HEADERS: Final = SENDER_HEADERS | RECIPIENT_HEADERS


class GenericMaps:
    """One for the life of a process. False: there are no tables."""

    def __init__(self, maps: Maps, rules: SearchRules, origin: str, *, propagate: bool) -> None:
        """origin: the domain of what has none. propagate: an extension that is not in the table goes on."""
        self._maps = maps
        self._rules = rules
        self._origin = origin
        self._propagate = propagate

    async def map(self, address: str) -> str:
        """Map an address (external form). Raises TableError."""
        if not address:
            return ""
        found = await map_generic(self._maps, address, self._rules, self._origin, propagate=self._propagate)
        return address if found is None else found

    async def rewrite(self, name: bytes, field: bytes, turns: Turns) -> bytes:
        """Map the addresses in a header. name: lower case; field: with its name, without last line end.

        Of a header with more than MAX_TOKENS words and marks the rest is lost when it is written anew, as in
        cleanup(8). Raises TableError.
        """
        if name not in ADDRESS_HEADERS:
            return field
        head, _, value = field.partition(b":")
        mapped = await map_header(head.rstrip(b" \t"), value, MAX_TOKENS, self._changes, turns)
        return field if mapped is None else mapped

    async def _changes(self, node: Node) -> bool:
        """Map one address of a header in place; whether it is another one now."""
        has_domain = any(child.kind == "op" and child.text == "@" for child in node.children)
        before = quote_address(format_internal(node.children), bare_local_part=not has_domain)
        after = await self.map(before)
        return after != before and put_address(node, after)
