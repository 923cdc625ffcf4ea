"""A DNS server for tests: says what its zone holds, over UDP and TCP on a loopback port, in a thread of its own.

For hostile answers a function may make the reply in place of the zone: raw octets, several of them, or none.
"""

import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.support import net

LOOPBACK: Final = "127.0.0.1"
Zone = Mapping[tuple[str, str], Sequence[str]]
# (the question's octets, "udp" or "tcp") -> the octets to send, one item for each datagram; None: as the zone says
Hook = Callable[[bytes, str], "list[bytes] | None"]


class FakeDns:
    """The server; `with FakeDns({("example.org", "MX"): ["10 mx.example.org."]}) as server:` runs it."""

    def __init__(self, zone: Zone | None = None, hook: Hook | None = None, *, ttl: int = 300) -> None:
        self.zone = dict(zone or {})
        self.hook = hook
        self.ttl = ttl
        self.secure = False  # whether answers carry the AD bit
        self.truncate = False  # whether UDP answers are cut short
        self.broken = dns.rcode.NOERROR  # an rcode for all answers
        self.soa_minimum: int | None = 60  # of negative answers; None: they have no SOA
        self.questions: list[tuple[str, str, str]] = []  # (name, type, "udp" or "tcp")
        self.port = net.free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._stopping = False

    @property
    def address(self) -> str:
        """What dns_nameservers takes."""
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        """Start."""
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (self._udp, self._tcp):
            sock.bind((LOOPBACK, self.port))
            sock.settimeout(0.05)
        self._tcp.listen(50)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self._stopping = True
        for thread in self._threads:
            thread.join(5)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while not self._stopping:
            try:
                question, client = self._udp.recvfrom(4096)
            except (TimeoutError, ConnectionError):
                continue
            for datagram in self._answers(question, "udp"):
                self._udp.sendto(datagram, client)

    def _serve_tcp(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._tcp.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                try:
                    (length,) = struct.unpack(">H", connection.recv(2, socket.MSG_WAITALL))
                    question = connection.recv(length, socket.MSG_WAITALL)
                    for answer in self._answers(question, "tcp"):
                        connection.sendall(struct.pack(">H", len(answer)) + answer)
                except (OSError, struct.error):
                    continue

    def _answers(self, question: bytes, way: str) -> list[bytes]:
        message = dns.message.from_wire(question)
        asked = message.question[0]
        self.questions.append((asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype), way))
        if self.hook is not None:
            made = self.hook(question, way)
            if made is not None:
                return made
        return [self.reply(message, way).to_wire(max_size=65535)]

    def reply(self, query: dns.message.Message, way: str = "udp") -> dns.message.Message:
        """Answer as the zone says; CNAMEs are followed as a recursive server does."""
        reply = dns.message.make_response(query, recursion_available=True)
        if self.secure:
            reply.flags |= dns.flags.AD
        if self.truncate and way == "udp":
            reply.flags |= dns.flags.TC
            return reply
        if self.broken != dns.rcode.NOERROR:
            reply.set_rcode(self.broken)
            return reply
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        rrtype = dns.rdatatype.to_text(query.question[0].rdtype)
        for _ in range(20):
            if (name, rrtype) in self.zone or (name, "CNAME") not in self.zone:
                break
            (target,) = self.zone[name, "CNAME"]
            reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "CNAME", target))
            name = target.removesuffix(".")
        if self.zone.get((name, rrtype)):
            reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", rrtype, *self.zone[name, rrtype]))
            return reply
        if not any(owner == name for owner, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if self.soa_minimum is not None:
            soa = f"ns. root. 1 3600 600 86400 {self.soa_minimum}"
            reply.authority.append(dns.rrset.from_text(".", 3600, "IN", "SOA", soa))
        return reply
