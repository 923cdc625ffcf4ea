"""DN-01 to DN-12 against a whole system: what becomes of mail, the memory of dns(8), and what a dead resolver costs.

DN-01 to DN-10, DN-12 as lookups: tests/unit/dns/test_resolver.py, DN-13: tests/unit/dns/test_service.py
DN-03 to DN-06, DN-11 as routes: tests/unit/smtp/test_route.py, on port 25 as far as "loops back to myself" goes
DN-03 as a sender's domain, 550 5.7.27: tests/unit/smtpd/test_access.py
DN-14: not before there are DNS block lists
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import dns.message
import dns.rrset

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.faults.test_hostile_peers import clean, fates, largest, watched
from tests.support.amount import Amount
from tests.support.fake_dns import FakeDns
from tests.support.load import Load, smtp_source
from tests.support.processes import cpu_share
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import offer, wait

GROWTH: Final = 16 << 20
SPINNING: Final = 0.5  # of a CPU, over all processes of the system: generous
Reply = Callable[[bytes, str], "list[bytes] | None"]


def raw(question: bytes, rrtype: int, *rdatas: bytes, owner: bytes = b"\xc0\x0c", flags: bytes = b"\x81\x80") -> bytes:
    """Make an answer with any records at all."""
    asked = question[12 : question.index(b"\0", 12) + 5]
    counts = struct.pack(">HHHH", 1, len(rdatas), 0, 0)
    records = b"".join(owner + struct.pack(">HHIH", rrtype, 1, 300, len(rdata)) + rdata for rdata in rdatas)
    return question[:2] + flags + counts + asked + records


def many_mx(question: bytes, way: str) -> list[bytes]:
    """DN-02: 5000 MX records, each with a name of its own, by TCP."""
    if way == "udp":
        return [raw(question, 15, flags=b"\x83\x80")]
    hosts = (b"\0\x0a\5m%04d\xc0\x0c" % number for number in range(1, 5001))
    return [raw(question, 15, *hosts)[:65535]]


def many_addresses(question: bytes, way: str) -> list[bytes]:
    """DN-02: 500 addresses, of which one answers."""
    if way == "udp":
        return [raw(question, 1, flags=b"\x83\x80")]
    return [raw(question, 1, *[b"\x7f\0\0\1"] * 500)]


def forged(question: bytes, way: str) -> list[bytes]:
    """DN-09: 1000 answers with another id, and no true one but over TCP."""
    wrong = bytes([question[0] ^ 1]) + question[1:]
    mx = b"\0\x0a\4mail\4host\4test\0"
    return [raw(wrong, 15, b"\0\x0a\4evil\4host\4test\0")] * 1000 if way == "udp" else [raw(question, 15, mx)]


@dataclass(frozen=True, slots=True)
class Row:
    """One domain: what its name servers say, and the fate of mail for it. silent: costs the time limits of DNS."""

    name: str
    status: str
    dsn: str
    zone: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    reply: Reply | None = None
    silent: bool = False


MX: Final = ["10 mail.host.test."]
ROWS: Final = [
    Row("good", "sent", "2.", {("good.test", "MX"): MX}),
    Row("loop", "deferred", "4.4.3", {("loop.test", "CNAME"): ["pool.test."], ("pool.test", "CNAME"): ["loop.test."]}),
    Row(
        "chain",
        "deferred",
        "4.4.3",
        {("chain.test", "CNAME"): ["c0.test."]} | {(f"c{n}.test", "CNAME"): [f"c{n + 1}.test."] for n in range(20)},
    ),
    Row("manymx", "sent", "2.", {(f"m{n:04}.manymx.test", "A"): ["127.0.0.1"] for n in range(1, 5001)}, many_mx),
    Row("manya", "sent", "2.", reply=many_addresses),
    Row("null", "bounced", "5.1.10", {("null.test", "MX"): ["0 ."]}),
    Row("multicast", "bounced", "5.4.4", {("multicast.test", "A"): ["224.0.0.1"]}),
    Row("literal", "bounced", "5.4.4", {("literal.test", "MX"): ["10 192.0.2.1."]}),
    Row("mixed", "sent", "2.", {("mixed.test", "MX"): ["5 192.0.2.7.", "6 a\\000b.test.", "7 \\200.test.", *MX]}),
    Row("underscore", "sent", "2.", {("underscore.test", "MX"): ["5 _mail.host.test.", *MX]}),
    Row("short", "deferred", "4.4.3", reply=lambda question, _way: [raw(question, 15, b"", b"\0", b"\0\5")]),
    Row("pointer", "deferred", "4.4.3", reply=lambda q, _way: [raw(q, 15, b"\0\1\0", owner=b"\xc0\x1f")]),
    Row("forged", "sent", "2.", reply=forged),
    Row("cut", "deferred", "4.4.3", reply=lambda q, way: [raw(q, 15, flags=b"\x83\x80")] if way == "udp" else []),
    Row("mute", "deferred", "4.4.3", reply=lambda _question, _way: [], silent=True),
    Row("servfail", "deferred", "4.4.3", reply=lambda q, _way: [raw(q, 15, flags=b"\x81\x82")]),
    Row("missing", "bounced", "5.4.4"),
]
COMMON: Final = {("mail.host.test", "A"): ["127.0.0.1"]}


def hook(rows: list[Row]) -> Reply:
    """Let each row's own function answer for its domain."""
    replies = {f"{row.name}.test".encode(): row.reply for row in rows if row.reply is not None}

    def answer(question: bytes, way: str) -> list[bytes] | None:
        asked = dns.message.from_wire(question).question[0].name.to_text(omit_final_dot=True).lower().encode()
        reply = replies.get(asked)
        return reply(question, way) if reply is not None else None

    return answer


def test_every_hostile_answer_at_once(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Each domain's mail has the fate of its row, and dns(8) is no larger for it."""
    rows = [row for row in ROWS if amount(not row.silent, True)]
    zone = dict(COMMON)
    for row in rows:
        zone |= row.zone
    with FakeDns(zone, hook(rows), ttl=0) as name_server, RecordingSink() as sink:
        server = posthouse(
            main={
                "disable_dns_lookups": "no",
                "dns_nameservers": name_server.address,
                "smtp_tcp_port": str(sink.port),
                "mydestination": "",
                "default_destination_concurrency_failed_cohort_limit": "0",
                "bounce_queue_lifetime": "0",
            }
        )
        smtp_source(Load(5, recipients=("u@good.test",), sender=""), server.port)
        wait("good mail is delivered", lambda: len(sink.received) == 5)
        before = largest(server, "dns")
        rounds = amount(1, 10)
        with watched(server, "dns") as most:
            for turn in range(rounds):
                people = tuple(f"u{turn}@{row.name}.test" for row in rows)
                smtp_source(Load(len(people), recipients=people, sender="", reuse=True), server.port)
                wait(f"round {turn} is over", lambda people=people: fates(server).keys() >= set(people), 60)  # type: ignore[misc]
        found = fates(server)
        for turn in range(rounds):
            for row in rows:
                status, dsn, text = found[f"u{turn}@{row.name}.test"]
                assert status == row.status, (row.name, dsn, text)
                assert dsn.startswith(row.dsn), (row.name, dsn, text)
    clean(server.log())
    figures(
        f"{len(rows)} name servers that answer badly, {rounds} times (DN-01 to DN-12)",
        f"mail is sent, deferred or returned as each row says; dns(8) had {before / 2**20:.1f} MB before, "
        f"{most[0] / 2**20:.1f} MB at most",
    )
    assert most[0] - before <= GROWTH


def test_a_dead_resolver_costs_nothing(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """DN-11: mail is taken and put off, never returned, and nobody spins while it lasts."""
    answering = [False]
    mute = amount(False, True)
    zone = COMMON | {(f"d{number}.test", "MX"): MX for number in range(20)}
    with FakeDns(zone, lambda _q, _way: None if answering[0] else []) as name_server, RecordingSink() as sink:
        main = {
            "disable_dns_lookups": "no",
            "dns_nameservers": name_server.address if mute else "127.0.0.1:1",
            "smtp_tcp_port": str(sink.port),
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "2s",
            "queue_run_delay": "1s",
        }
        server = posthouse(main=main)
        people = tuple(f"u@d{number}.test" for number in range(20))
        smtp_source(Load(len(people), recipients=people, reuse=True), server.port)
        wait("all mail was tried", lambda: set(people) <= fates(server).keys(), 60)
        lasted = amount(1.0, 60.0)
        used = cpu_share(server.master_pid(), lasted)
        assert offer(server).startswith("250")
        assert {status for status, _, _ in fates(server).values()} == {"deferred"}
        lines = server.log().count("\n")
        if mute:
            answering[0] = True
            wait("all mail is delivered when it answers", lambda: len(sink.received) == len(people), 60)
    figures(
        f"the resolver {'is silent' if mute else 'is not there'} for {lasted:.0f} s, 20 messages tried every 1 to 2 s",
        f"all deferred with 4.4.3, {used:.1%} of a CPU for the whole system, {lines} lines in the log",
    )
    assert used < SPINNING
