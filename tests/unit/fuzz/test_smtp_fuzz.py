"""The fuzz run of SMTP: a sample of it is clean, and it finds what is wrong."""

import re
from collections.abc import Iterator
from typing import Final
from unittest import mock

import pytest

from posthouse.daemons.smtpd.access.check import Check
from posthouse.daemons.smtpd.transaction import Transaction
from posthouse.ipc import cleanup
from posthouse.protocol.smtp import chunking, client, client_replies, content, features, grammar, server
from posthouse.protocol.smtp.chunking import Chunks
from posthouse.protocol.smtp.client import ClientSession
from posthouse.protocol.smtp.content import ContentReader
from posthouse.protocol.smtp.server import ServerSession
from posthouse.protocol.smtp.states import TRANSITIONS, State
from tests.fuzz import root, smtp
from tests.fuzz.smtp_conversation import Place
from tests.support.fuzz_sample import run_sample

SAMPLE: Final = 12_000  # inputs; make fuzz-smtp tries a million
BLOCKS: Final = 10  # of a thousand, to find a mistake in; the first does nearly always
NEVER: Final = re.compile(rb"(?!)")
LAX: Final = {state: {**row, "RCPT": State.RCPT} for state, row in TRANSITIONS.items()}
COMMITTED: Final = cleanup.Done(0, 250, "2.0.0", "Ok: queued as X", "")


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    """Stop the servers of the conversations."""
    yield
    Place.close()


def test_a_sample_is_clean() -> None:
    """The same program as `make fuzz-smtp`."""
    run_sample("smtp", SAMPLE)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (content, "_END", b"\r\n.\n", "session"),
        (content, "_UNDECIDED", NEVER, "session"),
        (content, "_LONE_DOTS", NEVER, "session"),
        (ContentReader, "_clean_bare", lambda _self, data: data, "session"),
        (chunking, "GATHERED", 1 << 40, "session"),
        (Chunks, "finish", lambda _self: b"", "session"),
        (server, "upper", str.upper, "session"),
        (grammar, "upper", str.upper, "session"),
        (server, "TRANSITIONS", LAX, "session"),
        (server, "LAST_IN_GROUP", frozenset({"MAIL"}), "session"),
        (ServerSession, "_cannot_read", lambda _self, _reason, _line: None, "session"),
        (grammar, "_SIZE", re.compile("[1-9]"), "arguments valid"),
        (grammar, "_NOTIFY", frozenset({"NEVER"}), "arguments valid"),
        (grammar, "_split_options", lambda words: [word.text for word in words], "arguments mangled"),
    ],
)  # fmt: skip
def test_it_finds_what_is_wrong(owner: object, name: str, broken: object, target: str) -> None:
    """A session with a mistake in it does not get through."""
    find(owner, name, broken, target)


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Check, "lookup_failure", lambda _self, _name: None),
        (Check, "refuse_item", lambda *_: None),
        (Transaction, "_begin_content", lambda _self, data: data),
        (Transaction, "add", lambda _self, _rcpt: None),
        (cleanup, "UNAVAILABLE", COMMITTED),
        (cleanup.Transaction, "abort", lambda self: self.end()),
    ],
)
def test_it_finds_what_is_wrong_in_a_conversation(owner: object, name: str, broken: object) -> None:
    """What was not answered 250 is not there, and what was is."""
    find(owner, name, broken, "conversation")


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (client_replies, "MAX_LINE", 100, "replies"),
        (client_replies, "_UNPRINTABLE", re.compile("(?!)"), "replies"),
        (client, "is_sendable", lambda _address: True, "client"),
        (client, "parse_features", lambda reply, _: features.Features("", {reply.text.upper(): ""}), "client"),
        (ClientSession, "_end_reply", ClientSession._data_reply, "client"),
        (ClientSession, "_done", lambda self, *fate: self._events.append(client.RecipientDone(*fate)), "client"),
    ],
)
def test_it_finds_what_is_wrong_in_the_client(owner: object, name: str, broken: object, target: str) -> None:
    """A recipient with two results, or with that of another reply, is seen."""
    find(owner, name, broken, target)


def find(owner: object, name: str, broken: object, target: str) -> None:
    """Break something; targets of this kind must find it, in a few thousand inputs."""
    with mock.patch.object(owner, name, broken), pytest.raises(root.Finding, match=f"(?s){target}.*BLOCK="):
        run_blocks(target)


def run_blocks(target: str) -> None:
    """Run targets of this kind."""
    chosen = [each for each in smtp.targets() if each.name.startswith(target)]
    for block in range(BLOCKS):
        root.run_block(chosen, 7, block)
