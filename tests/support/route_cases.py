"""Addresses and settings of trivial-rewrite(8) that are worth comparing with another implementation."""

import random
from typing import Final

BASE: Final = {
    "recipient_delimiter": "+",
    "mydestination": "$myhostname, example.test, localhost, local.test",
    "virtual_alias_domains": "alias.test",
    "virtual_alias_maps": "",
    "virtual_mailbox_domains": "box.test",
    "relay_domains": "relay.test",
    "myorigin": "example.test",
}
# About one thing each; the sender-dependent ones are asked with all of SENDERS.
SETTINGS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"append_dot_mydomain": "yes"},
    {"append_at_myorigin": "no"},
    {"swap_bangpath": "no"},
    {"allow_percent_hack": "no"},
    {"swap_bangpath": "no", "allow_percent_hack": "no"},
    {"resolve_dequoted_address": "no"},
    {"resolve_null_domain": "yes"},
    {"resolve_numeric_domain": "yes"},
    {"allow_min_user": "yes"},
    {"empty_address_recipient": "nobody"},
    {"empty_address_recipient": "x y@relay.test"},
    {"remote_header_rewrite_domain": "remote.invalid", "append_dot_mydomain": "yes"},
    {"myorigin": "origin.test", "mydomain": "dom.test", "append_dot_mydomain": "yes"},
    {"smtputf8_enable": "no"},
    {"parent_domain_matches_subdomains": ""},
    {"show_user_unknown_table_name": "no"},
    {"mydestination": "", "relay_domains": "far.test"},
    {"proxy_interfaces": "192.0.2.55"},
    {"relayhost": "[gate.test]:25"},
    {
        "relayhost": "gate.test",
        "local_transport": "local",
        "virtual_transport": "lmtp:unix:/x",
        "relay_transport": "smtp:[rel.test]",
        "default_transport": "smtp:def.test",
    },
    {
        "relayhost": "gate.test",
        "transport_maps": "inline:{{u@far.test=one:hop}, {u+x@far.test=onex:}, {far.test=two:}, {.far.test=:three},"
        " {example.test=four}, {nothing.test=:}, {alias.test=five:}, {relay.test=error:5.1.1 no},"
        " {postmaster@local.test=pm:a:b}, {[127.0.0.1]=lit:}, {[192.0.2.1]=lit:}, {böx.test=eai:},"
        " {xn--bx-fka.test=ace:}, {MAILER-DAEMON@mail.example.test=md:}, {*=:wild}}",
    },
    {
        "transport_maps": "inline:{{far.test=two:}, {test=tld:}, {.relay.test=dot:}, {relay.test=nodot:}}",
        "parent_domain_matches_subdomains": "transport_maps,relay_domains",
    },
    {"transport_maps": "inline:{{*=:}}", "relayhost": "gate.test"},
    {"transport_maps": 'regexp:{{/^-/ opt:x} {/a b/ blank:} {/"[^@]/ quote:} {/^[^@]*$$/ nodom:}}'},
    {"relocated_maps": "inline:{{u@far.test=new@place.test}, {u=loc}, {@relay.test=gone}}"},
    {
        "relocated_maps": "inline:{{u@far.test=new@place.test}, {u@=locat}, {postmaster=loc}}",
        "transport_maps": "static:st:at",
    },
    *({name: "fail:x"} for name in ("relocated_maps", "transport_maps", "relay_domains", "mydestination")),
    *({name: "fail:x"} for name in ("virtual_alias_domains", "virtual_mailbox_domains")),
    {"sender_dependent_relayhost_maps": "fail:x"},
    {"sender_dependent_default_transport_maps": "fail:x"},
    {
        "sender_dependent_relayhost_maps": "inline:{{s@s.test=r.test}, {@dom.test=[dr.test]}, {<>=null.test},"
        " {d@s.test=DUNNO}, {l=local.r.test}, {@s.test=all.test}}",
        "relayhost": "gate.test",
    },
    {
        "sender_dependent_default_transport_maps": "inline:{{s@s.test=slow:}, {@dom.test=hop:h.test}, {<>=nullt:},"
        " {d@s.test=dunno}, {l=localt}, {@s.test=:only}}",
        "relayhost": "gate.test",
        "default_transport": "smtp:def.test",
    },
    {
        "sender_dependent_default_transport_maps": "inline:{{s@s.test=slow:}, {@dom.test=hop:h.test}, {<>=nullt:}}",
        "sender_dependent_relayhost_maps": "inline:{{s@s.test=r.test}, {@dom.test=[dr.test]}, {<>=null.test}}",
        "transport_maps": "inline:{{far.test=:x}, {b.test=tr:}}",
    },
    {
        "empty_address_relayhost_maps_lookup_key": "nobody@x.test",
        "sender_dependent_relayhost_maps": "inline:{{nobody@x.test=r.test}}",
        "empty_address_default_transport_maps_lookup_key": "nobody",
        "sender_dependent_default_transport_maps": "inline:{{nobody=t:}}",
    },
    {
        "address_verify_local_transport": "vlocal:",
        "address_verify_virtual_transport": "vbox:",
        "address_verify_relay_transport": "vrelay:",
        "address_verify_default_transport": "vsmtp:",
        "address_verify_relayhost": "vgate.test",
        "address_verify_transport_maps": "inline:{{far.test=vfar:}}",
        "address_verify_sender_dependent_relayhost_maps": "inline:{{s@s.test=vr.test}}",
        "address_verify_sender_dependent_default_transport_maps": "inline:{{s@s.test=vs:}}",
    },
)
OF_REWRITING: Final = 15  # so many of them, from the first, matter to the standard form of addresses
SENDERS: Final = (
    "s@s.test",
    "s+x@s.test",
    "t@s.test",
    "d@s.test",
    "x@dom.test",
    "x@sub.dom.test",
    "",
    "l@example.test",
    "l",
    "S@S.TEST",
)
# One address for each line of thought, in internal form; words of the first text, lines of the second.
_WORDS: Final = """
    u@far.test u+x@far.test v@far.test u@sub.far.test u@a.b.far.test u@relay.test u@sub.relay.test u@RELAY.Test
    u@alias.test u@box.test u@sub.box.test u@nothing.test u@b.test u@example.test U@EXAMPLE.TEST u@local.test u u+x
    postmaster postmaster@local.test MAILER-DAEMON owner-x@far.test +ext@far.test root+
    -u@far.test -u -@far.test "-u"@far.test -u@alias.test u@-far.test "u"@far.test
    u%far.test@example.test u%far.test far.test!u far.test!u@example.test far.test!u@far2.test u%x.test@far.test
    a!b!c a!b!c@example.test a%b%c a%b%c@example.test a@b@example.test a@b@c a@b.test@local.test
    @example.test:u@far.test @example.test,@local.test:u @a:u@far.test @a.test,@b.test:u%x.test@example.test
    u@ u@. u@.. u@a. u@a.. u@far.test. u@far.test.. u@example.test. @ @@ @far.test @example.test @. u@@
    u@example.test@ . .. .u u. .u@far.test u.@example.test u..v@far.test % ! u% %u u! !u !@example.test
    %@example.test u@%far.test u%@far.test u@a%b.test u@a!b.test ""@host ""a a!"" ""a!b %"" ""%b x%"" "".b u@""
    u@[127.0.0.1] u@[127.0.0.2] u@[192.0.2.1] u@[192.0.2.55] u@[IPv6:::1] u@[ipv6:2001:db8::1] u@[2001:db8::1]
    u@127.0.0.1 u@192.0.2.1 u@1.2.3 u@999.1.1.1 u@::1 u@2001:db8::1 u@[127.0.0.1 u@127.0.0.1] u@[] u@[ u@]
    u@[x] u@[[127.0.0.1]] u@[127.0.0.1]. u@[127.0.0.1].x.test u@[127.0.0.1]x u%[127.0.0.1] u@[IPv6:zz]
    u%[192.0.2.1]@example.test u@[300.1.1.1] u@01.2.3.4
    u@a_b.test u@a-.test u@a..b.test u@a$.test u@a*b u@host u@localhost u@localhost. u@far u@böx.test ü@far.test
    ü@example.test ü@böx.test ü u@xn--bx-fka.test u@é.test u@böx。test \udcff@example.test u@\udcff.test
    u@far.test,v u@far.test;v u:v@far.test u;v u,v@example.test a(b)c@far.test (x)u@far.test u@far.test(x)
    <u@far.test> u<v> <> u@"far.test" u@far"test u\\@v@far.test u\\@v@example.test \\@far.test u\\ |x@far.test
"""
_LINES: Final = (
    "a b@far.test",
    "a b@example.test",
    "a b",
    'a"b@far.test',
    'a"b@example.test',
    '"',
    '"@',
    '"@example.test',
    '"a@b"@example.test',
    '"a!b"@example.test',
    "a@b c@example.test",
    "a %b.test@example.test",
    "a b.test!u@example.test",
    "a\tb@far.test",
    "a\nb@far.test",
    "a\x01b@far.test",
    "u@far.test ",
    " u@far.test",
    "u @far.test",
    "u@ far.test",
    "u@fa r.test",
    "u@[127.0.0.1] ",
    "-a b@far.test",
    'a\\"b%c.test@example.test',
)
ADDRESSES: Final = (*_WORDS.replace("\\udcff", "\udcff").split(), *_LINES)
_PIECES: Final = (*'ab.@%!"\\[]() ,;<>-1', "@example.test", "@far.test", "%b.test", "b.test!", "[127.0.0.1]")


def random_addresses(seed: int, count: int) -> list[str]:
    """Give addresses of odd pieces, the same for the same seed."""
    generator = random.Random(seed)
    made = ("".join(generator.choices(_PIECES, k=generator.randint(2, 9))) for _ in range(count))
    return [address for address in made if address.strip() and not address.startswith("!")]
