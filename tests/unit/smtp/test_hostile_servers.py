"""What servers do that no server should (CL-01 to CL-22 as far as TLS and AUTH are not needed).

A table: what the server does, and what becomes of the recipient. Nothing may hang, nothing may be called sent that
was not, and no control character may get through to the log or to qmgr.
"""

import time
from dataclasses import dataclass, field

import pytest

from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, RecipientResult
from tests.support.scripted_server import ScriptedServer, Talk
from tests.unit.smtp.conftest import StartAgent

STEPS = ("helo", "mail", "rcpt", "data_init", "data_done", "quit")
QUICK = {f"smtp_{step}_timeout": "1s" for step in STEPS}


@dataclass(frozen=True, slots=True)
class Case:
    """One misbehaving server."""

    name: str
    script: str | dict[str, str]  # a method of Scripts, or replies by verb
    outcome: int
    dsn: str
    text: str
    main: dict[str, str] = field(default_factory=dict)


class Scripts:
    """What a table of replies cannot say."""

    @staticmethod
    def endless_greeting(talk: Talk) -> None:
        """CL-01."""
        talk.say(b"220 " + b"x" * 1_000_000)
        talk.hang()

    @staticmethod
    def endless_reply(talk: Talk) -> None:
        """CL-02."""
        talk.say("220 hi ESMTP")
        talk.line()
        for _ in range(200_000):
            talk.say(b"250-endless\r\n")

    @staticmethod
    def long_reply_lines(talk: Talk) -> None:
        """CL-02: few lines, all of them long."""
        talk.say("220 hi ESMTP")
        talk.line()
        for _ in range(100):
            talk.say(b"250-" + b"y" * 1500 + b"\r\n")
        talk.hang()

    @staticmethod
    def slow_reply(talk: Talk) -> None:
        """CL-03."""
        talk.trickle(b"220 a greeting that takes its time\r\n", 0.1)

    @staticmethod
    def replies_with_the_greeting(talk: Talk) -> None:
        """CL-07."""
        talk.say(b"220 hi ESMTP\r\n" + b"250 ok\r\n" * 10)
        talk.hang()

    @staticmethod
    def replies_with_ehlo(talk: Talk) -> None:
        """CL-07: one reply too many behind EHLO's."""
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING|250 2.1.0 Ok|250 2.1.5 Ok|354 go|250 2.0.0 taken")
        talk.hang()

    @staticmethod
    def hang_in(talk: Talk, verb: str) -> None:
        """CL-11."""
        replies = {"GREETING": "220 hi ESMTP", "EHLO": "250 hi", "DATA": "354 go", ".": "250 ok"}
        now = "GREETING"
        while now != verb:
            talk.say(replies.get(now, "250 ok"))
            if now == "DATA":
                talk.content()
                now = "."
            else:
                now = talk.line().partition(b" ")[0].decode()
        talk.hang()

    @staticmethod
    def close_after_dot(talk: Talk) -> None:
        """CL-12."""
        talk.converse({".": ""})

    @staticmethod
    def too_few_replies(talk: Talk) -> None:
        """CL-20: the reply to MAIL is missing, so that 354 seems to come for RCPT."""
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 2.1.5 Ok|354 go on")
        talk.hang()

    @staticmethod
    def half_a_reply(talk: Talk) -> None:
        """CL-19: the connection ends in the middle of the last reply."""
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 Ok|250 Ok|354 go on")
        talk.content()
        talk.say(b"250 2.0.0 Ok: que")


SAID = "host 127.0.0.1[127.0.0.1] said: "
CASES = [
    Case("CL-01 endless greeting", "endless_greeting", DEFERRED, "4.5.0", "reply line too long"),
    Case("CL-02 endless reply", "endless_reply", DEFERRED, "4.5.0", "reply too long"),
    Case("CL-02 long lines", "long_reply_lines", DEFERRED, "4.5.0", "reply too long"),
    Case(
        "CL-03 slow greeting", "slow_reply", DEFERRED, "4.4.2", "timed out while receiving the initial server greeting"
    ),
    *(
        Case(f"CL-04 greeting {code}", {"GREETING": f"{code} hi"}, DEFERRED, "4.5.0", "reply without a reply code")
        for code in ("1xx", "120", "099", "999", "abc", "25", "\u0662\u0662\u0660")
    ),
    *(
        Case(f"CL-04 {verb} {code}", {verb: f"{code} hi"}, DEFERRED, "4.5.0", "reply without a reply code")
        for verb in ("EHLO", "MAIL", "RCPT", "DATA", ".")
        for code in ("100", "999", "abc")
    ),
    Case("CL-05 codes differ", {"RCPT": "250-ok|550 no"}, DEFERRED, "4.5.0", "different reply codes"),
    Case(
        "CL-06 control characters",
        {"RCPT": "550 5.1.1 \x1b[31m no\x00 \r\r \x9b such \u2028user \udc80".encode("utf-8", "replace").decode()},
        BOUNCED,
        "5.1.1",
        SAID + "550 5.1.1 ?",
    ),
    Case("CL-07 early replies", "replies_with_the_greeting", DEFERRED, "4.5.0", "spoke unasked"),
    Case("CL-07 early replies behind EHLO", "replies_with_ehlo", DEFERRED, "4.5.0", "spoke unasked"),
    *(
        Case(f"CL-11 hang at {verb}", f"hang_in {verb}", DEFERRED, "4.4.2", f"timed out while {text}", QUICK)
        for verb, text in {
            "GREETING": "receiving the initial server greeting",
            "EHLO": "performing the EHLO handshake",
            "MAIL": "sending MAIL FROM",
            "RCPT": "sending RCPT TO",
            "DATA": "sending DATA command",
            ".": "sending end of data -- message may be sent more than once",
        }.items()
    ),
    Case("CL-11 hang at QUIT", "hang_in QUIT", SENT, "2.0.0", "250 ok", {**QUICK, "smtp_skip_quit_response": "no"}),
    Case(
        "CL-12 close after dot", "close_after_dot", DEFERRED, "4.4.2", "lost connection with 127.0.0.1[127.0.0.1] while"
    ),
    Case("CL-13 close before QUIT", {"QUIT": ""}, SENT, "2.0.0", "250 2.0.0 Ok: queued"),
    Case("CL-14 354 to MAIL", {"MAIL": "354 go"}, DEFERRED, "4.5.0", "said: 354 go (in reply to MAIL FROM command)"),
    Case("CL-14 354 to RCPT", {"RCPT": "354 go"}, DEFERRED, "4.5.0", "said: 354 go (in reply to RCPT TO command)"),
    Case("CL-14 250 to DATA", {"DATA": "250 ok"}, DEFERRED, "4.5.0", "said: 250 ok (in reply to DATA command)"),
    Case(
        "CL-14 550 to dot", {".": "550 5.7.1 spam"}, BOUNCED, "5.7.1", "said: 550 5.7.1 spam (in reply to end of DATA"
    ),
    Case("CL-14 354 to dot", {".": "354 more"}, DEFERRED, "4.5.0", "said: 354 more (in reply to end of DATA command)"),
    *(
        Case(f"CL-15 {what[:12]}", {"EHLO": f"250-hi|{what}|250 PIPELINING"}, SENT, "2.0.0", "250 2.0.0 Ok")
        for what in ("250-SIZE -1", "250-SIZE abc", "250-SIZE 99999999999999999999", "250-AUTH " + "x" * 2000)
    ),
    Case(
        "CL-15 many keywords",
        {"EHLO": "|".join(["250-hi", *(f"250-X{n}" for n in range(900)), "250 OK"])},
        SENT,
        "2.0.0",
        "250 2.0.0 Ok",
    ),
    Case("CL-15 too many keywords", {"EHLO": "|".join(["250-X"] * 10_000)}, DEFERRED, "4.5.0", "reply too long"),
    *(
        Case(f"CL-16 421 to {verb}", {verb: "421 4.3.2 bye"}, DEFERRED, "4.3.2", "421 4.3.2 bye")
        for verb in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", ".")
    ),
    Case("CL-19 half a reply", "half_a_reply", DEFERRED, "4.4.2", "lost connection"),
    Case("CL-20 too few replies", "too_few_replies", DEFERRED, "4.", "", QUICK),
    Case("greeting 5xx", {"GREETING": "554 5.7.1 no"}, DEFERRED, "4.7.1", "refused to talk to me: 554 5.7.1 no"),
    Case("greeting 4xx", {"GREETING": "450 later"}, DEFERRED, "4.0.0", "refused to talk to me: 450 later"),
    Case(
        "greeting 5xx is final",
        {"GREETING": "554 no"},
        BOUNCED,
        "5.0.0",
        "refused to talk to me: 554 no",
        {"smtp_skip_5xx_greeting": "no"},
    ),
    Case("552 to the only RCPT", {"RCPT": "552 5.5.3 too many"}, BOUNCED, "5.5.3", "552 5.5.3 too many"),
    Case(
        "several lines",
        {"RCPT": "550-5.1.1 no|550 5.1.1 user"},
        BOUNCED,
        "5.1.1",
        "said: 550-5.1.1 no 550 5.1.1 user (",
    ),
    Case("EHLO not now", {"EHLO": "450 what?"}, SENT, "2.0.0", "250 2.0.0 Ok"),
    Case("status of another class", {"RCPT": "550 2.1.5 fine"}, BOUNCED, "5.0.0", "550 2.1.5 fine"),
    Case("EHLO not known", {"EHLO": "502 what?"}, SENT, "2.0.0", "250 2.0.0 Ok"),
    Case(
        "EHLO and HELO refused",
        {"EHLO": "502 what?", "HELO": "550 no"},
        BOUNCED,
        "5.0.0",
        "refused to talk to me: 550 no",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_server(case: Case, start_agent: StartAgent) -> None:
    """Each server gets what the table says, in bounded time, and nothing unclean comes through."""

    def script(talk: Talk) -> None:
        if isinstance(case.script, dict):
            talk.converse(case.script)
        else:
            name, _, argument = case.script.partition(" ")
            getattr(Scripts, name)(talk, *([argument] if argument else []))

    main = {"smtp_helo_timeout": "1s"} if "slow" in case.name else case.main
    with ScriptedServer(script) as server:
        agent = start_agent(main)
        began = time.monotonic()
        (result,) = agent.deliver(f"[127.0.0.1]:{server.port}").results
        assert time.monotonic() - began < 8
        check(result, case)
        agent.run_for(0.05)
        for line in agent.log.lines:
            assert line.isprintable()
            assert len(line) < 10_000


def check(result: RecipientResult, case: Case) -> None:
    """Compare a result with what the table says."""
    assert result.outcome == case.outcome, result
    assert result.dsn.startswith(case.dsn), result
    assert case.text in result.text, result
    assert result.text.isprintable()
    assert result.diagnostic.isprintable()
    assert "\n" not in result.text


@pytest.mark.parametrize("program", ["smtp", "lmtp"])
@pytest.mark.parametrize("said", [b"2", b"250-half a", b"250-one line\r\n"])
@pytest.mark.parametrize("verb", ["GREETING", "HELLO", "MAIL", "RCPT", "DATA", "."])
def test_server_killed_in_the_middle_of_a_reply(start_agent: StartAgent, verb: str, said: bytes, program: str) -> None:
    """Its connection is known to be gone at once: no time limit of minutes is waited for."""

    def script(talk: Talk) -> None:
        replies = {"GREETING": "220 hi ESMTP", "DATA": "354 go"}
        now = "GREETING"
        while now != verb:
            talk.say(replies.get(now, "250 ok"))
            if now == "DATA":
                talk.content()
                now = "."
            else:
                now = talk.line().partition(b" ")[0].decode().replace("EHLO", "HELLO").replace("LHLO", "HELLO")
        talk.say(said)
        talk.reset()

    with ScriptedServer(script) as server:
        where = f"inet:127.0.0.1:{server.port}" if program == "lmtp" else f"[127.0.0.1]:{server.port}"
        (result,) = start_agent(program=program).deliver(where).results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.4.2")
    assert result.text.startswith("lost connection with 127.0.0.1[127.0.0.1] while "), result


@pytest.mark.parametrize("end", ["reset", "hang"])
@pytest.mark.parametrize(("reply", "outcome"), [("552 5.3.4 too big", BOUNCED), ("452 4.3.1 full", DEFERRED)])
def test_refusal_in_the_middle_of_content_counts(start_agent: StartAgent, reply: str, outcome: int, end: str) -> None:
    """Also of a server that leaves at once: what it said is read before the connection is given up."""

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 ok|250 ok|354 go")
        talk.octets(10_000)
        talk.say(reply)
        getattr(talk, end)()

    content = b"Subject: large\n\n" + b"a line of a large message\n" * 1_000_000
    with ScriptedServer(script) as server:
        (result,) = start_agent().deliver(f"[127.0.0.1]:{server.port}", ["a@b.test"], content, large=True).results
    assert (result.outcome, result.dsn) == (outcome, reply.split()[1])
    assert result.text == f"host 127.0.0.1[127.0.0.1] said: {reply} (in reply to end of DATA command)"


def test_success_in_the_middle_of_content_is_none(start_agent: StartAgent) -> None:
    """Nothing is sent before every octet is."""

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 ok|250 ok|354 go|250 2.0.0 taken")
        talk.hang()

    with ScriptedServer(script) as server:
        (result,) = start_agent().deliver(f"[127.0.0.1]:{server.port}").results
    assert (result.outcome, result.dsn) == (DEFERRED, "4.5.0")


def test_each_reply_has_its_own_time(start_agent: StartAgent) -> None:
    """Without pipelining, 0.4 s for each reply is within a limit of 1 s, however many replies there are."""

    def script(talk: Talk) -> None:
        replies = {"EHLO": "250 plain.test", "DATA": "354 go on"}
        verb = "GREETING"
        while verb != "QUIT":
            time.sleep(0.4)
            talk.say(replies.get(verb, "220 plain.test ESMTP" if verb == "GREETING" else "250 ok"))
            if verb == "DATA":
                talk.content()
                verb = "."
            else:
                verb = talk.line().partition(b" ")[0].decode()

    with ScriptedServer(script) as server:
        results = start_agent(QUICK).deliver(f"[127.0.0.1]:{server.port}", ["a@b.test", "b@b.test", "c@b.test"]).results
    assert [each.outcome for each in results] == [SENT] * 3, results


def test_the_reply_to_the_content_has_the_longest_time(start_agent: StartAgent) -> None:
    """RFC 5321 4.5.3.2.6: a server that takes its time after the dot is not sent the message again."""

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250-hi|250 PIPELINING")
        for _ in range(3):
            talk.line()
        talk.say("250 ok|250 ok")
        time.sleep(0.2)  # the limit for DATA begins, and must not be that of the content
        talk.say("354 go on")
        talk.content()
        time.sleep(2)
        talk.say("250 ok")
        talk.line()

    with ScriptedServer(script) as server:
        main = {**QUICK, "smtp_data_done_timeout": "10s"}
        (result,) = start_agent(main).deliver(f"[127.0.0.1]:{server.port}").results
    assert result.outcome == SENT, result


def test_cl14_no_content_without_354(start_agent: StartAgent) -> None:
    """A server that says 250 to everything never sees the message as commands."""
    with ScriptedServer(lambda talk: talk.converse({"DATA": "250 ok"})) as server:
        agent = start_agent()
        agent.deliver(f"[127.0.0.1]:{server.port}", ["a@b.test"], b"Subject: x\n\nRCPT TO:<evil@b.test>\n")
        agent.run_for(0.1)
    assert not any(b"evil" in line for line in server.heard())


def test_cl16_421_hurts_only_those_without_reply(start_agent: StartAgent) -> None:
    """One recipient was refused for good before the server left; the other waits."""
    said = iter(["550 5.1.1 no", "421 4.3.2 bye"])

    def script(talk: Talk) -> None:
        talk.say("220 hi ESMTP")
        talk.line()
        talk.say("250 hi")
        talk.line()
        talk.say("250 ok")
        for reply in said:
            talk.line()
            talk.say(reply)

    with ScriptedServer(script) as server:
        results = start_agent().deliver(f"[127.0.0.1]:{server.port}", ["a@b.test", "b@b.test", "c@b.test"]).results
    assert [(each.outcome, each.dsn) for each in sorted(results, key=lambda each: each.rcpt_id)] == [
        (BOUNCED, "5.1.1"),
        (DEFERRED, "4.3.2"),
        (DEFERRED, "4.4.2"),
    ]


def test_cl20_more_replies_than_commands(start_agent: StartAgent) -> None:
    """A reply too many ends the session, not the result that is there already."""
    with ScriptedServer(lambda talk: talk.converse({".": "250 2.0.0 taken|250 2.0.0 what else"})) as server:
        agent = start_agent()
        (first,) = agent.deliver(f"[127.0.0.1]:{server.port}", reuse=True).results
        (second,) = agent.deliver(f"[127.0.0.1]:{server.port}", reuse=True).results
    assert (first.outcome, second.outcome) == (SENT, SENT)
    assert len(server.talks) == 2


def test_cl21_lmtp_fewer_replies_than_recipients(start_agent: StartAgent) -> None:
    """Of three recipients two were answered after the dot; the third is deferred."""

    def script(talk: Talk) -> None:
        talk.converse({".": "250 2.1.5 one|452 4.2.2 two full"}) if talk.number else talk.converse(
            {".": "250 2.1.5 one|452 4.2.2 two full", "QUIT": ""}
        )

    main = {"lmtp_data_done_timeout": "1s"}
    with ScriptedServer(script) as server:
        agent = start_agent(main, program="lmtp")
        results = agent.deliver(f"inet:127.0.0.1:{server.port}", ["a@b.test", "b@b.test", "c@b.test"]).results
    by_id = {each.rcpt_id: each for each in results}
    assert [by_id[number].outcome for number in range(3)] == [SENT, DEFERRED, DEFERRED]
    assert "timed out while sending end of data" in by_id[2].text


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\n\n.\n",
        b"Subject: x\n\n.\nMAIL FROM:<evil@b.test>\n.\n",
        b"Subject: x\n\na\r\n.\r\nb\n",
        b"Subject: x\n\na\r.\rb\n",
        b"Subject: x\n\na\n\r.\n",
        b".\n",
        b"\n.",
        b"",
        b"no line end",
        b"Subject: x\n\n" + b"z" * 5000 + b"\n",
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_cl22_what_goes_out_is_clean(content: bytes, start_agent: StartAgent, *, large: bool) -> None:
    """No bare CR or LF, no lone dot, no line too long; the server sees one message and one transaction."""
    with ScriptedServer(lambda talk: talk.converse()) as server:
        (result,) = start_agent().deliver(f"[127.0.0.1]:{server.port}", ["a@b.test"], content, large=large).results
        assert result.outcome == SENT
    heard = [
        line for line in server.heard() if line[:4] not in (b"EHLO", b"MAIL", b"RCPT", b"QUIT") and line != b"DATA"
    ]
    (wire,) = heard
    plain = wire.replace(b"\r\n", b"")
    assert b"\r" not in plain
    assert b"\n" not in plain
    lines = wire.split(b"\r\n")
    assert b"." not in lines
    assert max(map(len, lines)) <= 1000
    if not any(octet in content for octet in (b"\r", b"zzz")):
        unstuffed = [line[1:] if line.startswith(b".") else line for line in lines]
        assert b"\n".join(unstuffed).rstrip(b"\n") == content.rstrip(b"\n")
