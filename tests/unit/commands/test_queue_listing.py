"""mailq, postqueue -j, postcat: how messages look. The expected texts were printed by Debian's Postfix."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

import pytest

from posthouse.commands import mailq, postcat, postqueue, postsuper
from posthouse.commands.postcat import format_text
from posthouse.commands.postqueue import format_json, format_message, format_total
from posthouse.commands.queue_client import QueueUnavailableError, RefusedError
from posthouse.ipc import showq
from posthouse.ipc.message import ClientInfo, Envelope
from posthouse.ipc.record import replace
from posthouse.ipc.showq import Fetch, Fetched, Flush, Listed, ListedRecipient, Steer, Steered, ToShowq

ARRIVAL = 1795389150.0  # Sun Nov 22 23:12:30 2026 UTC
FIRST = "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"
SECOND = "connect to 127.0.0.1[127.0.0.1]:2: Connection refused"

SHORT_FORM = """\
83369212132#    2084 Sun Nov 22 23:12:30  sender@example.test
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                         one@x.test
                       (connect to 127.0.0.1[127.0.0.1]:2: Connection refused)
                                         three@slow.test
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                         two@x.test

8533C212033    1359 Sun Nov 22 23:12:30  a.very.long.sender.address@some.long.domain.example.test
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                         one@x.test

84420212013!     314 Sun Nov 22 23:12:30  MAILER-DAEMON
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                         a@x.test
                                         b@y.test

"""
LONG_FORM = """\
4jXlGr1JdyzJLdD#      1352 Sun Nov 22 23:12:30 a.very.long.sender.address@some.long.domain.example.test
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                               one@x.test

4jXlGr1DtRzJLcb*       307 Sun Nov 22 23:12:30 MAILER-DAEMON
                                               a@x.test
                       (connect to 127.0.0.1[127.0.0.1]:1: Connection refused)
                                               b@y.test

"""
JSON_FORM = (
    '{"queue_name": "deferred", "queue_id": "83369212132", "arrival_time": 1795389150, "message_size": 2084, '
    '"forced_expire": true, "sender": "sender@example.test", "recipients": [{"address": "one@x.test", '
    '"delay_reason": "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"}, {"address": "three@slow.test", '
    '"delay_reason": "connect to 127.0.0.1[127.0.0.1]:2: Connection refused"}, {"address": "two@x.test", '
    '"delay_reason": "connect to 127.0.0.1[127.0.0.1]:1: Connection refused"}]}'
)


def listed(
    queue_id: str, size: int, sender: str, *recipients: tuple[str, str], queue: str = "deferred", expire: bool = False
) -> Listed:
    """Make a message of a listing."""
    shown = [ListedRecipient(address, "", reason) for address, reason in recipients]
    return Listed(queue, queue_id, ARRIVAL, size, sender, shown, expire)


FIRST_MESSAGE = listed(
    "83369212132", 2084, "sender@example.test", ("one@x.test", FIRST), ("three@slow.test", SECOND),
    ("two@x.test", FIRST), expire=True,
)  # fmt: skip
LONG_SENDER = "a.very.long.sender.address@some.long.domain.example.test"


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell time as the examples do."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_short_ids_look_as_in_postfix() -> None:
    """A reason stands above the recipients it is for, whenever it changes."""
    messages = [
        FIRST_MESSAGE,
        listed("8533C212033", 1359, LONG_SENDER, ("one@x.test", FIRST)),
        listed("84420212013", 314, "", ("a@x.test", FIRST), ("b@y.test", FIRST), queue="hold"),
    ]
    assert "".join(map(format_message, messages)) == SHORT_FORM


def test_long_ids_look_as_in_postfix() -> None:
    """Wider; recipients that were not tried come first."""
    messages = [
        listed("4jXlGr1JdyzJLdD", 1352, LONG_SENDER, ("one@x.test", FIRST), expire=True),
        listed("4jXlGr1DtRzJLcb", 307, "", ("b@y.test", FIRST), ("a@x.test", ""), queue="active"),
    ]
    assert "".join(map(format_message, messages)) == LONG_FORM


def test_json_looks_as_in_postfix() -> None:
    """One object, its members in that order."""
    assert format_json(FIRST_MESSAGE) == JSON_FORM


def test_json_has_the_original_address_where_it_differs() -> None:
    """3.11 has it."""
    rewritten = Listed(
        "deferred", "3A", 0.0, 1, "", [ListedRecipient("a@x", "b@y", ""), ListedRecipient("c@x", "c@x", "")]
    )
    shown = json.loads(format_json(rewritten))
    assert shown["sender"] == "MAILER-DAEMON"
    assert shown["recipients"] == [{"address": "a@x", "orig_address": "b@y"}, {"address": "c@x"}]


def test_a_long_reason_begins_at_the_edge() -> None:
    """It is not cut."""
    text = format_message(listed("3A", 1, "s@x", ("a@x", "y" * 100)))
    assert "\n(" + "y" * 100 + ")\n" in text


def test_nothing_in_a_listing_drives_a_terminal() -> None:
    """Reasons come from other systems."""
    text = format_message(listed("3A", 1, "s\x1b[2J@x", ("a\x9b@x", "evil\x1b]0;x\x07\n83369212132*")))
    assert not any(ord(character) < 32 and character != "\n" for character in text)
    assert text.count("\n") == 4


@pytest.mark.parametrize(
    ("messages", "size", "line"),
    [
        (0, 0, "Mail queue is empty\n"),
        (1, 100, "-- 0 Kbytes in 1 Request.\n"),
        (3, 3757, "-- 3 Kbytes in 3 Requests.\n"),
    ],
)
def test_the_last_line(messages: int, size: int, line: str) -> None:
    """Whole kilobytes."""
    assert format_total(messages, size) == line


class FakeClient:
    """Answers what the test put there; keeps what was asked."""

    messages: Sequence[Listed] = ()
    asked: ClassVar[list[ToShowq]]
    fetched: Fetched
    count = 1
    error: Exception | None = None

    def __init__(self, config_directory: str, *, steering: bool = False) -> None:
        if self.error is not None:
            raise self.error

    def next_id(self) -> int:
        """Always the same."""
        return 1

    async def listing(self) -> AsyncIterator[Listed]:
        """Give the messages."""
        for message in self.messages:
            yield message

    async def ask(self, request: ToShowq) -> Steered | Fetched:
        """Answer."""
        self.asked.append(request)
        return self.fetched if isinstance(request, Fetch) else Steered(1, self.count)

    def content_of(self, fetched: Fetched) -> bytes:
        """Give it."""
        return fetched.content

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    """Put the fake in the place of the real one."""

    class Fresh(FakeClient):
        asked: ClassVar[list[ToShowq]] = []

    for module in (postqueue, postsuper, postcat):
        monkeypatch.setattr(module, "QueueClient", Fresh)
    return Fresh


def test_a_listing(client: type[FakeClient]) -> None:
    """A head, the messages, a last line; as octets, whatever the locale."""
    client.messages = [listed("4jXlGr1JdyzJLdD", 5000, "s@x", ("\udcff@x", "grün"))]
    out = io.BytesIO()
    assert asyncio.run(postqueue.show("", as_json=False, out=out)) == 0
    lines = out.getvalue().decode().split("\n")
    assert lines[0] == "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
    assert lines[2].endswith("(grün)")
    assert lines[3].endswith(" ?@x")
    assert lines[-2] == "-- 4 Kbytes in 1 Request."
    client.messages = [listed("83369212132", 5, "s@x", ("a@x", ""))]
    out = io.BytesIO()
    asyncio.run(postqueue.show("", as_json=False, out=out))
    assert out.getvalue().startswith(b"-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n")


def test_a_listing_as_json(client: type[FakeClient]) -> None:
    """A line for each; an empty queue is nothing."""
    client.messages = [listed("3A", 5, "s@x", ("\udcff@x", ""))]
    out = io.BytesIO()
    asyncio.run(postqueue.show("", as_json=True, out=out))
    assert json.loads(out.getvalue())["recipients"] == [{"address": "?@x"}]
    client.messages = []
    out = io.BytesIO()
    asyncio.run(postqueue.show("", as_json=True, out=out))
    assert out.getvalue() == b""


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["-f"], Flush(1)),
        (["-s", "x.test"], Flush(1, "x.test")),
        (["-i", "3ABC"], Flush(1, "", "3ABC")),
        (["-c", "/etc/p", "-v", "-f"], Flush(1)),
    ],
)
def test_asking_for_attempts(client: type[FakeClient], words: list[str], request_: Flush) -> None:
    """All, one site, one message."""
    assert postqueue.main(["postqueue", *words]) == 0
    assert client.asked == [request_]


@pytest.mark.parametrize("words", [[], ["-x"], ["-p", "-f"], ["-p", "extra"], ["-s"], ["-i"]])
def test_wrong_options_of_postqueue(client: type[FakeClient], words: list[str]) -> None:
    """64; nothing is asked."""
    assert postqueue.main(["postqueue", *words]) == 64
    assert client.asked == []


@pytest.mark.parametrize("main", [postqueue.main, postsuper.main, postcat.main])
@pytest.mark.parametrize(("error", "status"), [(QueueUnavailableError("down"), 69), (RefusedError("no"), 77)])
def test_a_queue_that_is_not_there(
    client: type[FakeClient], capsys: pytest.CaptureFixture[str], main: object, error: Exception, status: int
) -> None:
    """69, and 77 for who may not."""
    client.error = error
    words = {postqueue.main: ["-p"], postsuper.main: ["-d", "ALL"], postcat.main: ["-q", "3A"]}
    assert callable(main)
    assert main(["command", *words[main]]) == status
    assert f"fatal: {error}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ([], ["mailq", "-p"]),
        (["-v", "-Ac"], ["mailq", "-p"]),
        (["-c", "/etc/p"], ["mailq", "-p", "-c", "/etc/p"]),
        (["--json"], ["mailq", "--json"]),
    ],
)
def test_mailq_is_postqueue_p(monkeypatch: pytest.MonkeyPatch, words: list[str], called: list[str]) -> None:
    """Sendmail's options mean nothing."""
    seen: list[list[str]] = []

    def main(argv: list[str]) -> int:
        seen.append(argv)
        return 0

    monkeypatch.setattr(postqueue, "main", main)
    assert mailq.main(["mailq", *words]) == 0
    assert seen == [called]


# postsuper.


@pytest.mark.parametrize(
    ("letter", "operation", "one", "many"),
    [
        ("-d", showq.DELETE, "removed", "Deleted"),
        ("-h", showq.HOLD, "placed on hold", "Placed on hold"),
        ("-H", showq.RELEASE, "released from hold", "Released from hold"),
        ("-r", showq.REQUEUE, "requeued", "Requeued"),
        ("-e", showq.EXPIRE, "expired", "Expired"),
        ("-f", showq.EXPIRE_RELEASE, "released from hold and expired", "Expired"),
    ],
)
def test_postsuper(
    client: type[FakeClient], capsys: pytest.CaptureFixture[str], letter: str, operation: str, one: str, many: str
) -> None:
    """What it does and what it says, one message or all."""
    assert postsuper.main(["postsuper", letter, "3ABC"]) == 0
    client.count = 2
    assert postsuper.main(["postsuper", letter, "ALL", "deferred", "hold"]) == 0
    assert client.asked == [
        Steer(1, operation, "3ABC"),
        Steer(1, operation, "ALL", "deferred"),
        Steer(1, operation, "ALL", "hold"),
    ]
    assert capsys.readouterr().err == (
        f"postsuper: 3ABC: {one}\npostsuper: {many}: 1 message\npostsuper: {many}: 4 messages\n"
    )


def test_postsuper_finds_nothing(client: type[FakeClient], capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, as Postfix does."""
    client.count = 0
    assert postsuper.main(["postsuper", "-d", "3NONE"]) == 0
    assert capsys.readouterr().err == "postsuper: Deleted: 0 messages\n"


def test_postsuper_reads_ids(client: type[FakeClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """One a line, from standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("3A\n\n 3B \n"))
    assert postsuper.main(["postsuper", "-h", "-"]) == 0
    assert client.asked == [Steer(1, showq.HOLD, "3A"), Steer(1, showq.HOLD, "3B")]


@pytest.mark.parametrize("words", [["-x"], ["-d"], ["-d", "-", "-h", "-"], ["-d", "ALL", "nosuch"]])
def test_wrong_options_of_postsuper(client: type[FakeClient], words: list[str]) -> None:
    """64; nothing is done."""
    assert postsuper.main(["postsuper", *words]) == 64
    assert client.asked == []


@pytest.mark.parametrize("words", [[], ["-s"], ["-p"], ["-s", "-p", "deferred"]])
def test_repairs_are_the_store_s_own(client: type[FakeClient], words: list[str]) -> None:
    """It checks itself at start."""
    assert postsuper.main(["postsuper", *words]) == 0
    assert client.asked == []


# postcat.

ENVELOPE = Envelope(
    "3ABC", "s@x", ARRIVAL, 16, client=ClientInfo(name="c", address="192.0.2.1", helo="h", protocol="SMTP")
)
FETCHED = Fetched(
    1, "", ENVELOPE, "deferred", [ListedRecipient("a@x", "o@y", FIRST), ListedRecipient("b@x", "b@x", "")], ["done@x"],
    b"Subject: x\n\nbody\n",
)  # fmt: skip
ENVELOPE_PART = b"""\
*** ENVELOPE RECORDS deferred/3ABC ***
message_size: 16
message_arrival_time: Sun Nov 22 23:12:30 2026
named_attribute: log_client_name=c
named_attribute: log_client_address=192.0.2.1
named_attribute: log_helo_name=h
named_attribute: log_protocol_name=SMTP
sender: s@x
original_recipient: o@y
recipient: a@x
recipient: b@x
done_recipient: done@x
"""
END = b"*** MESSAGE FILE END deferred/3ABC ***\n"
BEGIN = b"*** MESSAGE CONTENTS deferred/3ABC ***\n"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"-e", "-h", "-b"}, ENVELOPE_PART + BEGIN + b"Subject: x\n\nbody\n" + END),
        ({"-e"}, ENVELOPE_PART + BEGIN + END),
        ({"-h"}, b"Subject: x\n"),
        ({"-b"}, b"\nbody\n"),
        ({"-h", "-b"}, b"Subject: x\n\nbody\n"),
    ],
)
def test_the_parts_of_a_message(parts: set[str], text: bytes) -> None:
    """-e, -h, -b."""
    assert format_text(FETCHED, ENVELOPE, FETCHED.content, parts) == text


def test_a_filter_and_a_redirect_are_shown() -> None:
    """As Postfix does; mail without them has no such lines."""
    envelope = replace(ENVELOPE, filter="scan:[127.0.0.1]:26", redirect="r@x")
    text = format_text(FETCHED, envelope, FETCHED.content, {"-e"})
    assert b"\nredirect_to: r@x\ncontent_filter: scan:[127.0.0.1]:26\n" in text


def test_postcat(client: type[FakeClient], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Everything, or as JSON; 1 when a message is not there."""
    client.fetched = FETCHED
    assert postcat.main(["postcat", "-q", "3ABC"]) == 0
    assert postcat.main(["postcat", "--json", "-q", "3ABC"]) == 0
    out = capfdbinary.readouterr().out
    assert out.startswith(ENVELOPE_PART)
    shown = json.loads(out.split(END)[1])
    assert (shown["sender"], shown["content"], shown["done_recipients"]) == ("s@x", "Subject: x\n\nbody\n", ["done@x"])
    client.fetched = Fetched(1, "no such message: 3NONE", None, "", [], [], b"")
    assert postcat.main(["postcat", "-q", "3NONE"]) == 1
    assert b"no such message" in capfdbinary.readouterr().err


@pytest.mark.parametrize("words", [["-q"], ["-x"], ["-s", "some", "file"]])
def test_wrong_options_of_postcat(client: type[FakeClient], words: list[str]) -> None:
    """64, and how it is used."""
    assert postcat.main(["postcat", *words]) == 64
    assert client.asked == []
