"""Clients that send ahead, that were refused when they connected, and those that are offered less: as Postfix does."""

from collections.abc import Mapping

import pytest

from tests.support.inprocess import Client
from tests.support.receiver import MakeReceiver, Receiver, talk

NOTED: Mapping[str, str] = {"smtpd_forbid_unauth_pipelining": "no", "smtpd_error_sleep_time": "0"}
AHEAD = "reject_unauth_pipelining"
IMPROPER = "Improper use of SMTP command pipelining"
CLIENT = "unknown[127.0.0.1]"


def send(system: Receiver, *groups: tuple[str, int]) -> list[str]:
    """Send groups of commands, each at once, and read so many replies to each; the greeting comes first."""

    async def dialog() -> list[str]:
        client = await Client.connect(system.port)
        said = [await client.reply()]
        for text, count in groups:
            client.send(text)
            said += [(await client.reply()).rpartition("\n")[2] for _ in range(count)]
        return said

    return system.system.run(dialog())


@pytest.mark.parametrize(
    ("stage", "main", "groups", "reply"),
    [
        (
            "EHLO",
            {"smtpd_helo_restrictions": AHEAD, "smtpd_delay_reject": "no"},
            [("EHLO c.test\r\nNOOP\r\n", 2)],
            f"503 5.5.0 <c.test>: Helo command rejected: {IMPROPER}",
        ),
        (
            "MAIL",
            {"smtpd_sender_restrictions": AHEAD, "smtpd_delay_reject": "no"},
            [("HELO c.test\r\n", 1), ("MAIL FROM:<a@b.test>\r\nNOOP\r\n", 2)],
            f"503 5.5.0 <a@b.test>: Sender address rejected: {IMPROPER}",
        ),
        (
            "RCPT",
            {"smtpd_recipient_restrictions": AHEAD},
            [("EHLO c.test\r\n", 1), ("NOOP\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\n", 3)],
            f"503 5.5.0 <alice@example.test>: Recipient address rejected: {IMPROPER}",
        ),
        (
            "DATA",
            {"smtpd_data_restrictions": AHEAD},
            [
                ("EHLO c.test\r\n", 1),
                ("MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nNOOP\r\n", 4),
            ],
            f"503 5.5.0 <DATA>: Data command rejected: {IMPROPER}",
        ),
    ],
)
def test_who_sends_ahead_is_refused_where_the_restriction_stands(
    receiver: MakeReceiver, stage: str, main: dict[str, str], groups: list[tuple[str, int]], reply: str
) -> None:
    """reject_unauth_pipelining where smtpd_forbid_unauth_pipelining lets it pass: the reply and its line in the log."""
    system = receiver({**NOTED, **main})
    assert reply in send(system, *groups)
    logged = system.system.log.lines
    assert any(line.startswith("improper command pipelining after ") for line in logged)
    assert any(f": reject: {stage} from {CLIENT}: {reply};" in line for line in logged)


def test_a_group_that_the_rfc_allows_is_not_refused(receiver: MakeReceiver) -> None:
    """MAIL, RCPT and DATA in one go behind EHLO; QUIT behind the dot."""
    system = receiver({**NOTED, "smtpd_data_restrictions": AHEAD})
    said = send(
        system,
        ("EHLO c.test\r\n", 1),
        ("MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n", 3),
        ("Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n", 2),
    )
    assert [line[:3] for line in said] == ["220", "250", "250", "250", "354", "250", "221"]
    assert len(system.queue.messages) == 1


def test_a_client_that_has_sent_ahead_once_stays_one_that_did(receiver: MakeReceiver) -> None:
    """What it does to be noticed comes long before DATA; it is logged once."""
    system = receiver({**NOTED, "smtpd_data_restrictions": AHEAD})
    send(system, ("EHLO c.test\r\nNOOP\r\n", 2), ("NOOP\r\nNOOP\r\n", 2))
    said = send(
        system,
        ("EHLO c.test\r\nRSET\r\n", 2),
        ("MAIL FROM:<a@b.test>\r\n", 1),
        ("RCPT TO:<alice@example.test>\r\n", 1),
        ("DATA\r\n", 1),
        ("RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n", 4),
    )
    assert [line[:3] for line in said] == ["220", "250", "250", "250", "250", "503", "250", "250", "250", "503"]
    assert sum(line.startswith("improper") for line in system.system.log.lines) == 2


@pytest.mark.parametrize("speaks_during", [True, False])
def test_who_speaks_before_the_greeting_is_refused_at_connect(receiver: MakeReceiver, speaks_during: bool) -> None:
    """With reject_unauth_pipelining among smtpd_client_restrictions; then nothing but QUIT is heard."""
    main = {"smtpd_client_restrictions": f"sleep 1, {AHEAD}", "smtpd_delay_reject": "no"}
    system = receiver({**NOTED, **main})

    async def dialog() -> list[str]:
        client = await Client.connect(system.port)
        if speaks_during:
            client.send("EHLO c.test\r\n")
        said = [await client.reply()]
        if not speaks_during:
            client.send("EHLO c.test\r\n")
        return [*said, (await client.reply()).rpartition("\n")[2]]

    refused = f"503 5.5.0 <{CLIENT}>: Client host rejected: {IMPROPER}"
    if speaks_during:
        assert system.system.run(dialog()) == [refused, f"503 5.7.0 Error: access denied for {CLIENT}"]
    else:
        assert [line[:3] for line in system.system.run(dialog())] == ["220", "250"]


@pytest.mark.parametrize("restriction", ["reject", "defer"])
def test_a_client_that_is_refused_when_it_connects_cannot_send_mail(receiver: MakeReceiver, restriction: str) -> None:
    """With smtpd_delay_reject = no the refusal stands in the greeting's place, and holds for all that follows."""
    system = receiver({"smtpd_delay_reject": "no", "smtpd_client_restrictions": restriction})
    commands = ("EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>", "DATA", "BDAT 4 LAST", "XYZZY")
    said = talk(system, *commands, "QUIT")
    assert said[0][:3] in ("554", "450")
    assert said[1:] == [f"503 5.7.0 Error: access denied for {CLIENT}"] * 6 + ["221 2.0.0 Bye"]
    assert system.queue.messages == []
    counts = "ehlo=0/1 mail=0/1 rcpt=0/1 data=0/1 bdat=0/1 quit=1 unknown=0/1 commands=1/7"
    assert system.system.log.lines[-1] == f"disconnect from {CLIENT} {counts}"


def test_a_refused_client_comes_to_its_limit_of_errors(receiver: MakeReceiver) -> None:
    """It cannot keep a session busy for ever."""
    system = receiver({
        "smtpd_delay_reject": "no", "smtpd_client_restrictions": "reject", "smtpd_hard_error_limit": "3",
        "smtpd_error_sleep_time": "0",
    })  # fmt: skip
    said = send(system, ("NOOP\r\nNOOP\r\n", 3))
    assert said[-1] == "421 4.7.0 mx.example.test Error: too many errors"


def offered(system: Receiver, source: str = "127.0.0.1") -> set[str]:
    """Say EHLO; give the keywords of the reply."""

    async def dialog() -> str:
        client = await Client.connect(system.port, source)
        await client.reply()
        return await client.say("EHLO c.test")

    return {line[4:].partition(" ")[0] for line in system.system.run(dialog()).split("\n")[1:]}


def test_keywords_are_discarded_by_client_address(receiver: MakeReceiver) -> None:
    """A table's words stand in the place of the parameter's; what is not offered is refused."""
    system = receiver({
        "smtpd_discard_ehlo_keywords": "CHUNKING",
        "smtpd_discard_ehlo_keyword_address_maps":
            "cidr:{{127.0.0.3 dsn,Size nonsense}, {127.0.0.4 silent-discard dsn}}",
    })  # fmt: skip
    assert offered(system) == {"PIPELINING", "SIZE", "VRFY", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"}
    assert offered(system, "127.0.0.3") == {
        "PIPELINING", "VRFY", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "CHUNKING",
    }  # fmt: skip
    assert "DSN" not in offered(system, "127.0.0.4")
    said = talk(system, "EHLO c.test", "MAIL FROM:<a@b.test> RET=HDRS", source="127.0.0.3")
    assert said[-1] == "501 5.7.1 DSN support is disabled"
    logged = [line for line in system.system.log.lines if line.startswith("discarding EHLO keywords: ")]
    assert [line.partition(": ")[2] for line in logged] == ["CHUNKING", "SIZE DSN", "SIZE DSN"]


def test_who_knows_not_what_to_offer_asks_to_come_again(receiver: MakeReceiver) -> None:
    """A table that does not answer: 421 to EHLO, in Postfix's words; HELO needs no table."""
    system = receiver({"smtpd_discard_ehlo_keyword_address_maps": "fail:x"})
    assert talk(system, "EHLO c.test")[1] == "421 4.3.0 mx.example.test Server local data error"
    assert talk(system, "HELO c.test")[1] == "250 mx.example.test"
    logged = system.system.log.lines
    assert f"warning: don't know what EHLO features to announce to {CLIENT}" in logged
    assert f"NOQUEUE: reject: EHLO from {CLIENT}: 421 4.3.0 mx.example.test Server local data error" in logged


def test_refused_commands_are_counted(receiver: MakeReceiver) -> None:
    """In the disconnect line as what they are, with how many of them went well."""
    system = receiver()
    send(system, ("EHLO c.test\r\nNOOP\r\n", 1))
    send(system, ("HELO c.test\r\n", 1), ("RSET\r\nNOOP\r\n", 1))
    talk(system, "XCLIENT NAME=x", "XFORWARD", "STARTTLS", "QUIT")
    talk(system)
    counts = [line.partition("] ")[2] for line in system.system.log.lines if line.startswith("disconnect ")]
    assert counts[:3] == [
        "ehlo=0/1 commands=0/1",
        "helo=1 rset=0/1 commands=1/2",
        "xclient=0/1 xforward=0/1 starttls=0/1 quit=1 commands=1/4",
    ]


def test_words_of_smtpd_noop_commands_are_junk_and_no_commands(receiver: MakeReceiver) -> None:
    """They are answered and not counted in the log; too many of them are errors."""
    system = receiver({
        "smtpd_noop_commands": "xnop", "smtpd_junk_command_limit": "1", "smtpd_hard_error_limit": "1",
    })  # fmt: skip
    said = talk(system, "XNOP", "xnop now", "XNOP")
    assert said[1:] == ["250 2.0.0 Ok", "250 2.0.0 Ok", "250 2.0.0 Ok"]
    assert system.system.log.lines[-2:] == [
        f"too many errors after CONNECT from {CLIENT}",
        f"disconnect from {CLIENT} commands=0/0",
    ]
