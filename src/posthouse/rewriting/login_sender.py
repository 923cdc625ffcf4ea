"""Which senders a login may use: tables from login name to a list of addresses.

An item is an address in external form, "@domain" for all of a domain, or a word that stands for the null sender or for
any sender. An address extension of the sender does not count. Source: postconf(5), local_login_sender_maps.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.address import split_address, split_extension, unquote_address
from posthouse.tables.maps import Maps
from posthouse.tables.table import fold_key

_ITEM: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*(?:"|\Z)|\\.|[^\s,"])+', re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoginRules:
    """How items are read. delimiters: recipient_delimiter; null_sender, wildcard: words with a meaning of their own."""

    delimiters: str = ""
    null_sender: str = "<>"
    wildcard: str = "*"


async def login_owns_sender(maps: Maps, login: str, sender: str, rules: LoginRules = LoginRules()) -> bool:
    """Whether `login` may send as `sender` (internal form, "" for the null sender). Raises TableError."""
    value = await maps.find(login)
    if value is None:
        return False
    wanted = {fold_key(sender, utf8=True), fold_key(_without_extension(sender, rules.delimiters), utf8=True)}
    domain = split_address(sender).domain
    at_domain = None if domain is None else "@" + fold_key(domain, utf8=True)
    for item in _ITEM.findall(value):
        if item == rules.wildcard or (item == rules.null_sender and not sender):
            return True
        folded = fold_key(unquote_address(item), utf8=True)
        if sender and (folded in wanted or folded == at_domain):
            return True
    return False


def _without_extension(address: str, delimiters: str) -> str:
    local_part, domain = split_address(address)
    user = split_extension(local_part, delimiters).local_part
    return user if domain is None else f"{user}@{domain}"
