"""From a domain to addresses: MX, implicit MX, null MX, loops, families, the hosts file (DN-03 to DN-06)."""

import pytest

from posthouse.daemons.smtp import route
from posthouse.daemons.smtp.destination import Destination, parse_destination, parse_destinations
from posthouse.daemons.smtp.options import Choice
from posthouse.daemons.smtp.route import Endpoint, arrange
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT
from tests.support.fake_dns import FakeDns
from tests.support.scripted_server import ScriptedServer
from tests.unit.smtp.conftest import StartAgent

OWN = {"inet_interfaces": "127.0.0.1", "proxy_interfaces": "192.0.2.99"}
ONE_MX = {("x.test", "MX"): ["10 m.test."]}
FAR = {**OWN, "smtp_connect_timeout": "1s"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", Destination("example.org", "", mx=True)),
        ("example.org:587", Destination("example.org", "587", mx=True)),
        ("example.org:submission", Destination("example.org", "submission", mx=True)),
        ("[mail.example.org]", Destination("mail.example.org")),
        ("[192.0.2.1]:2525", Destination("192.0.2.1", "2525")),
        ("[IPv6:2001:db8::1]:25", Destination("2001:db8::1", "25")),
        ("[2001:db8::1]", Destination("2001:db8::1")),
        ("2001:db8::1", Destination("2001:db8::1", mx=True)),
        ("[]", None),
        ("[a]b", None),
        (":25", None),
        ("a:", None),
    ],
)
def test_destination_forms(text: str, expected: Destination | None) -> None:
    """smtp(8)'s forms of a nexthop."""
    assert parse_destination(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:private/dovecot-lmtp", Destination(path="private/dovecot-lmtp")),
        ("inet:127.0.0.1:24", Destination("127.0.0.1", "24")),
        ("inet:[::1]:24", Destination("::1", "24")),
        ("mail.example.org", Destination("mail.example.org")),
        ("unix:", None),
    ],
)
def test_lmtp_destination_forms(text: str, expected: Destination | None) -> None:
    """lmtp(8)'s forms; LMTP asks for no MX."""
    assert parse_destination(text, lmtp=True) == expected


def test_list_of_destinations() -> None:
    """Commas and blanks separate; one bad item spoils the list."""
    assert parse_destinations("a, [b]:26 c") == [
        Destination("a", "", mx=True),
        Destination("b", "26"),
        Destination("c", "", mx=True),
    ]
    assert parse_destinations("a, [") is None
    assert parse_destinations("") is None


def test_mx_hosts_are_tried_by_preference(start_agent: StartAgent) -> None:
    """The better host is dead, so the worse one gets the mail, under its own name."""
    zone = {
        ("example.test", "MX"): ["20 good.test.", "10 dead.test."],
        ("dead.test", "A"): ["127.0.0.2"],
        ("good.test", "A"): ["127.0.0.1"],
    }
    with FakeDns(zone) as dns, ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent(OWN, dns=dns)
        (result,) = agent.deliver(f"example.test:{server.port}").results
        agent.run_for(0.02)
    assert (result.outcome, result.relay) == (SENT, f"good.test[127.0.0.1]:{server.port}")
    assert any(f"connect to dead.test[127.0.0.2]:{server.port}: Connection refused" in line for line in agent.log.lines)


@pytest.mark.parametrize(
    "zone",
    [{("example.test", "A"): ["127.0.0.1"]}, {("example.test", "TXT"): ['"x"'], ("example.test", "A"): ["127.0.0.1"]}],
)
def test_domain_without_mx_is_its_own_host(start_agent: StartAgent, zone: dict[tuple[str, str], list[str]]) -> None:
    """Implicit MX (RFC 5321 5.1)."""
    with FakeDns(zone) as dns, ScriptedServer(lambda talk: talk.converse()) as server:
        (result,) = start_agent(OWN, dns=dns).deliver(f"example.test:{server.port}").results
    assert (result.outcome, result.relay) == (SENT, f"example.test[127.0.0.1]:{server.port}")


def test_brackets_mean_no_mx(start_agent: StartAgent) -> None:
    """[host] is looked up as a host."""
    zone = {("example.test", "MX"): ["10 other.test."], ("example.test", "A"): ["127.0.0.1"]}
    with FakeDns(zone) as dns, ScriptedServer(lambda talk: talk.converse()) as server:
        (result,) = start_agent(OWN, dns=dns).deliver(f"[example.test]:{server.port}").results
        assert ("example.test", "MX", "udp") not in dns.questions
    assert result.outcome == SENT


@pytest.mark.parametrize(
    ("zone", "outcome", "dsn", "text"),
    [
        (
            ONE_MX | {("x.test", "MX"): ["0 .", "10 us.test."]},
            BOUNCED,
            "5.1.10",
            "Domain x.test does not accept mail (nullMX)",
        ),
        ({("x.test", "MX"): ["5 ."]}, BOUNCED, "5.4.4", "no MX host for x.test has a valid name"),
        ({("x.test", "MX"): ["0 ."]}, BOUNCED, "5.1.10", "Domain x.test does not accept mail (nullMX)"),
        (
            {},
            BOUNCED,
            "5.4.4",
            "Host or domain name not found. Name service error for name=x.test type=A: Host not found",
        ),
        (
            {("x.test", "MX"): ["10 m.test."]},
            BOUNCED,
            "5.4.4",
            "Host or domain name not found. Name service error for name=m.test type=A: Host not found",
        ),
        (ONE_MX | {("m.test", "A"): ["127.0.0.1"]}, BOUNCED, "5.4.6", "mail for x.test loops back to myself"),
        (ONE_MX | {("m.test", "A"): ["127.9.9.9"]}, BOUNCED, "5.4.6", "mail for x.test loops back to myself"),
        (ONE_MX | {("m.test", "A"): ["0.0.0.0"]}, BOUNCED, "5.4.6", "mail for x.test loops back to myself"),
        (ONE_MX | {("m.test", "A"): ["192.0.2.99"]}, BOUNCED, "5.4.6", "mail for x.test loops back to myself"),
        ({("x.test", "A"): ["127.0.0.1"]}, BOUNCED, "5.4.6", "mail for x.test loops back to myself"),
        (
            {("x.test", "MX"): ["5 gone.test.", "10 m.test."], ("m.test", "A"): ["127.0.0.1"]},
            DEFERRED,
            "4.4.4",
            "unable to find primary relay for x.test",
        ),
        (ONE_MX | {("m.test", "A"): ["224.0.0.1"]}, BOUNCED, "5.4.4", "unable to look up host m.test"),
        ({("x.test", "MX"): ["10 192.0.2.1."]}, BOUNCED, "5.4.4", "Malformed or unexpected name server reply"),
    ],
)  # fmt: skip
def test_destinations_that_lead_nowhere(
    start_agent: StartAgent, zone: dict[tuple[str, str], list[str]], outcome: int, dsn: str, text: str
) -> None:
    """DN-03, DN-04, DN-05, DN-06: Postfix's codes and words, no connection made."""
    with FakeDns(zone) as server:
        (result,) = start_agent(OWN, dns=server).deliver("x.test").results
    assert (result.outcome, result.dsn, result.relay) == (outcome, dsn, "none")
    assert text in result.text


def test_servers_no_better_than_ourselves_are_not_tried(start_agent: StartAgent) -> None:
    """We are the second best MX: only the best one is asked, and when it is away mail waits."""
    zone = {
        ("x.test", "MX"): ["10 best.test.", "20 us.test.", "20 equal.test.", "30 worse.test."],
        ("best.test", "A"): ["192.0.2.1"],
        ("us.test", "A"): ["127.0.0.1"],
        ("equal.test", "A"): ["192.0.2.2"],
        ("worse.test", "A"): ["192.0.2.3"],
    }
    with FakeDns(zone) as server:
        agent = start_agent(FAR, dns=server)
        (result,) = agent.deliver("x.test").results
    assert result.outcome == DEFERRED
    assert "connect to best.test[192.0.2.1]:25" in result.text


def test_name_server_that_fails_defers(start_agent: StartAgent) -> None:
    """DN-11: "cannot be had now" is never "not found"."""
    with FakeDns({}) as server:
        server.broken = 2  # type: ignore[assignment]  # SERVFAIL
        results = start_agent(OWN, dns=server).deliver("x.test")
    (result,) = results.results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.4.3")
    assert result.text.endswith("type=MX: Host not found, try again")
    assert results.destination_dead


def test_one_mx_host_that_may_exist_is_waited_for(start_agent: StartAgent) -> None:
    """No MX host has an address, but one lookup failed for now: mail is not bounced."""
    zone = {("x.test", "MX"): ["10 gone.test.", "20 maybe.test."]}
    with FakeDns(zone) as server:
        server.hook = lambda question, _way: (
            [question[:2] + b"\x81\x82" + question[4:6] + b"\0" * 6 + question[12:]] if b"maybe" in question else None
        )
        (result,) = start_agent(OWN, dns=server).deliver("x.test").results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.4.3")


def test_relayhost_that_does_not_exist_is_deferred(start_agent: StartAgent) -> None:
    """B10.02: lookup errors of relayhost are our configuration's, so nothing is bounced for them."""
    with FakeDns({}) as server:
        (result,) = start_agent({**OWN, "relayhost": "relay.test"}, dns=server).deliver("relay.test").results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.4.4")


def test_server_that_says_it_is_us_is_a_loop(start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply to EHLO with our own name ends the delivery, on the SMTP port."""
    with ScriptedServer(lambda talk: talk.converse({"EHLO": "250 CLIENT.test hello"})) as server:
        monkeypatch.setattr(route, "SMTP_PORT", server.port)
        monkeypatch.setattr(route.Router, "_is_own", lambda _self, _address: False)
        (result,) = start_agent(OWN).deliver(f"[127.0.0.1]:{server.port}").results
    assert (result.outcome, result.dsn) == (BOUNCED, "5.4.6")
    assert result.text == f"mail for [127.0.0.1]:{server.port} loops back to myself"


def test_address_and_session_limits(start_agent: StartAgent) -> None:
    """Two addresses at most, and one session that got as far as EHLO."""
    zone = {("x.test", "MX"): ["10 m.test."], ("m.test", "A"): ["127.0.0.1", "127.0.0.2", "127.0.0.3"]}
    with (
        FakeDns(zone) as dns,
        ScriptedServer(lambda talk: talk.converse({"RCPT": "450 no"}), address="0.0.0.0") as server,
    ):
        agent = start_agent({**OWN, "smtp_mx_address_limit": "2", "smtp_mx_session_limit": "0"}, dns=dns)
        assert agent.deliver(f"x.test:{server.port}").results[0].outcome == DEFERRED
        assert len(server.talks) == 2
    with (
        FakeDns(zone) as dns,
        ScriptedServer(lambda talk: talk.converse({"RCPT": "450 no"}), address="0.0.0.0") as server,
    ):
        agent = start_agent({**OWN, "smtp_mx_session_limit": "1"}, dns=dns)
        assert agent.deliver(f"x.test:{server.port}").results[0].outcome == DEFERRED
        assert len(server.talks) == 1


def test_hosts_file_counts_where_native_lookups_are_on(start_agent: StartAgent) -> None:
    """smtp_host_lookup = native: localhost is known without DNS."""
    with FakeDns({}) as dns, ScriptedServer(lambda talk: talk.converse()) as server:
        agent = start_agent({**OWN, "smtp_host_lookup": "native"}, dns=dns)
        assert agent.deliver(f"[localhost]:{server.port}").results[0].outcome == SENT
    with FakeDns({}) as dns:
        assert start_agent(OWN, dns=dns).deliver("[localhost]:2525").results[0].outcome == BOUNCED


def endpoints(*specs: tuple[int, str]) -> list[Endpoint]:
    """Make endpoints of (preference, address)."""
    return [Endpoint("h", address, 25, preference) for preference, address in specs]


def test_equal_preferences_are_shuffled() -> None:
    """Each of three equal hosts comes first now and then; the worse one never."""
    found = endpoints((1, "192.0.2.1"), (1, "192.0.2.2"), (1, "192.0.2.3"), (2, "192.0.2.9"))
    choice = Choice(randomize=True, preference="any", balance=True, address_limit=5, session_limit=2)
    orders = [arrange(found, choice) for _ in range(200)]
    assert {order[0].address for order in orders} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert {order[3].address for order in orders} == {"192.0.2.9"}


@pytest.mark.parametrize(("preference", "first"), [("ipv6", "2001:db8::1"), ("ipv4", "192.0.2.1")])
def test_address_preference(preference: str, first: str) -> None:
    """smtp_address_preference decides among equals only."""
    found = endpoints((1, "192.0.2.1"), (1, "2001:db8::1"), (2, "192.0.2.2"))
    choice = Choice(randomize=False, preference=preference, balance=True, address_limit=5, session_limit=2)
    assert arrange(found, choice)[0].address == first


def test_both_families_within_the_limit() -> None:
    """smtp_balance_inet_protocols: one IPv4 address among the first, however many IPv6 addresses there are."""
    found = endpoints(*((1, f"2001:db8::{n}") for n in range(1, 8)), (2, "192.0.2.1"))
    choice = Choice(randomize=False, preference="any", balance=True, address_limit=5, session_limit=2)
    assert "192.0.2.1" in [each.address for each in arrange(found, choice)[:5]]
