"""Asking DNS servers: one question at a time to a stub resolver's servers, over UDP and, when cut short, over TCP.

Knows the wire format (by dnspython, which only this file uses), servers, time limits and CNAME chains. Does not cache
and has no policy of mail. What comes from the network is hostile: forged and malformed replies are ignored one by one,
a bad record is left out, every loop is bounded, and no reply raises. Our own datagram exchange stands in for
dnspython's: a connected socket lets the kernel drop what other hosts send, and bad replies are skipped, not fatal.
Sources: RFC 1034, 1035, 2181 8, 2308, 6840 5.7 (AD in a question), 6891, 7505, 7766, 9520.
"""

import asyncio
import errno
import os
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TLSA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.SRV

from posthouse.ipc.dns import INVALID, NODATA, NXDOMAIN, OK, TEMPORARY, DnsRecord
from posthouse.protocol.domain import is_hostname

TYPES: Final = frozenset({"A", "AAAA", "MX", "TXT", "PTR", "SRV", "TLSA", "CNAME", "NS"})
MAX_RECORDS: Final = 100  # of one answer; more than any honest MX set, far less than a 64 kB reply can hold
MAX_SECTION: Final = (150, 20, 20)  # records read of answer, authority, additional; more cost 0.2 ms each to parse
MAX_CHAIN: Final = 8  # CNAMEs followed, over all questions asked for one (RFC 1034 3.6.2; unbound stops at 11)
MAX_TEXT: Final = 4096  # characters of one TXT record; the longest DKIM keys have under 1,500
EDNS_PAYLOAD: Final = 1232  # octets; DNS flag day 2020: no fragments
MAX_FORGED: Final = 100  # datagrams with a wrong id or question before the question is asked over TCP instead
TOTAL_S: Final = 30.0  # for one lookup, whatever the servers do
MAX_TTL_S: Final = 86_400  # a day; RFC 2181 8 allows a resolver to cap
MAX_NEGATIVE_TTL_S: Final = 3_600  # RFC 2308 5 suggests one to three hours
FAILURE_TTL_S: Final = 1.0  # RFC 9520 3.2: a failed lookup must be remembered for at least one second
MIN_TTL_S: Final = 1.0  # TTL 0 is used for the questions of the same moment only

TEXT_TEMPORARY: Final = "Host not found, try again"
TEXT_NXDOMAIN: Final = "Host not found"
TEXT_NODATA: Final = "Host found but no data record of requested type"
TEXT_INVALID: Final = "Malformed or unexpected name server reply"
TEXT_BAD_NAME: Final = "Invalid host or domain name"

_LENGTH: Final = struct.Struct(">H")
_COUNTS: Final = struct.Struct(">HHH")  # of records; octets 6 to 11 of a message (RFC 1035 4.1.1)

# Record classes are imported here, before confinement; no reply makes anything be imported later.
dns.rdata.load_all_types(disable_dynamic_load=True)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Server:
    """One DNS server."""

    address: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class Options:
    """What resolv.conf says, or dns_nameservers in its place."""

    servers: tuple[Server, ...]
    timeout_s: float = 5.0  # resolv.conf(5) timeout: for each question to each server
    attempts: int = 2  # resolv.conf(5) attempts: rounds over all servers
    rotate: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Outcome of one lookup; the fields are those of ipc/dns.py Answer. ttl_s: how long it may be kept."""

    status: int
    text: str = ""
    secure: bool = False
    canonical: str = ""
    records: tuple[DnsRecord, ...] = ()
    ttl_s: float = FAILURE_TTL_S


@dataclass(slots=True)
class _Chain:
    """A lookup in progress: where its CNAMEs have led."""

    name: dns.name.Name
    links: int = 0
    secure: bool = True
    ttl_s: float = MAX_TTL_S
    seen: set[dns.name.Name] = field(default_factory=set)


class _NoReplyError(Exception):
    """No server gave a usable reply; the text says which failure was the last."""


class Resolver:
    """Asks; keeps no state but the socket of the moment. `options` is called for every lookup."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Callable[[], Options]) -> None:
        self._loop = loop
        self._options = options

    async def resolve(self, name: str, rrtype: str) -> Found:
        """Look up records; must run in an asyncio task. Never raises for anything the network or `name` does."""
        if rrtype not in TYPES or not is_hostname(name.removesuffix(".")):
            return Found(INVALID, TEXT_BAD_NAME, ttl_s=MAX_NEGATIVE_TTL_S)
        try:
            start = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            return Found(INVALID, TEXT_BAD_NAME, ttl_s=MAX_NEGATIVE_TTL_S)
        chain = _Chain(start)
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(chain, dns.rdatatype.from_text(rrtype))
        except _NoReplyError:
            return Found(TEMPORARY, TEXT_TEMPORARY)
        except TimeoutError:
            return Found(TEMPORARY, TEXT_TEMPORARY)

    async def _follow(self, chain: _Chain, rrtype: dns.rdatatype.RdataType) -> Found:
        """Ask, and ask again where a server leaves the end of a CNAME chain to us."""
        while True:
            reply = await self._ask(chain.name, rrtype)
            chain.secure = chain.secure and bool(reply.flags & dns.flags.AD)
            if not _walk(chain, reply, rrtype):
                raise _NoReplyError("CNAME loop or chain too long")
            found = _read_answer(chain, reply, rrtype)
            if found is not None:
                return found

    async def _ask(self, name: dns.name.Name, rrtype: dns.rdatatype.RdataType) -> dns.message.Message:
        options = self._options()
        servers = list(options.servers)
        if options.rotate:
            random.shuffle(servers)
        why = "no name server is configured"
        for _ in range(options.attempts):
            for server in servers:
                try:
                    return await self._ask_server(server, name, rrtype, options.timeout_s)
                except (OSError, TimeoutError, _NoReplyError) as error:
                    why = f"{server.address}: {error}"
        raise _NoReplyError(why)

    async def _ask_server(
        self, server: Server, name: dns.name.Name, rrtype: dns.rdatatype.RdataType, timeout_s: float
    ) -> dns.message.Message:
        for edns in (True, False):
            query = dns.message.make_query(
                name, rrtype, use_edns=0 if edns else -1, payload=EDNS_PAYLOAD if edns else None
            )
            query.flags |= dns.flags.AD
            reply = await self._exchange(server, query, timeout_s)
            rcode = reply.rcode()
            if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                if _says_nothing(reply):
                    raise _NoReplyError("it resolves nothing for us")
                return reply
            if rcode not in (dns.rcode.FORMERR, dns.rcode.NOTIMP):  # old servers that do not know EDNS say these
                break
        raise _NoReplyError(dns.rcode.to_text(rcode))

    async def _exchange(self, server: Server, query: dns.message.Message, timeout_s: float) -> dns.message.Message:
        async with asyncio.timeout(timeout_s):
            reply = await _Datagrams(self._loop, server, query).reply()
        if reply is not None and not reply.flags & dns.flags.TC:
            return reply
        async with asyncio.timeout(timeout_s):
            return await self._exchange_tcp(server, query)

    async def _exchange_tcp(self, server: Server, query: dns.message.Message) -> dns.message.Message:
        wire = query.to_wire()
        with _socket(server, socket.SOCK_STREAM) as sock:
            await self._connect(sock, server)
            await self._loop.sock_sendall(sock, _LENGTH.pack(len(wire)) + wire)
            (length,) = _LENGTH.unpack(await self._read_exactly(sock, _LENGTH.size))
            reply = _parse(await self._read_exactly(sock, length), query)
        if reply is None:
            raise _NoReplyError("malformed reply over TCP")
        return reply

    async def _connect(self, sock: socket.socket, server: Server) -> None:
        """Connect. Not by the loop's sock_connect: uvloop resolves even an address in a thread, and may start none."""
        error = sock.connect_ex((server.address, server.port))
        if error == errno.EINPROGRESS:
            connected: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_writer(sock.fileno(), _settle, connected)
            try:
                await connected
            finally:
                self._loop.remove_writer(sock.fileno())
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    async def _read_exactly(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await self._loop.sock_recv(sock, size - len(data))
            if not piece:
                raise _NoReplyError("connection closed")
            data += piece
        return data


class _Datagrams:
    """One question over UDP."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Server, query: dns.message.Message) -> None:
        self._loop = loop
        self._query = query
        self._forged = 0
        self._future: asyncio.Future[dns.message.Message | None] = loop.create_future()
        self._socket = _socket(server, socket.SOCK_DGRAM)
        try:
            self._socket.connect((server.address, server.port))
        except OSError:
            self._socket.close()
            raise

    async def reply(self) -> dns.message.Message | None:
        """Ask and wait. None: too many forged replies came; trust only TCP."""
        self._loop.add_reader(self._socket.fileno(), self._readable)
        try:
            self._socket.send(self._query.to_wire())
            return await self._future
        finally:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        while not self._future.done():
            try:
                datagram = self._socket.recv(65535)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # nobody listens there
                self._future.set_exception(error)
                return
            reply = _parse(datagram, self._query)
            if reply is not None:
                self._future.set_result(reply)
                return
            self._forged += 1
            if self._forged >= MAX_FORGED:
                self._future.set_result(None)


def _socket(server: Server, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _parse(wire: bytes, query: dns.message.Message) -> dns.message.Message | None:
    """Read a reply; None when it is none to this question. Records that cannot be read are left out."""
    if len(wire) < 12 or _LENGTH.unpack_from(wire)[0] != query.id:
        return None
    try:
        reply = dns.message.from_wire(_bounded(wire), ignore_trailing=True, continue_on_error=True)
        if wire[6:8] == b"\0\0":  # no answer was promised: what is wrong elsewhere does not matter
            reply.errors = []
        return reply if query.is_response(reply) else None
    except (dns.exception.DNSException, ValueError, KeyError, IndexError, AssertionError):
        return None


def _bounded(wire: bytes) -> bytes:
    """Have only the first records read: what lies behind the counts of the header is not looked at."""
    counts = list(_COUNTS.unpack_from(wire, 6))
    for section, limit in enumerate(MAX_SECTION):
        if counts[section] > limit:
            counts[section:] = [limit, 0, 0][: 3 - section]
            return wire[:6] + _COUNTS.pack(*counts) + wire[12:]
    return wire


def _says_nothing(reply: dns.message.Message) -> bool:
    """Whether a server that neither resolves for us nor knows the zone left the answer empty (RFC 2308 2.1, 2.2)."""
    if reply.answer or reply.rcode() != dns.rcode.NOERROR or reply.flags & (dns.flags.AA | dns.flags.RA):
        return False
    return not any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)


def _walk(chain: _Chain, reply: dns.message.Message, rrtype: dns.rdatatype.RdataType) -> bool:
    """Go along the reply's CNAMEs; False: a loop, or too many."""
    question = reply.question[0] if reply.question else None
    while question is not None and rrtype != dns.rdatatype.CNAME:
        link = reply.get_rrset(reply.answer, chain.name, question.rdclass, dns.rdatatype.CNAME)
        if not link:
            break
        chain.links += 1
        chain.seen.add(chain.name)
        chain.ttl_s = min(chain.ttl_s, link.ttl)
        chain.name = link[0].target
        if chain.links > MAX_CHAIN or chain.name in chain.seen:
            return False
    return True


def _read_answer(chain: _Chain, reply: dns.message.Message, rrtype: dns.rdatatype.RdataType) -> Found | None:
    """Turn the last reply of a chain into the outcome; None: its end must be asked for."""
    if not reply.question:
        raise _NoReplyError("reply without a question")
    rdclass = reply.question[0].rdclass
    rrset = reply.get_rrset(reply.answer, chain.name, rdclass, rrtype)
    canonical = _host(chain.name)
    if rrset:
        ttl_s = min(chain.ttl_s, rrset.ttl)
        records = _records(list(rrset), rrtype, int(max(ttl_s, MIN_TTL_S)))
        if records:
            return Found(OK, "", chain.secure, canonical, records, max(ttl_s, MIN_TTL_S))
        return Found(INVALID, TEXT_INVALID, chain.secure, canonical, (), MIN_TTL_S)
    if reply.rcode() == dns.rcode.NXDOMAIN:
        return Found(NXDOMAIN, TEXT_NXDOMAIN, chain.secure, canonical, (), _negative_ttl(chain, reply))
    if chain.name != reply.question[0].name and not _soa(chain.name, reply):
        return None
    if reply.errors:
        raise _NoReplyError("malformed records")  # not what the owner of the name meant to say: ask again later
    if any(set_.rdtype == rrtype and set_.name == chain.name for set_ in reply.answer):
        return Found(INVALID, TEXT_INVALID, chain.secure, canonical, (), MIN_TTL_S)
    return Found(NODATA, TEXT_NODATA, chain.secure, canonical, (), _negative_ttl(chain, reply))


def _soa(name: dns.name.Name, reply: dns.message.Message) -> int | None:
    """Find the negative TTL: of the SOA record of a zone that holds `name` (RFC 2308 5)."""
    for rrset in reply.authority:
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset) and name.is_subdomain(rrset.name):
            return int(min(rrset.ttl, rrset[0].minimum))
    return None


def _negative_ttl(chain: _Chain, reply: dns.message.Message) -> float:
    ttl_s = _soa(chain.name, reply)
    # Without SOA nothing says how long; RFC 2308 5 wants it not cached, RFC 9520 not asked again at once.
    return max(MIN_TTL_S, min(chain.ttl_s, MAX_NEGATIVE_TTL_S, MIN_TTL_S if ttl_s is None else ttl_s))


def _host(name: dns.name.Name) -> str:
    """Give a name without its final dot; the root is "."."""
    return name.to_text(omit_final_dot=True).lower()


def _records(rdatas: list[dns.rdata.Rdata], rrtype: dns.rdatatype.RdataType, ttl: int) -> tuple[DnsRecord, ...]:
    """Turn record data into ours; what is no legal value is left out."""
    if rrtype in (dns.rdatatype.MX, dns.rdatatype.SRV):  # of too many, keep those of best preference
        rdatas.sort(key=_preference)
    records = []
    for rdata in rdatas[:MAX_RECORDS]:
        data = _data(rdata)
        if data is not None:
            records.append(DnsRecord(_preference(rdata), data, ttl))
    return tuple(records)


def _preference(rdata: dns.rdata.Rdata) -> int:
    if isinstance(rdata, dns.rdtypes.ANY.MX.MX):
        return int(rdata.preference)
    return int(rdata.priority) if isinstance(rdata, dns.rdtypes.IN.SRV.SRV) else 0


def _data(rdata: dns.rdata.Rdata) -> str | None:
    """One record's data as ipc/dns.py has it: SRV "weight port target", TLSA "usage selector matching hex"."""
    if isinstance(rdata, dns.rdtypes.ANY.MX.MX):
        return _target(rdata.exchange)
    if isinstance(rdata, dns.rdtypes.IN.SRV.SRV):
        target = _target(rdata.target)
        return None if target is None else f"{rdata.weight} {rdata.port} {target}"
    if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(rdata.strings).decode("utf-8", "replace")[:MAX_TEXT]
    if isinstance(rdata, dns.rdtypes.ANY.TLSA.TLSA):
        return f"{rdata.usage} {rdata.selector} {rdata.mtype} {rdata.cert.hex()}" if rdata.cert else None
    if rdata.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
        return str(rdata.to_text())
    target_name = getattr(rdata, "target", None)  # PTR, CNAME, NS
    return _target(target_name) if isinstance(target_name, dns.name.Name) else None


def _target(name: dns.name.Name) -> str | None:
    """A host name in record data: "." for none (RFC 7505), None where it is no host name."""
    text = _host(name)
    return text if text == "." or is_hostname(text) else None
