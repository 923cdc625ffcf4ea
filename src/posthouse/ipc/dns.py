"""The protocol of dns(8), the only daemon that asks DNS servers. Both ends' records."""

from typing import Final

import msgspec

from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "dns"
VERSION: Final = 1

OK, NXDOMAIN, NODATA, TEMPORARY, INVALID = 0, 1, 2, 3, 4  # TEMPORARY: try again; INVALID: the name is no name


class Query(Request, frozen=True, tag=1):
    """Look up records of one type ("MX", "A", "AAAA", "TXT", "PTR", "TLSA", "SRV") of a name in A-label form."""

    name: str
    rrtype: str


class PeerName(Request, frozen=True, tag=2):
    """Find the verified and the reverse name of an address (smtpd's client): hosts file first, then DNS."""

    address: str


class DnsRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One record of an answer."""

    preference: int  # MX, SRV; otherwise 0
    data: str  # address, host name, or text; "." for a null MX
    ttl: int


class Answer(Request, frozen=True, tag=11):
    """status: OK, NXDOMAIN, NODATA, TEMPORARY (why in text) or INVALID. secure: the AD bit."""

    status: int
    text: str
    secure: bool
    canonical: str  # owner name of the records after CNAMEs
    records: list[DnsRecord]


class PeerNameAnswer(Request, frozen=True, tag=12):
    """Names are "unknown" where they cannot be had; status 2 ok, 4 temporary, 5 permanent failure (smtpd_peer)."""

    name: str
    name_status: int
    reverse_name: str
    reverse_status: int
    ttl: int = 0  # seconds for which this may be kept


ToDns = Query | PeerName
FromDns = Answer | PeerNameAnswer
SERVER: Final[Protocol[ToDns]] = Protocol(NAME, VERSION, ToDns)
CLIENT: Final[Protocol[FromDns]] = Protocol(NAME, VERSION, FromDns)
