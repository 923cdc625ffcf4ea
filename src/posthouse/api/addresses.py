"""Addresses for applications: header lists, the two forms, extensions, case, words of commands.

Internal form is without quoting; external form is as in a message header.
"""

import logging
from typing import Final

from posthouse.protocol import address as addresses
from posthouse.protocol.message import tokens
from posthouse.protocol.message.tokens import Node, parse_addresses
from posthouse.protocol.smtp.words import CommandWord, split_command
from posthouse.tables.table import fold_key

__all__ = [
    "AddressList",
    "CommandWord",
    "Node",
    "add_extension",
    "fold_address",
    "parse_address_list",
    "parse_addresses",
    "quote_address",
    "split_command",
    "split_extension",
    "unquote_address",
]

_LOG: Final = logging.getLogger("posthouse.addresses")
_SHOWN: Final = 100  # characters of a comment that was too long


class AddressList:
    """A header's address list. `tree` is its tokens, those of each address below it; literals without brackets."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self.tree = [_shown(node) for node in nodes]

    def internal(self) -> str:
        """Give all of the list in internal form."""
        return tokens.format_internal(self._nodes)

    def external(self, fold: bool = False) -> str:
        """Give all of the list in external form; with `fold` there is a line break behind each comma.

        An element with too much text beside its address becomes the address alone, with a warning.
        """
        for text in tokens.oversized_texts(self._nodes):
            _LOG.warning("stripping too many comments from address: %s...", text[:_SHOWN])
        return tokens.format_external(self._nodes, fold=fold)


def _shown(node: Node) -> Node:
    text = node.text[1:-1] if node.kind == "literal" else node.text
    return Node(node.kind, text, [_shown(child) for child in node.children])


def parse_address_list(text: str, max_tokens: int | None = None) -> AddressList:
    """Parse an address list, of which at most `max_tokens` tokens are read. Every text gives one."""
    return AddressList(tokens.parse_address_list(text, max_tokens))


def quote_address(addr: str, eight_bit_clean: bool = True, bare_localpart: bool = False) -> str:
    """Turn internal into external form; an empty local part becomes "", and so does the empty address."""
    if not addr:
        return '""'
    return addresses.quote_address(addr, eight_bit_clean=eight_bit_clean, bare_local_part=bare_localpart)


def unquote_address(addr: str) -> str:
    """Turn external into internal form."""
    return addresses.unquote_address(addr)


def add_extension(addr: str, extension: str) -> str:
    """Put an extension (with its delimiter) at the end of the local part of an address in internal form."""
    local_part, at, domain = addr.rpartition("@")
    return f"{local_part}{extension}@{domain}" if at else addr + extension


def split_extension(addr: str, delimiters: str) -> tuple[str, str | None]:
    """Split an address in internal form into address and extension (with its delimiter); None: it has none."""
    local_part, at, domain = addr.rpartition("@") if "@" in addr else (addr, "", "")
    user, extension, delimiter = addresses.split_extension(local_part, delimiters)
    return (addr, None) if extension is None else (user + at + domain, delimiter + extension)


def fold_address(addr: str, user: bool = True, domain: bool = True) -> str:
    """Fold the case of the local part and of the domain. Without "@" all of it is local part."""
    local_part, at, name = addr.rpartition("@") if "@" in addr else (addr, "", "")
    return (
        (fold_key(local_part, utf8=True) if user else local_part) + at + (fold_key(name, utf8=True) if domain else name)
    )
