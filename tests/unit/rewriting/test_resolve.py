"""Where mail goes: classes, transports, nexthops, tables and their order, routed and broken addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.settings import Settings
from posthouse.ipc.rewrite import (
    CLASS_ALIAS,
    CLASS_DEFAULT,
    CLASS_LOCAL,
    CLASS_RELAY,
    CLASS_VIRTUAL,
    ERROR,
    FAILED,
    ROUTED,
    Resolved,
)
from posthouse.rewriting.resolve import Resolver
from posthouse.util.errors import ConfigError
from tests.support.lookups import logged, now

HOST = "mail.here.example"
BASE = {
    "compatibility_level": "3.6",
    "myhostname": HOST,
    "mydomain": "here.example",
    "mydestination": "$myhostname, here.example, localhost",
    "virtual_alias_maps": "",
    "virtual_alias_domains": "alias.example",
    "virtual_mailbox_domains": "boxes.example",
    "relay_domains": "relay.example",
    "recipient_delimiter": "+",
}


def _resolve(address: str, sender: str = "s@sender.example", kind: str = "resolve", **settings: str) -> Resolved:
    resolver = Resolver(Settings.from_mapping({**BASE, **settings}), own=("127.0.0.1", "192.0.2.1", "2001:db8::1"))
    return now(resolver.resolve(address, sender, kind))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("u@here.example", Resolved(CLASS_LOCAL, "local", HOST, "u@here.example")),
        ("u@HERE.Example", Resolved(CLASS_LOCAL, "local", HOST, "u@HERE.Example")),
        ("u@localhost", Resolved(CLASS_LOCAL, "local", HOST, "u@localhost")),
        ("u", Resolved(CLASS_LOCAL, "local", HOST, f"u@{HOST}")),
        ("u@[127.0.0.1]", Resolved(CLASS_LOCAL, "local", HOST, "u@[127.0.0.1]")),
        ("u@[IPv6:2001:DB8::1]", Resolved(CLASS_LOCAL, "local", HOST, "u@[IPv6:2001:DB8::1]")),
        ("u@[192.0.2.2]", Resolved(CLASS_DEFAULT, "smtp", "[192.0.2.2]", "u@[192.0.2.2]")),
        (
            "u@alias.example",
            Resolved(CLASS_ALIAS, "error", "5.1.1 User unknown in virtual alias table", "u@alias.example"),
        ),
        ("u@boxes.example", Resolved(CLASS_VIRTUAL, "virtual", "boxes.example", "u@boxes.example")),
        ("u@relay.example", Resolved(CLASS_RELAY, "relay", "relay.example", "u@relay.example")),
        ("u@sub.relay.example", Resolved(CLASS_RELAY, "relay", "sub.relay.example", "u@sub.relay.example")),
        ("u@sub.boxes.example", Resolved(CLASS_DEFAULT, "smtp", "sub.boxes.example", "u@sub.boxes.example")),
        ("u@far.example", Resolved(CLASS_DEFAULT, "smtp", "far.example", "u@far.example")),
        ("", Resolved(CLASS_LOCAL, "local", HOST, f"MAILER-DAEMON@{HOST}")),
        ('""@here.example', Resolved(CLASS_LOCAL, "local", HOST, "MAILER-DAEMON@here.example")),
        ('"a b"@far.example', Resolved(CLASS_DEFAULT, "smtp", "far.example", '"a b"@far.example')),
        ("ü@exämple.example", Resolved(CLASS_DEFAULT, "smtp", "exämple.example", "ü@exämple.example")),
    ],
)
def test_each_class_has_its_transport(address: str, expected: Resolved) -> None:
    """With no tables at all."""
    assert _resolve(address) == expected


@pytest.mark.parametrize(
    ("address", "flags", "recipient"),
    [
        ("a%far.example@here.example", CLASS_DEFAULT, "a@far.example"),
        ("far.example!a@here.example", CLASS_DEFAULT, "a@far.example"),
        ('"a@far.example"@here.example', CLASS_DEFAULT, "a@far.example"),
        ('"a%far.example"@[127.0.0.1]', CLASS_DEFAULT, "a@far.example"),
        ("a%here.example@here.example", CLASS_LOCAL, "a@here.example"),
        ("@here.example:a@far.example", CLASS_DEFAULT | ROUTED, '"@here.example:a"@far.example'),
        ('"@b.example,@c.example:a%far.example"@here.example', CLASS_DEFAULT, "a@far.example"),
        ('"@b.example:a"@here.example', CLASS_LOCAL, f"a@{HOST}"),
        ('"\\"a!b\\""@here.example', CLASS_DEFAULT, "b@a"),
        ("u@[127.0.0.1", CLASS_LOCAL, "u@[127.0.0.1]"),
        ("far.example!", CLASS_DEFAULT, '""@far.example'),
        ("a%other.example@far.example", CLASS_DEFAULT | ROUTED, "a%other.example@far.example"),
        ("other.example!a@far.example", CLASS_DEFAULT | ROUTED, "other.example!a@far.example"),
        ('"a@other.example"@far.example', CLASS_DEFAULT | ROUTED, '"a@other.example"@far.example'),
        ('"a@other.example"@relay.example', CLASS_RELAY | ROUTED, '"a@other.example"@relay.example'),
    ],
)
def test_routing_in_local_parts(address: str, flags: int, recipient: str) -> None:
    """Followed at our own domains; elsewhere a mark, on which relay control acts."""
    resolved = _resolve(address)
    assert (resolved.flags, resolved.recipient) == (flags, recipient)


@pytest.mark.parametrize(
    "address", ["a@", "a@..", "a@192.0.2.1", "a@1.2.3", "a@[321.1.1.1]", "a@[here", "a@b_c-", "a@\udcff.example", "@"]
)
def test_bad_domains_are_errors(address: str) -> None:
    """Mail for them is refused at once."""
    assert _resolve(address).flags == ERROR | CLASS_DEFAULT


@pytest.mark.parametrize(
    "address", ["u" + "%here.example" * 50, "here.example!" * 50 + "u", '"u' + "%here.example" * 50 + '"@here.example']
)
def test_an_address_with_no_end_of_routes_is_an_error(address: str) -> None:
    """Each of our own domains in it costs a look at mydestination and another reading of the rest."""
    assert _resolve(address).flags == ERROR | CLASS_DEFAULT
    assert _resolve(address.replace("%here.example" * 45, "").replace("here.example!" * 45, "")).recipient[:2] == "u@"


def test_comments_are_no_part_of_a_domain() -> None:
    """Where one is, the address is wrong, though it would be right without."""
    assert _resolve("u@far.example(x)").flags == ERROR | CLASS_DEFAULT


def test_local_parts_that_are_no_utf8_are_errors() -> None:
    """Unless SMTPUTF8 is off: then every octet is as good as any, and domains are ASCII."""
    assert _resolve("\udcff@here.example").flags == ERROR | CLASS_DEFAULT
    assert _resolve("\udcff@here.example", smtputf8_enable="no").flags == CLASS_LOCAL
    assert _resolve("u@böx.example").flags == CLASS_DEFAULT
    assert _resolve("u@böx.example", smtputf8_enable="no").flags == ERROR | CLASS_DEFAULT


def test_a_senders_transport_must_have_a_name() -> None:
    """An entry without one defers the mail, with a warning; nobody guesses a transport."""
    with logged() as lines:
        resolved = _resolve("u@far.example", sender_dependent_default_transport_maps="static::hop")
    assert resolved.flags == FAILED
    name = "sender_dependent_default_transport_maps"
    assert lines == [f'warning: {name}: no transport in ":hop" for s@sender.example; write transport:nexthop']


def test_addresses_like_options_are_errors() -> None:
    """Unless allow_min_user says otherwise."""
    for address in ("-x@far.example", '"-x y"@far.example', "-@here.example"):
        assert _resolve(address).flags & ERROR
        assert not _resolve(address, allow_min_user="yes").flags & ERROR


def test_numeric_domains_may_be_allowed() -> None:
    """resolve_numeric_domain puts the brackets in place."""
    assert _resolve("a@192.0.2.9", resolve_numeric_domain="yes").recipient == "a@[192.0.2.9]"


def test_relayhost_takes_what_is_not_ours() -> None:
    """Default and relay class; a nexthop written with the transport wins."""
    with_relay = {"relayhost": "[gate.example]:2525"}
    assert _resolve("u@far.example", **with_relay).nexthop == "[gate.example]:2525"
    assert _resolve("u@relay.example", **with_relay).nexthop == "[gate.example]:2525"
    assert _resolve("u@boxes.example", **with_relay).nexthop == "boxes.example"
    assert (
        _resolve("u@far.example", default_transport="smtp:[other.example]", **with_relay).nexthop == "[other.example]"
    )


def test_sender_dependent_tables() -> None:
    """They overrule relayhost and default_transport, not transport_maps; DUNNO leaves it; "<>" is the null sender."""
    tables = {
        "relayhost": "gate.example",
        "sender_dependent_relayhost_maps": "inline:{s@sender.example=r.example, @dunno.example=DUNNO, <>=null.example}",
        "sender_dependent_default_transport_maps": "inline:{@sender.example=slow:, @hop.example=slow:h.example}",
    }
    for sender, transport, nexthop in (
        ("s@sender.example", "slow", "r.example"),
        ("s+x@sender.example", "slow", "r.example"),
        ("t@sender.example", "slow", "gate.example"),
        ("s@dunno.example", "smtp", "gate.example"),
        ("", "smtp", "null.example"),
        ("s@hop.example", "slow", "h.example"),
    ):
        resolved = _resolve("u@far.example", sender, **tables)
        assert (resolved.transport, resolved.nexthop) == (transport, nexthop), sender
    assert _resolve("u@relay.example", "s@sender.example", **tables).transport == "relay"
    assert _resolve("u@here.example", "s@sender.example", **tables).transport == "local"


TRANSPORTS = (
    "inline:{{u@far.example = one:hop}, {far.example = two:}, {.far.example = :three}, {here.example = four},"
    " {nothing.example = :}, {alias.example = five:}, {* = :wild}}"
)


@pytest.mark.parametrize(
    ("address", "transport", "nexthop"),
    [
        ("u@far.example", "one", "hop"),
        ("u+x@far.example", "one", "hop"),
        ("v@far.example", "two", "far.example"),
        ("u@sub.far.example", "smtp", "three"),
        ("u@a.b.far.example", "smtp", "three"),
        ("u@here.example", "four", "here.example"),
        ("u@nothing.example", "smtp", "gate.example"),
        ("u@other.example", "smtp", "wild"),
        ("u@boxes.example", "virtual", "wild"),
        ("u@alias.example", "error", "5.1.1 User unknown in virtual alias table"),
    ],
)
def test_transport_maps(address: str, transport: str, nexthop: str) -> None:
    """Address, domain, parents, wildcard; before relayhost; never for an unknown virtual alias."""
    resolved = _resolve(address, transport_maps=TRANSPORTS, relayhost="gate.example")
    assert (resolved.transport, resolved.nexthop) == (transport, nexthop)


def test_transport_maps_with_parents() -> None:
    """parent_domain_matches_subdomains = transport_maps: the domain itself stands for its subdomains."""
    resolved = _resolve(
        "u@sub.far.example", transport_maps=TRANSPORTS, parent_domain_matches_subdomains="transport_maps"
    )
    assert resolved.transport == "two"


def test_transport_patterns_may_not_substitute() -> None:
    """Such a rule is skipped, with a warning."""
    with logged() as lines:
        resolved = _resolve("evil@far.example", transport_maps="regexp:{{/(.*)@/ $$1:}}")
    assert resolved.transport == "smtp"
    assert "substitution is not allowed" in lines[0]


def test_relocated_users() -> None:
    """In every class, after transport_maps."""
    tables = {"relocated_maps": "inline:{{u@far.example = new@place.example}}", "transport_maps": "static:x:y"}
    expected = Resolved(CLASS_DEFAULT, "error", "5.1.6 User has moved to new@place.example", "u@far.example")
    assert _resolve("u@far.example", **tables) == expected
    assert _resolve("u@far.example", relocated_prefix_enable="no", **tables).nexthop == "new@place.example"


@pytest.mark.parametrize(
    "parameter",
    [
        "transport_maps",
        "relocated_maps",
        "sender_dependent_relayhost_maps",
        "sender_dependent_default_transport_maps",
        "mydestination",
        "relay_domains",
        "virtual_alias_domains",
        "virtual_mailbox_domains",
    ],
)
def test_a_failing_table_fails_the_request(parameter: str) -> None:
    """The mail waits; nobody guesses."""
    with logged() as lines:
        assert _resolve("u@far.example", **{parameter: "fail:x"}) == Resolved(FAILED, "", "", "")
    assert any("lookup" in line for line in lines)


def test_a_domain_in_two_lists_is_remarked_on() -> None:
    """The first class wins."""
    with logged() as lines:
        resolved = _resolve("u@alias.example", relay_domains="alias.example")
    assert resolved.flags == CLASS_ALIAS
    assert lines == ["warning: do not list domain alias.example in BOTH virtual_alias_domains and relay_domains"]


def test_probes_have_their_own_settings() -> None:
    """kind "verify": address_verify_*."""
    settings = {"address_verify_relayhost": "probe.example", "address_verify_transport_maps": "inline:{x.example=p:q}"}
    assert _resolve("u@far.example", kind="verify", **settings).nexthop == "probe.example"
    assert _resolve("u@x.example", kind="verify", **settings).transport == "p"
    assert _resolve("u@x.example", **settings).transport == "smtp"


def test_virtual_alias_domains_come_from_the_alias_tables() -> None:
    """virtual_alias_domains defaults to virtual_alias_maps."""
    settings = Settings.from_mapping(
        {"compatibility_level": "3.6", "myhostname": HOST, "virtual_alias_maps": "inline:{{v.example = anything}}"}
    )
    assert now(Resolver(settings, own=()).resolve("u@v.example")).flags == CLASS_ALIAS


def test_a_transport_must_have_a_name() -> None:
    """local_transport = :nexthop stops the start."""
    with pytest.raises(ConfigError, match="local_transport"):
        _resolve("u@here.example", local_transport=":hop")


RESOLVER = Resolver(Settings.from_mapping(BASE), own=("127.0.0.1",))


@given(st.one_of(st.text(max_size=40), st.text(alphabet='ab.@%!"\\[]() ,:;<>1é', max_size=30)))
def test_no_address_makes_resolving_fail(address: str) -> None:
    """Every text gets an answer with exactly one class, or FAILED."""
    with logged():
        resolved = now(RESOLVER.resolve(address))
    classes = resolved.flags & (CLASS_LOCAL | CLASS_ALIAS | CLASS_VIRTUAL | CLASS_RELAY | CLASS_DEFAULT)
    assert resolved.flags == FAILED or classes.bit_count() == 1
    assert resolved.flags & (ERROR | FAILED) or (resolved.transport and resolved.nexthop)


@given(st.text(alphabet='ab@%!"\\ .', max_size=20), st.sampled_from(["here.example", "[127.0.0.1]", HOST]))
def test_nothing_at_our_domain_leaves_unmarked(local_part: str, domain: str) -> None:
    """An address at our domain shows where it goes, or is marked, so that relay control sees it: no hidden routing."""
    quoted = '"' + local_part.replace("\\", "\\\\").replace('"', '\\"') + '"'
    resolved = now(RESOLVER.resolve(f"{quoted}@{domain}"))
    if resolved.flags & CLASS_LOCAL and not resolved.flags & ROUTED:
        inner = resolved.recipient.rpartition("@")[0]
        assert not any(operator in inner for operator in "@%!")
