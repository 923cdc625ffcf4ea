"""Which keys are asked for, and in which order: ours and Debian's Postfix under the same main.cf.

Nothing is found in any table, so every key that an address has is tried. Ours tell their keys by debug: tables, which
Debian's Postfix does not have yet; its daemons tell theirs when they are verbose.
"""

import re
import smtplib
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.conftest import Start
from tests.support.instance import MASTER_CF, Instance
from tests.support.net import LOOPBACK

Ask = Callable[[Instance], dict[str, dict[str, list[str]]]]
OURS: Final = re.compile(r'inline:\{(\w+)=x\} lookup: "(.*)" = "not_found"$', re.MULTILINE)
THEIRS: Final = re.compile(r"maps_find: (?:inline:\{)?(\w+)(?:=x\})?: (.*): not found$", re.MULTILINE)
MAPS: Final = (
    "canonical_maps",
    "recipient_canonical_maps",
    "sender_canonical_maps",
    "virtual_alias_maps",
    "transport_maps",
    "relocated_maps",
    "sender_dependent_relayhost_maps",
    "sender_dependent_default_transport_maps",
    "recipient_bcc_maps",
    "sender_bcc_maps",
)
ACCESS: Final = ("check_client_access", "check_helo_access", "check_sender_access", "check_recipient_access")
LISTED: Final = ("local_recipient_maps", "virtual_mailbox_maps", "relay_recipient_maps")
WILDCARD: Final = "*"  # of transport_maps; Postfix asks for it when it starts and then now and again
VERBOSE: Final = re.compile(r"^(.* (?:smtpd|cleanup|trivial-rewrite))$", re.MULTILINE)
ADDRESSES: Final = (
    "user@example.test",
    "user+ext@example.test",
    "User+Ext@Example.Test",
    "owner-list@example.test",
    "list-request+ext@far.test",
    "user-ext@far.test",
    "user@sub.virtual.test",
    "user+ext@sub.virtual.test",
    "user+ext@sub.relay.test",
    "user+ext@a.b.far.test",
    "+ext@a.b.far.test",
    "postmaster+ext@far.test",
    '"two words+ext"@example.test',
    '"two words+ext"@a.far.test',
    '"at@home"@example.test',
    "user%a.far.test@example.test",
    "user+ext@[127.0.0.1]",
    "bare",
    "other+ext",
)
# What is asked before a recipient is accepted. Whether and how senders are resolved is another matter.
BY_SMTPD: Final = re.compile(r" postfix/(?:smtpd|trivial-rewrite)\[(?!.*sender_dependent)")


def _main(prefix: str, parents: str, delimiters: str) -> dict[str, str]:
    """Give a main.cf whose tables have nothing in them but their own names."""
    tables = {name: f"{prefix}inline:{{{name}=x}}" for name in (*MAPS, *LISTED, *ACCESS)}
    return {
        **{name: tables[name] for name in (*MAPS, *LISTED)},
        "smtpd_recipient_restrictions": ", ".join(f"{name} {tables[name]}" for name in ACCESS),
        "virtual_mailbox_domains": "sub.virtual.test",
        "virtual_mailbox_base": "/nowhere",
        "virtual_alias_domains": "",
        "relay_domains": "relay.test",
        "parent_domain_matches_subdomains": parents,
        "recipient_delimiter": delimiters,
        "local_transport": "discard:",
        "virtual_transport": "discard:",
        "relay_transport": "discard:",
        "default_transport": "discard:",
    }


def _keys(text: str) -> dict[str, list[str]]:
    """Give the keys that each table was asked for, in order, each once."""
    found: dict[str, dict[str, None]] = {}
    for table, key in (*OURS.findall(text), *THEIRS.findall(text)):
        if key != WILDCARD and table in (*MAPS, *LISTED, *ACCESS):
            found.setdefault(table, {})[key] = None
    return {table: list(keys) for table, keys in found.items()}


def _settled(server: Instance, start: int) -> str:
    """Give what was logged from `start` on, once nothing more comes."""
    text = server.log()
    while True:
        time.sleep(0.1)
        if (now := server.log()) == text:
            return now[start:]
        text = now


def _asked_by_cleanup(server: Instance) -> dict[str, dict[str, list[str]]]:
    """Send a message from and to each address."""
    asked = {}
    for address in ADDRESSES:
        start = len(server.log())
        done = server.command("sendmail", "-i", "-f", address, address, stdin=b"Subject: x\n\nx\n")
        assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + 20
        while ": removed" not in server.log()[start:]:
            assert time.monotonic() < deadline, server.log()[start:]
            time.sleep(0.05)
        asked[address] = _keys(_settled(server, start))
    return asked


def _asked_by_smtpd(server: Instance) -> dict[str, dict[str, list[str]]]:
    """Name each address as sender and recipient; whether it is accepted does not matter."""
    asked = {}
    for address in ADDRESSES:
        start = len(server.log())
        with smtplib.SMTP(LOOPBACK, server.port, local_hostname="a.client.test", timeout=30) as client:
            client.ehlo()
            client.docmd(f"MAIL FROM:<{address}>")
            client.docmd(f"RCPT TO:<{address}>")
        asking = [line for line in _settled(server, start).splitlines() if BY_SMTPD.search(line)]
        asked[address] = _keys("\n".join(asking))
    return asked


@pytest.mark.root
@pytest.mark.integration
@pytest.mark.parametrize(
    ("ask", "parents", "delimiters"),
    [
        (_asked_by_cleanup, "relay_domains", "+"),
        (_asked_by_smtpd, "relay_domains", "+-"),
        (_asked_by_smtpd, "relay_domains, smtpd_access_maps, transport_maps", ""),
    ],
)
def test_keys_are_those_of_postfix(
    posthouse: Start, postfix_peer: Start, ask: Ask, parents: str, delimiters: str
) -> None:
    """The same keys in the same order, for each table and address."""
    ours = ask(posthouse(main=_main("debug:", parents, delimiters)))
    theirs = ask(postfix_peer(main=_main("", parents, delimiters), master_cf=VERBOSE.sub(r"\1 -v", MASTER_CF)))
    differences = [
        f"{address} {table}:\n  ours   {ours[address].get(table)}\n  theirs {theirs[address].get(table)}"
        for address in ADDRESSES
        for table in sorted({*ours[address], *theirs[address]})
        if ours[address].get(table) != theirs[address].get(table)
    ]
    assert not differences, "\n" + "\n".join(differences)
