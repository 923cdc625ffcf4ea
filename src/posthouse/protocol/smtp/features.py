"""What a server offers in its reply to EHLO or LHLO, bounded whatever it says.

Sources: RFC 5321 4.1.1.1, RFC 1870 (SIZE), and the RFCs of the extensions named below.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.smtp.client_replies import ServerReply

MAX_KEYWORDS: Final = 200  # no server has a tenth of them
MAX_PARAMETERS: Final = 1000  # characters kept of a keyword's parameters

_SIZE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Features:
    """The server's name and its extensions (keyword in upper case: parameters)."""

    hostname: str = ""
    keywords: dict[str, str] = field(default_factory=dict)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.keywords

    @property
    def pipelining(self) -> bool:
        """Whether commands may be sent in groups (RFC 2920)."""
        return "PIPELINING" in self.keywords

    @property
    def eight_bit_mime(self) -> bool:
        """Whether octets above 127 may be sent (RFC 6152)."""
        return "8BITMIME" in self.keywords

    @property
    def dsn(self) -> bool:
        """Whether the parameters of RFC 3461 are understood."""
        return "DSN" in self.keywords

    @property
    def smtputf8(self) -> bool:
        """Whether addresses and headers may be UTF-8 (RFC 6531)."""
        return "SMTPUTF8" in self.keywords

    @property
    def starttls(self) -> bool:
        """Whether TLS may be started (RFC 3207)."""
        return "STARTTLS" in self.keywords

    @property
    def size(self) -> bool:
        """Whether SIZE= is understood (RFC 1870)."""
        return "SIZE" in self.keywords

    @property
    def size_limit(self) -> int:
        """The largest message the server takes, in octets; 0: not said, or said badly."""
        value = self.keywords.get("SIZE", "")
        return int(value) if _SIZE.fullmatch(value) else 0


def parse_features(reply: ServerReply, discard: frozenset[str] = frozenset()) -> Features:
    """Read the reply to EHLO or LHLO.

    discard: keywords, in upper case, to be ignored; postconf(5): smtp_discard_ehlo_keywords.
    """
    hostname = reply.lines[0].partition(" ")[0]
    keywords: dict[str, str] = {}
    for line in reply.lines[1 : MAX_KEYWORDS + 1]:
        word, _, parameters = line.strip(" ").partition(" ")
        keyword = word.upper() if word.isascii() else ""  # no other letter is one of a keyword
        if keyword and keyword not in discard:
            keywords[keyword] = parameters.strip(" ")[:MAX_PARAMETERS]
    return Features(hostname, keywords)
