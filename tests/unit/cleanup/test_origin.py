"""Mail that comes from inside: what cleanup leaves out, what it returns, and aliases whose sender asked for reports."""

from collections.abc import Sequence

import pytest

from posthouse.config.parameter import ConfigValueError
from posthouse.config.settings import Settings
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.message import (
    INTERNAL_MAIL,
    NO_HEADER_BODY_CHECKS,
    NO_MILTERS,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    Envelope,
    Recipient,
)
from posthouse.ipc.origin import BOUNCE, NOTIFY, RECEIVE_OVERRIDE_OPTIONS, SENDMAIL, SMTPD, Origin
from posthouse.ipc.record import replace
from tests.support.receiver import MakeReceiver, Receiver

ALIASES = {"virtual_alias_maps": "inline:{ {team@x.test = a@x.test, b@x.test} {one@x.test = c@x.test} }"}
LOCAL = Envelope("", "me@x.test", 0.0, returns=True)
TO = (Recipient("team@x.test"), Recipient("d@x.test"))


def hand(
    system: Receiver, envelope: Envelope, recipients: Sequence[Recipient] = TO, content: bytes = b"a: b\n\nc"
) -> Done:
    """Hand a message to cleanup."""
    client = CleanupClient(system.system.loop, f"{system.system.directory}/public/cleanup")

    async def send() -> Done:
        transaction = client.begin(replace(envelope, queue_id=await client.new_queue_id()), recipients)
        transaction.content(content)
        done = await transaction.end()
        client.close()
        return done

    return system.system.run(send())


def test_what_is_refused_of_local_mail_is_stored_for_its_return(receiver: MakeReceiver) -> None:
    """With the reason, the expanded recipients and the header; nobody gets a copy of it."""
    system = receiver({**ALIASES, "hopcount_limit": "2", "always_bcc": "all@x.test"})
    content = b"Received: x\n" * 3 + b"Subject: s\n\nbody"
    assert hand(system, LOCAL, content=content).code == 250
    [(envelope, to, stored)] = system.queue.messages
    assert (envelope.refusal, envelope.dsn_ret, stored) == ("5.4.0 too many hops", "HDRS", content[:-5])
    assert [each.address for each in to] == ["a@x.test", "b@x.test", "d@x.test"]
    assert hand(system, replace(LOCAL, returns=False), content=content).code == 554


def test_large_local_mail_that_is_refused_is_returned_too(receiver: MakeReceiver) -> None:
    """The header alone is kept of it."""
    system = receiver({"hopcount_limit": "2"})
    head = b"Received: x\n" * 3
    assert hand(system, LOCAL, content=head + b"\n" + b"line\n" * 40_000).code == 250
    assert [stored for _, _, stored in system.queue.messages] == [head]


def test_what_cannot_be_returned_is_refused(receiver: MakeReceiver) -> None:
    """Nobody to return it for, or a failure that may pass: who hands it over hears that."""
    system = receiver({"virtual_alias_maps": "fail:x"})
    assert hand(system, LOCAL, ()).code == 550
    assert hand(system, LOCAL).code == 451
    assert system.queue.messages == []


def test_reports_about_aliases_are_asked_for_once(receiver: MakeReceiver) -> None:
    """RFC 3461 5.2.7.3: "expanded" for the alias, nothing of success for its people, all else as it was asked for."""
    system = receiver(ALIASES)
    both = NOTIFY_SUCCESS | NOTIFY_FAILURE
    to = [Recipient("team@x.test", "", "rfc822;t", both), Recipient("one@x.test", "", "", NOTIFY_SUCCESS),
          Recipient("d@x.test", "", "", NOTIFY_SUCCESS)]  # fmt: skip
    hand(system, LOCAL, to)
    [(envelope, got, _)] = system.queue.messages
    assert envelope.expanded == (
        Recipient("team@x.test", "team@x.test", "rfc822;t", both),
        Recipient("one@x.test", "one@x.test", "", NOTIFY_SUCCESS),
    )
    notify = [NOTIFY_FAILURE, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS]
    assert [(each.address[0], each.notify) for each in got] == list(zip("abcd", notify, strict=True))


def test_a_report_has_a_bound(receiver: MakeReceiver) -> None:
    """The envelope goes with each delivery; the aliases are expanded all the same."""
    system = receiver({"virtual_alias_maps": "regexp:{ {/^u/ d@x.test} }"})
    many = [Recipient(f"u{number}@x.test", "", "", NOTIFY_SUCCESS) for number in range(1005)]
    assert hand(system, LOCAL, many).code == 250
    [(envelope, to, _)] = system.queue.messages
    assert (len(envelope.expanded), len(to)) == (1000, 1005)


@pytest.mark.parametrize(("limit", "copies"), [("0", 1), ("1", 2)])
def test_doubles_are_found_within_the_limit(receiver: MakeReceiver, limit: str, copies: int) -> None:
    """duplicate_filter_limit = 0 is no limit."""
    system = receiver({"duplicate_filter_limit": limit})
    hand(system, LOCAL, [Recipient("d@x.test"), Recipient("e@x.test"), Recipient("e@x.test")])
    assert [each.address for each in system.queue.messages[0][1]].count("e@x.test") == copies


@pytest.mark.parametrize(("enabled", "count"), [("yes", 2), ("no", 1)])
def test_recipients_that_differ_in_their_origin(receiver: MakeReceiver, enabled: str, count: int) -> None:
    """enable_original_recipient = no makes them doubles; the original is kept for the log and notices all the same."""
    system = receiver({**ALIASES, "enable_original_recipient": enabled})
    hand(system, LOCAL, [Recipient("one@x.test"), Recipient("c@x.test")])
    to = system.queue.messages[0][1]
    assert [(each.address, each.original) for each in to] == [("c@x.test", "one@x.test"), ("c@x.test", "")][:count]


def test_origins_say_what_is_left_out() -> None:
    """The words of main.cf become the bits of envelopes."""
    plain = Settings.from_mapping({"content_filter": "scan:x", "smtputf8_enable": "yes"})
    assert Origin.of_service(plain, SENDMAIL) == Origin("scan:x", 0, finds_smtputf8=True)
    assert Origin.of_service(plain, SMTPD) == Origin("scan:x", 0, finds_smtputf8=False)
    assert Origin.of_internal_mail(plain, NOTIFY) == Origin("", INTERNAL_MAIL, finds_smtputf8=False)
    checked = Settings.from_mapping({"internal_mail_filter_classes": "bounce", "smtputf8_enable": "no"})
    assert Origin.of_internal_mail(checked, BOUNCE).overrides == INTERNAL_MAIL & ~(NO_HEADER_BODY_CHECKS | NO_MILTERS)
    assert Origin.of_internal_mail(checked, NOTIFY).overrides == INTERNAL_MAIL
    assert not Origin.of_service(checked, SENDMAIL).finds_smtputf8


def test_an_unknown_override_is_an_error() -> None:
    """A misspelled word must not silently leave something in."""
    with pytest.raises(ConfigValueError, match='"no_milter" is not one of'):
        RECEIVE_OVERRIDE_OPTIONS.parse("no_milter")
