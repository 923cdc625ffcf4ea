"""ProbeSender: the sender of address probes, which may change its tail as time goes, so that it cannot be collected.

Time is cut into slots of address_verify_sender_ttl; the number of the slot, in digits and consonants, is added to the
local part. An address is ours in its own slot, the one before and the one behind: clocks differ, and probes take time.
Sources: postconf(5), address_verify_sender and address_verify_sender_ttl; facts/parameters.tsv.
"""

import re
from collections.abc import Callable
from typing import Final

from posthouse.protocol.address import join_address, quote_address, split_address, unquote_address
from posthouse.protocol.queue_id import ALPHABET, encode_number
from posthouse.tables.table import fold_key

BASE: Final = 31  # digits and capital consonants: no letter has two forms, whatever a server makes of the case
_STAMP: Final = re.compile(f"[{ALPHABET[:BASE]}]{{1,13}}", re.ASCII | re.IGNORECASE)
_NULL: Final = "<>"


class ProbeSender:
    """The rules of one system. All addresses are in external form."""

    def __init__(self, sender: str, ttl_s: float, rewrite: Callable[[str], str]) -> None:
        """sender: as it stands in main.cf; empty or "<>" is the null sender. ttl_s: 0 for an address that stays.

        rewrite: to standard form, in the local context.
        """
        null = sender in {"", _NULL}
        self._base = "" if null else rewrite(sender)
        self._ttl_s = 0.0 if null else ttl_s
        self._local_part, self._domain = split_address(unquote_address(self._base))

    def make(self, now: float) -> str:
        """Give the sender for a probe. now: seconds since the epoch."""
        if not self._ttl_s:
            return self._base
        stamp = encode_number(int(now // self._ttl_s), BASE)
        return quote_address(join_address(self._local_part + stamp, self._domain))

    def match(self, address: str, now: float) -> str | None:
        """Give the address without its time stamp if it is a probe's sender at this time, else None."""
        if not self._ttl_s:
            return self._base if fold_key(address, utf8=True) == fold_key(self._base, utf8=True) else None
        local_part, domain = split_address(unquote_address(address))
        own, length = fold_key(self._local_part, utf8=True), len(self._local_part)
        if fold_key(domain or "", utf8=True) != fold_key(self._domain or "", utf8=True):
            return None
        if fold_key(local_part[:length], utf8=True) != own:
            return None
        if _STAMP.fullmatch(local_part, length) is None:
            return None
        stamp = local_part[length:].upper()
        slot = int(now // self._ttl_s)
        return self._base if stamp in {encode_number(each, BASE) for each in (slot - 1, slot, slot + 1)} else None
