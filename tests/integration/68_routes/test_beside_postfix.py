"""trivial-rewrite(8) of Debian's Postfix and ours: the same addresses, the same settings, the same answers.

One Postfix has a service for each set of settings (`-o` in master.cf) and is asked by way of its sockets; ours answers
in this process. Compared in internal form: where an address in main.cf's own tables would need quotes is shown by the
pattern tables. What differs on purpose has a row in docs/compatibility.md and no address in tests/support/route_cases.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import pytest

from posthouse.config.settings import Settings
from posthouse.ipc import rewrite as ipc
from posthouse.protocol.address import quote_address, unquote_address
from posthouse.rewriting.resolve import Resolver
from tests.support.instance import Instance, Options
from tests.support.lookups import logged, now
from tests.support.route_cases import ADDRESSES, BASE, OF_REWRITING, SENDERS, SETTINGS, random_addresses
from tests.support.servers import Postfix

RANDOM: Final = 40  # odd addresses for each set of settings
FEW: Final = 12  # addresses that are asked with every sender
TIMEOUT_S: Final = 30
MASTER: Final = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
postlog unix-dgram n - n - 1 postlogd
"""
FLAGS: Final = {  # resolve_clnt.h
    2: ipc.ROUTED,
    4: ipc.ERROR,
    8: ipc.FAILED,
    256: ipc.CLASS_LOCAL,
    512: ipc.CLASS_ALIAS,
    1024: ipc.CLASS_VIRTUAL,
    2048: ipc.CLASS_RELAY,
    4096: ipc.CLASS_DEFAULT,
}


class Route(NamedTuple):
    """Where an address goes; of a bad address, and of one that cannot be resolved now, only that it is so."""

    flags: int
    transport: str = ""
    nexthop: str = ""
    recipient: str = ""

    @classmethod
    def of(cls, flags: int, transport: str, nexthop: str, recipient: str) -> "Route":
        """Keep what matters."""
        for flag in (ipc.FAILED, ipc.ERROR):
            if flags & flag:
                return cls(flag)
        return cls(flags, transport, nexthop, recipient)


class Asker:
    """A client of Postfix's trivial-rewrite: attributes, name and value each with a null octet, an empty name last."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(str(path))
        self._replies = self._socket.makefile("rb")
        assert self._reply() == {"protocol": "trivial_rewrite_protocol"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._socket.close()

    def rewrite(self, address: str, context: str) -> str:
        """Give the standard form. address: in external form."""
        return self._ask(request="rewrite", rule=context, address=address)["address"]

    def resolve(self, address: str, sender: str, kind: str) -> Route:
        """Resolve an address in internal form."""
        reply = self._ask(request=kind, sender=sender, address=address)
        theirs = int(reply["flags"])
        flags = sum(ours for flag, ours in FLAGS.items() if theirs & flag)
        return Route.of(flags, reply["transport"], reply["nexthop"], reply["recipient"])

    def _ask(self, **attributes: str) -> dict[str, str]:
        words = [word for pair in attributes.items() for word in pair]
        self._socket.sendall(b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in (*words, "")))
        return self._reply()

    def _reply(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while name := self._word():
            found[name] = self._word()
        return found

    def _word(self) -> str:
        octets = bytearray()
        while (octet := self._replies.read(1)) != b"\0":
            assert octet, "the connection was closed"
            octets += octet
        return octets.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def peer() -> Iterator[Instance]:
    """Run Postfix with a trivial-rewrite for each set of settings."""
    if reason := Postfix.why_not():
        pytest.skip(reason)
    lines = []
    for number, settings in enumerate(SETTINGS):
        options = "".join(f" -o {{{name} = {value}}}" for name, value in settings.items())
        lines.append(f"set{number} unix - - n - 1 trivial-rewrite{options}")
    instance = Postfix(Options(main=dict(BASE), master=lines, master_cf=MASTER))
    try:
        instance.start()
        yield instance
    finally:
        instance.destroy()


def _resolver(peer: Instance, settings: dict[str, str]) -> Resolver:
    return Resolver(Settings.from_mapping({**peer.parameters(), **settings}))


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_routes(peer: Instance, number: int) -> None:
    """Class, transport, nexthop and recipient, for mail and for probes."""
    settings = SETTINGS[number]
    by_sender = any("sender_dependent" in name for name in settings)
    addresses = ADDRESSES[:FEW] if by_sender else (*ADDRESSES, "", *random_addresses(number, RANDOM))
    resolver, different = _resolver(peer, settings), []
    with Asker(peer.queue_directory / f"private/set{number}") as postfix, logged():
        for sender in SENDERS if by_sender else SENDERS[:1]:
            for kind in ("resolve", "verify"):
                for address in addresses:
                    theirs = postfix.resolve(address, sender, kind)
                    got = now(resolver.resolve(quote_address(address), quote_address(sender), kind))
                    ours = Route.of(got.flags, got.transport, got.nexthop, unquote_address(got.recipient))
                    if ours != theirs:
                        different.append((kind, sender, address, theirs, ours))
    assert different == []


@pytest.mark.parametrize("number", range(OF_REWRITING))
def test_standard_form(peer: Instance, number: int) -> None:
    """In both contexts, of addresses with their quotes and of addresses as somebody may have written them."""
    resolver, different = _resolver(peer, SETTINGS[number]), []
    with Asker(peer.queue_directory / f"private/set{number}") as postfix:
        for context in ("local", "remote"):
            for address in (*ADDRESSES, *random_addresses(number, RANDOM)):
                for written in (quote_address(address), address):
                    theirs = postfix.rewrite(written, context)
                    ours = resolver.rewriter.rewrite(written, context)
                    if unquote_address(ours) != unquote_address(theirs):
                        different.append((context, written, theirs, ours))
    assert different == []
