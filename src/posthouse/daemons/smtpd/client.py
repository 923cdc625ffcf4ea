"""Client: who is at the other end of an SMTP connection, as far as smtpd(8) knows."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

OK, TEMPORARY, PERMANENT = 2, 4, 5  # whether a name was found (ipc/dns.py PeerNameAnswer)
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class Client:
    """Names are "unknown" where they cannot be had."""

    address: str = UNKNOWN
    port: str = ""
    name: str = UNKNOWN
    name_status: int = PERMANENT
    reverse_name: str = UNKNOWN
    reverse_name_status: int = PERMANENT
    server_address: str = ""
    server_port: str = ""
    log_name: str = ""  # name[address], maybe with :port
    in_mynetworks: bool | None = None  # None: nobody has asked yet

    @property
    def literal(self) -> str:
        """The address as in an address literal: with IPv6: in front where that belongs (RFC 5321 4.1.3)."""
        return f"IPv6:{self.address}" if ":" in self.address else self.address

    @property
    def known_name(self) -> str:
        """The verified name, "" where there is none: "unknown" is no name to look up in a list."""
        return "" if self.name == UNKNOWN else self.name

    def set_names(self, name: str, name_status: int, reverse_name: str, reverse_status: int) -> None:
        """Take what the dns daemon found."""
        self.name, self.name_status = name, name_status
        self.reverse_name, self.reverse_name_status = reverse_name, reverse_status

    def make_log_name(self, *, with_port: bool) -> None:
        """Fix how this client is called in the log."""
        port = f":{self.port}" if with_port else ""
        self.log_name = f"{self.name}[{self.address}]{port}"


def client_of(sock: socket.socket) -> Client | None:
    """Find out who is connected. None: gone already."""
    try:
        peer, local = sock.getpeername(), sock.getsockname()
    except OSError:
        return None
    if isinstance(peer, str):  # a UNIX socket
        return Client("127.0.0.1", "0", "localhost", OK, "localhost", OK)
    server = plain_address(local[0])
    return Client(plain_address(peer[0]), str(peer[1]), server_address=server, server_port=str(local[1]))


def plain_address(text: str) -> str:
    """Write an address without scope, and an IPv4 address that came over an IPv6 socket as what it is."""
    if ":" not in text:
        return text
    address = ipaddress.IPv6Address(text.partition("%")[0])
    return str(address.ipv4_mapped or address)
