"""Lookups against a server that answers well, badly, and with malice (DN-01 to DN-12)."""

import asyncio
import struct
import time
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from posthouse.ipc.dns import INVALID, NODATA, NXDOMAIN, OK, TEMPORARY
from posthouse.net import dns as resolver
from posthouse.net.dns import Found, Options, Resolver, Server
from posthouse.util.loop import new_event_loop
from tests.support.fake_dns import FakeDns

Lookup = Callable[..., Found]


def look_up(server: FakeDns, name: str, rrtype: str, *, timeout_s: float = 1.0, attempts: int = 1) -> Found:
    """Look up in a loop of the kind the daemon has."""
    options = Options((Server("127.0.0.1", server.port),), timeout_s, attempts)
    loop = new_event_loop()
    try:
        return loop.run_until_complete(Resolver(loop, lambda: options).resolve(name, rrtype))
    finally:
        loop.close()
        asyncio.set_event_loop(None)


ZONE = {
    ("example.org", "MX"): ["20 mx2.example.org.", "10 mx1.example.org."],
    ("example.org", "TXT"): ['"v=spf1 " "-all"'],
    ("mx1.example.org", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx1.example.org", "AAAA"): ["2001:db8::1"],
    ("alias.example.org", "CNAME"): ["example.org."],
    ("null.example.org", "MX"): ["0 ."],
    ("_25._tcp.mx1.example.org", "TLSA"): ["3 1 1 " + "ab" * 32],
    ("_smtp._tcp.example.org", "SRV"): ["5 0 25 mx1.example.org."],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.example.org."],
}


@pytest.mark.parametrize(
    ("name", "rrtype", "records"),
    [
        ("example.org", "MX", [(10, "mx1.example.org"), (20, "mx2.example.org")]),
        ("EXAMPLE.org.", "TXT", [(0, "v=spf1 -all")]),
        ("mx1.example.org", "A", [(0, "192.0.2.1"), (0, "192.0.2.2")]),
        ("mx1.example.org", "AAAA", [(0, "2001:db8::1")]),
        ("null.example.org", "MX", [(0, ".")]),
        ("_25._tcp.mx1.example.org", "TLSA", [(0, "3 1 1 " + "ab" * 32)]),
        ("_smtp._tcp.example.org", "SRV", [(5, "0 25 mx1.example.org")]),
        ("1.2.0.192.in-addr.arpa", "PTR", [(0, "mx1.example.org")]),
    ],
)
def test_record_types(name: str, rrtype: str, records: list[tuple[int, str]]) -> None:
    """Each type comes in its documented form, MX by preference."""
    with FakeDns(ZONE) as server:
        found = look_up(server, name, rrtype)
    assert found.status == OK
    assert sorted((each.preference, each.data) for each in found.records) == sorted(records)
    assert found.ttl_s == 300


def test_cname_is_followed_and_named() -> None:
    """The canonical name is where the records are."""
    with FakeDns(ZONE) as server:
        found = look_up(server, "alias.example.org", "MX")
    assert (found.status, found.canonical, len(found.records)) == (OK, "example.org", 2)


def test_chain_left_open_by_the_server_is_asked_on() -> None:
    """A server that gives the CNAME alone is asked for its target."""

    def only_cname(question: bytes, _way: str) -> list[bytes] | None:
        query = dns.message.from_wire(question)
        if query.question[0].name.to_text() != "alias.example.org.":
            return None
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text("alias.example.org.", 60, "IN", "CNAME", "example.org."))
        return [reply.to_wire()]

    with FakeDns(ZONE, only_cname) as server:
        found = look_up(server, "alias.example.org", "MX")
    assert (found.status, found.canonical, found.ttl_s) == (OK, "example.org", 60)


@pytest.mark.parametrize(
    "zone",
    [
        {("a.example", "CNAME"): ["b.example."], ("b.example", "CNAME"): ["a.example."]},
        {(f"c{i}.example", "CNAME"): [f"c{i + 1}.example."] for i in range(20)} | {("c20.example", "A"): ["192.0.2.1"]},
    ],
    ids=["loop", "twenty links"],
)
def test_dn01_cname_loop_and_long_chain_are_temporary(zone: dict[tuple[str, str], list[str]]) -> None:
    """DN-01: neither hangs nor says "not found"."""
    with FakeDns(zone) as server:
        assert look_up(server, "a.example" if ("a.example", "CNAME") in zone else "c0.example", "A").status == TEMPORARY


def test_dn02_of_large_sets_the_first_count() -> None:
    """DN-02: of 4000 records in a reply over TCP a hundred stay, best preference first, at little cost."""
    with FakeDns() as server:

        def many(question: bytes, way: str) -> list[bytes]:
            if way == "udp":
                return [question[:2] + b"\x83\x80" + question[4:]]
            rdatas = [struct.pack(">H", number) + b"\1m\xc0\x0c" for number in range(4000, 0, -1)]
            return [raw_reply(question, *rdatas, rrtype=15)[:65000]]

        server.hook = many
        began = time.process_time()
        found = look_up(server, "many.example", "MX")
        assert time.process_time() - began < 0.5
    assert [record.preference for record in found.records] == list(range(3851, 3951))
    assert server.questions[-1][2] == "tcp"


def test_dn06_targets_that_are_no_host_names_are_left_out() -> None:
    """DN-06: IP literals, NUL, 8-bit labels; what is good stays."""
    zone = {("x.example", "MX"): ["5 192.0.2.7.", "6 a\\000b.example.", "7 \\200.example.", "10 good.example."]}
    with FakeDns(zone) as server:
        found = look_up(server, "x.example", "MX")
    assert [record.data for record in found.records] == ["good.example"]


def test_dn06_only_bad_targets_is_invalid() -> None:
    """DN-06: nothing usable is neither "no MX" nor success."""
    with FakeDns({("x.example", "MX"): ["5 192.0.2.7."]}) as server:
        assert look_up(server, "x.example", "MX").status == INVALID


def raw_reply(question: bytes, *rdatas: bytes, rrtype: int, owner: bytes = b"\xc0\x0c") -> bytes:
    """Make an answer with any rdata at all."""
    body = question[: question.index(b"\0", 12) + 5]
    header = question[:2] + b"\x81\x80" + b"\0\1" + struct.pack(">H", len(rdatas)) + b"\0\0\0\0"
    records = b"".join(owner + struct.pack(">HHIH", rrtype, 1, 300, len(rdata)) + rdata for rdata in rdatas)
    return header + body[12:] + records


@pytest.mark.parametrize(
    ("rrtype", "number", "bad"),
    [("MX", 15, b""), ("MX", 15, b"\0"), ("MX", 15, b"\0\5"), ("SRV", 33, b"\0\0"), ("TXT", 16, b"\xffab")],
)
def test_dn07_malformed_rdata_is_not_an_exception(rrtype: str, number: int, bad: bytes) -> None:
    """DN-07: record data that is cut short is left out; alone it is no answer (Postfix: DNS_RETRY)."""
    with FakeDns(hook=lambda question, _way: [raw_reply(question, bad, rrtype=number)]) as server:
        assert look_up(server, "x.example", rrtype).status == TEMPORARY


def test_dn07_good_records_beside_bad_ones_count() -> None:
    """DN-07: one bad record does not spoil the answer."""
    good = b"\0\x0a\2mx\7example\0"
    with FakeDns(hook=lambda question, _way: [raw_reply(question, b"\0", good, rrtype=15)]) as server:
        found = look_up(server, "x.example", "MX")
    assert [(each.preference, each.data) for each in found.records] == [(10, "mx.example")]


@pytest.mark.parametrize("owner", [b"\xc0\x1f", b"\xc0\xff", b"\x7f" + b"a" * 100 + b"\0", b"\x40a\0"])
def test_dn08_compression_loops_and_long_labels_are_bounded(owner: bytes) -> None:
    """DN-08: the reply is ignored; nothing hangs."""
    with FakeDns(hook=lambda question, _way: [raw_reply(question, b"\1\2\3\4", rrtype=1, owner=owner)]) as server:
        assert look_up(server, "x.example", "A", timeout_s=0.3).status == TEMPORARY


def test_dn09_forged_replies_are_ignored() -> None:
    """DN-09: wrong id, wrong question; the true reply after them wins."""
    with FakeDns({("x.example", "A"): ["192.0.2.1"]}) as server:

        def forge(question: bytes, _way: str) -> list[bytes]:
            query = dns.message.from_wire(question)
            other = dns.message.make_query("other.example", "A", id=query.id)
            forged = dns.message.make_response(other)
            forged.answer.append(dns.rrset.from_text("x.example.", 300, "IN", "A", "203.0.113.9"))
            wrong = server.reply(query).to_wire()
            wrong_id = struct.pack(">H", query.id ^ 1) + wrong[2:]
            return [wrong_id] * 20 + [forged.to_wire(), b"", b"\0" * 11] + [server.reply(query).to_wire()]

        server.hook = forge
        found = look_up(server, "x.example", "A")
    assert [record.data for record in found.records] == ["192.0.2.1"]


def test_dn09_a_flood_of_forged_replies_leads_to_tcp() -> None:
    """DN-09: who sees a hundred forgeries trusts only a connection."""
    with FakeDns({("x.example", "A"): ["192.0.2.1"]}) as server:
        server.hook = lambda question, way: [b"\0\0" + question[2:]] * 150 if way == "udp" else None
        assert look_up(server, "x.example", "A").status == OK
    assert server.questions[-1][2] == "tcp"


def test_truncated_answer_is_asked_for_over_tcp() -> None:
    """RFC 7766: TC leads to TCP."""
    with FakeDns(ZONE) as server:
        server.truncate = True
        assert look_up(server, "example.org", "MX").status == OK
    assert [way for _, _, way in server.questions] == ["udp", "tcp"]


def test_dn12_ttls_are_clamped() -> None:
    """DN-12: TTL 0 and negative answers without SOA are kept for a second; huge TTLs not for ever."""
    with FakeDns(ZONE, ttl=0) as server:
        assert look_up(server, "example.org", "MX").ttl_s == 1
        server.soa_minimum = None
        assert look_up(server, "nobody.example", "A").ttl_s == 1
        server.soa_minimum = 2**31 - 1
        assert look_up(server, "nobody.example", "A").ttl_s <= resolver.MAX_NEGATIVE_TTL_S


def test_not_found_and_no_data_are_told_apart() -> None:
    """NXDOMAIN, NODATA, and their TTL from the SOA."""
    with FakeDns(ZONE) as server:
        missing, empty = look_up(server, "no.example", "A"), look_up(server, "example.org", "A")
    assert (missing.status, missing.ttl_s) == (NXDOMAIN, 60)
    assert (empty.status, empty.ttl_s) == (NODATA, 60)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR])
def test_a_failing_server_is_temporary(rcode: dns.rcode.Rcode) -> None:
    """What a server cannot say is never "not found"."""
    with FakeDns(ZONE) as server:
        server.broken = rcode
        assert look_up(server, "example.org", "MX").status == TEMPORARY


def test_a_silent_server_is_temporary_and_asked_as_often_as_told() -> None:
    """Time limit and attempts of resolv.conf are honoured."""
    with FakeDns(hook=lambda _question, _way: []) as server:
        assert look_up(server, "example.org", "MX", timeout_s=0.1, attempts=3).status == TEMPORARY
    assert len(server.questions) == 3


def test_dead_port_leads_to_the_next_server() -> None:
    """A server that is not there costs nothing."""
    with FakeDns(ZONE) as server:
        options = Options((Server("127.0.0.1", 1), Server("127.0.0.1", server.port)), 2.0, 1)
        loop = new_event_loop()
        try:
            found = loop.run_until_complete(Resolver(loop, lambda: options).resolve("example.org", "MX"))
        finally:
            loop.close()
            asyncio.set_event_loop(None)
    assert found.status == OK


def test_ad_bit_is_passed_on_and_asked_for() -> None:
    """`secure` is the AD bit; without it answers are not secure."""
    with FakeDns(ZONE) as server:
        assert not look_up(server, "example.org", "MX").secure
        server.secure = True
        assert look_up(server, "example.org", "MX").secure
        assert look_up(server, "no.example", "MX").secure


@pytest.mark.parametrize(
    "name", ["", "a..b", "-a.example", "x" * 64 + ".example", "a b.example", "192.0.2.1", "é.example"]
)
def test_a_name_that_is_none_is_not_asked_for(name: str) -> None:
    """Invalid names are answered without a question."""
    with FakeDns(ZONE) as server:
        assert look_up(server, name, "A").status == INVALID
    assert not server.questions


@pytest.mark.parametrize("answer", [[], [b""], [b"\0" * 5]])
def test_dn10_truncated_and_no_good_tcp_is_temporary(answer: list[bytes]) -> None:
    """DN-10: TC over UDP, and over TCP nothing, or nonsense."""
    with FakeDns(ZONE) as server:
        server.truncate = True
        server.hook = lambda _question, way: answer if way == "tcp" else None
        assert look_up(server, "example.org", "MX", timeout_s=0.5).status == TEMPORARY


REFERRAL = dns.rrset.from_text(".", 3600, "IN", "NS", "a.root-servers.net.")


def refer(question: bytes, _way: str) -> list[bytes]:
    """Answer as a server does that resolves nothing for us, and names those of the root."""
    reply = dns.message.make_response(dns.message.from_wire(question))
    reply.authority.append(REFERRAL)
    return [reply.to_wire()]


@pytest.mark.parametrize("rrtype", ["MX", "A"])
def test_a_server_that_refers_to_others_has_not_said_that_there_is_nothing(rrtype: str) -> None:
    """Mail would be returned for a wrong line in resolv.conf; it waits, and another server is asked first."""
    with FakeDns(hook=refer) as server:
        assert look_up(server, "example.org", rrtype).status == TEMPORARY
    zone = {("example.org", "MX"): ["10 mx.example.org."], ("example.org", "A"): ["192.0.2.1"]}
    with FakeDns(zone) as second, FakeDns(hook=refer) as first:
        servers = (Server("127.0.0.1", first.port), Server("127.0.0.1", second.port))
        loop = new_event_loop()
        found = loop.run_until_complete(Resolver(loop, lambda: Options(servers, 1.0, 1)).resolve("example.org", rrtype))
        loop.close()
        asyncio.set_event_loop(None)
    assert found.status == OK


def test_an_empty_answer_with_authority_is_an_answer() -> None:
    """Of the zone's own server, which resolves nothing for others."""

    def answer(question: bytes, _way: str) -> list[bytes]:
        reply = dns.message.make_response(dns.message.from_wire(question))
        reply.flags |= dns.flags.AA
        return [reply.to_wire()]

    with FakeDns(hook=answer) as server:
        assert look_up(server, "example.org", "MX").status == NODATA
