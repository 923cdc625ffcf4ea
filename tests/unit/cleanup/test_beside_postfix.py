"""What random messages and settings showed to differ from Debian's Postfix 3.7; its results are expected here."""

import re

import pytest

from tests.support.content_case import HEAD, rules
from tests.support.receiver import MakeReceiver, Receiver, talk

DROPS = {"message_drop_headers": "received", "hopcount_limit": "3"}
NULL = {"canonical_maps": 'regexp:{ {/^""$$/ robot@example.test} }'}


def send(receiver: MakeReceiver, main: dict[str, str], *lines: str, sender: str = "s@b.test") -> Receiver:
    """Send a message that is taken."""
    system = receiver(main)
    said = talk(system, "EHLO c.test", f"MAIL FROM:<{sender}>", "RCPT TO:<alice@example.test>", "DATA",
                "\r\n".join((*lines, ".")))  # fmt: skip
    assert said[-1].startswith("250 "), said
    return system


def content(system: Receiver) -> str:
    """Give what was queued."""
    return system.queue.messages[0][2].decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["Content-Type", "Content-ID", "MIME-Version", "Content-Transfer-Encoding"])
def test_headers_of_the_content_are_not_dropped(receiver: MakeReceiver, name: str) -> None:
    """Whatever message_drop_headers says: without them the body could not be read."""
    assert f"\n{name}: x\n" in content(send(receiver, {"message_drop_headers": name}, f"{name}: x", "", "x"))


def test_received_headers_are_dropped(receiver: MakeReceiver) -> None:
    """All of them, where message_drop_headers names them."""
    assert "Received:" not in content(send(receiver, DROPS, "Received: x", "Subject: y", "", "x"))


def test_received_headers_that_are_dropped_end_loops(receiver: MakeReceiver) -> None:
    """They are counted before they are gone."""
    system = receiver(DROPS)
    start = ("EHLO c.test", "MAIL FROM:<s@b.test>", "RCPT TO:<alice@example.test>", "DATA")
    assert talk(system, *start, "Received: x\r\n" * 3 + "\r\nb\r\n.")[-1] == "554 5.4.0 Error: too many hops"


@pytest.mark.parametrize("text", ["nonsense", "To x: y", ": y"])
def test_what_is_no_header_is_not_added(receiver: MakeReceiver, text: str) -> None:
    """undisclosed_recipients_header: a warning, and nothing in the header that is none."""
    system = send(receiver, {"undisclosed_recipients_header": text}, "Subject: y", "", "x")
    assert f"\n{text}\n" not in content(system)
    warning = f'bad undisclosed_recipients_header header text "{text}" -- need "headername: headervalue"'
    assert any(warning in line for line in system.system.log.lines)


@pytest.mark.parametrize(
    ("main", "sender"),
    [
        (NULL, "robot@example.test"),
        ({"sender_canonical_maps": 'inline:{{"" = robot@example.test}}'}, "robot@example.test"),
        ({"sender_canonical_maps": "static:robot@example.test"}, "robot@example.test"),
        ({"recipient_canonical_maps": "static:robot@example.test"}, ""),
        ({"canonical_maps": "regexp:{ {/^$$/ robot@example.test} }"}, ""),
        ({**NULL, "canonical_classes": "header_sender"}, ""),
    ],
)
def test_the_null_sender_is_mapped(receiver: MakeReceiver, main: dict[str, str], sender: str) -> None:
    """Canonical tables are asked for it as for an empty address in quotes: some next hops refuse <>."""
    system = send(receiver, main, "To: x@y.test", "", "x", sender="")
    assert system.queue.messages[0][0].sender == sender
    assert f"\nFrom: {sender or 'MAILER-DAEMON'}\n" in content(system)


def test_an_at_sign_alone_is_the_empty_address(receiver: MakeReceiver) -> None:
    """Where tables are asked for the addresses of a header."""
    system = send(receiver, {"canonical_maps": "inline:{a=b}"}, "To: @, x@y.test", "Cc: z@y.test", "", "x")
    assert '\nTo: "", x@y.test\nCc: z@y.test\n' in content(system)


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (["8bit", "base64"], "8bit"),
        (["  BINARY"], "8bit"),
        (["8bit "], ""),
        (["8bit\r\n "], ""),
        (["\r\n 8bit"], "8bit"),
    ],
)
def test_one_encoding_header_of_several_counts(receiver: MakeReceiver, values: list[str], encoding: str) -> None:
    """A message is 8-bit when one of them says so and says nothing else."""
    lines = [f"Content-Transfer-Encoding: {value}" for value in values]
    assert send(receiver, {}, *lines, "", "x").queue.messages[0][0].encoding == encoding


def test_a_long_header_is_cut_before_its_addresses_are_read(receiver: MakeReceiver) -> None:
    """Addresses beyond the limit's line change nothing; blanks before colons do not count."""
    lines = ("To:", *["\taaaaa@b.test,"] * 12, " joe", "X-Long :" + " word" * 20, "", "x")
    found = content(send(receiver, {"header_size_limit": "60"}, *lines))
    assert "\nTo:\n\taaaaa@b.test,\n\taaaaa@b.test,\n\taaaaa@b.test,\n\taaaaa@b.te\n" in found
    assert f"\n{('X-Long:' + ' word' * 20)[:60]}\n" in found


@pytest.mark.parametrize(
    ("lines", "needs"),
    [
        (("Subject: \udcff", "", "x"), True),
        (("Subject: \u00e4", "", "x"), True),
        (("Subject: x", "", "\udcff"), False),
        (("Content-Type: multipart/mixed; boundary=b", "", "--b", "X: \udcff", "", "--b--"), True),
        (("Content-Type: message/rfc822", "", "X: \udcff", "", "y"), True),
    ],
)
def test_8_bit_headers_ask_for_smtputf8(receiver: MakeReceiver, lines: tuple[str, ...], needs: bool) -> None:
    """Where nobody has said so, for the classes of smtputf8_autodetect_classes: headers of parts count, too."""
    system = send(receiver, {"smtputf8_autodetect_classes": "all"}, *lines)
    assert system.queue.messages[0][0].smtputf8 is needs


@pytest.mark.parametrize("name", ["message_strip_characters", "message_reject_characters"])
def test_stray_carriage_returns_become_blanks_first(receiver: MakeReceiver, name: str) -> None:
    """Before characters are stripped or rejected; and line ends are in no line."""
    found = content(send(receiver, {name: r"\r\n"}, "Subject: a\rb", "", "c\rd"))
    assert re.search(r"\nSubject: a b\n(?:.+\n)*\nc d\n\Z", found)


def test_body_checks_without_a_limit(receiver: MakeReceiver) -> None:
    """body_checks_size_limit = 0: all of the body is looked at."""
    main = {"body_checks": rules("/ / REPLACE x"), "body_checks_size_limit": "0"}
    assert content(send(receiver, main, *HEAD.splitlines(), "", "a b", "", "c d")).endswith("\n\nx\n\nx\n")


def test_what_takes_a_mime_header_s_place_is_not_looked_at(receiver: MakeReceiver) -> None:
    """mime_header_checks: a From: made of it is not the message's own, and no address in it is completed."""
    main = {"mime_header_checks": rules("/^Content-Type:/ REPLACE From: joe")}
    found = content(send(receiver, main, "Content-Type: text/plain", "", "x"))
    assert "\nFrom: joe\n" in found
    assert "\nFrom: s@b.test\n" in found
