"""The right-hand side of canonical and virtual tables: addresses with commas or blanks between them.

It is read like an address header: comments and phrases are dropped, "Name <address>" is taken for the address, members
of a group for themselves. Sources: virtual(5), RFC 5322 3.4.
"""

import re
from typing import Final

from posthouse.protocol.message.tokens import format_external, parse_address_list

# Addresses that nothing but commas and blanks divide; no operator stands alone or at an end
_PLAIN: Final = re.compile(r'(?!.*[@.%!](?:[,\s]|\Z))(?!.*(?:\A|[,\s])[@.%!])[^()<>\[\]"\\:;]*', re.ASCII | re.DOTALL)
_SEPARATORS: Final = re.compile(r"[,\s]+", re.ASCII)


def split_addresses(text: str) -> list[str]:
    """Split a list into addresses in external form. Nothing is checked; a list without addresses gives nothing."""
    if _PLAIN.fullmatch(text) is not None:
        return [address for address in _SEPARATORS.split(text) if address]
    return [format_external(node.children) for node in parse_address_list(text) if node.kind == "address"]
