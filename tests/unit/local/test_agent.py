"""LocalAgent: aliases, .forward, mailboxes, commands and unknown users, with the user's child and cleanup faked."""

import os
import re

import pytest

from posthouse.daemons.local import agent as local
from posthouse.daemons.local.agent import MAX_INCLUDES, combine, exported, is_loop
from posthouse.delivery.agent import Delivery
from posthouse.ipc.as_user import (
    NOT_FOUND,
    OK,
    REFUSED,
    TRY_LATER,
    ReadFile,
    RunCommand,
    WriteMailbox,
)
from posthouse.ipc.cleanup import Done
from posthouse.ipc.delivery import Deliver, DeliverTo
from posthouse.ipc.message import (
    BOUNCED,
    DEFERRED,
    INTERNAL_MAIL,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    SENT,
    Envelope,
    RecipientResult,
)
from posthouse.ipc.runas_wire import JobKind
from posthouse.util.errors import TemporaryError
from tests.support.local_case import CONTENT, JOE, NOBODY, Case, FailingMaps
from tests.support.lookups import logged
from tests.unit.qmgr.make import deferred, sent


@pytest.mark.parametrize(
    ("main", "path"),
    [
        ({}, "/var/mail/joe"),
        ({"mail_spool_directory": "/var/spool/mail/"}, "/var/spool/mail/joe/"),
        ({"home_mailbox": "Maildir/"}, "/home/joe/Maildir/"),
        ({"home_mailbox": "Mailbox"}, "/home/joe/Mailbox"),
    ],
)
def test_a_user_s_mailbox(case: Case, main: dict[str, str], path: str) -> None:
    """Written as the user."""
    case.main = main
    result = case.one("joe@x")
    assert (result.outcome, result.action) == (SENT, "delivered")
    assert case.places == [(JOE, path)]


@pytest.mark.parametrize("address", ["Joe@x", "JOE+ext@x", "joe", '"joe"@x'])
def test_case_and_extension_do_not_matter(case: Case, address: str) -> None:
    """Nor do quotes that say nothing."""
    assert case.one(address).outcome == SENT
    assert case.places == [(JOE, "/var/mail/joe")]


def test_nobody_of_that_name(case: Case) -> None:
    """Postfix's text."""
    result = case.one("stranger+ext@x")
    assert (result.outcome, result.dsn, result.text) == (BOUNCED, "5.1.1", 'unknown user: "stranger"')


@pytest.mark.parametrize("name", ["postmaster", "MAILER-DAEMON", "Postmaster+ext"])
def test_a_required_alias_that_nobody_made(case: Case, name: str) -> None:
    """Mail for it is thrown away with a warning, as in Postfix: a bounce would come back here."""
    with logged() as lines:
        result = case.one(f"{name}@x")
    assert (result.outcome, result.dsn, result.text) == (SENT, "2.0.0", "discarded")
    user = name.partition("+")[0].lower()
    assert [line for line in lines if "required alias" in line] == [f"warning: required alias not found: {user}"]


def test_a_required_alias_that_luser_relay_stands_for(case: Case) -> None:
    """luser_relay comes first, as in Postfix."""
    case.main = {"luser_relay": "catch@x"}
    assert case.one("postmaster@x").outcome == SENT
    assert case.forwarded == [["catch@x"]]


@pytest.mark.parametrize(
    ("path", "outcome", "dsn"), [("/none/file", BOUNCED, "5.2.0"), ("/none/maildir/", DEFERRED, "4.2.0")]
)
def test_an_alias_to_a_file_that_cannot_be_there(case: Case, path: str, outcome: int, dsn: str) -> None:
    """Without its directory a file bounces, as in Postfix; a user's mailbox waits for its spool."""
    case.aliases = {"list": path}
    case.users.ending = NOT_FOUND
    result = case.one("list@x")
    assert (result.outcome, result.dsn) == (outcome, dsn)
    assert case.one("joe@x").outcome == DEFERRED


def test_an_account_that_is_no_account_defers(case: Case) -> None:
    """Never "not found"."""
    assert case.one("broken@x").outcome == DEFERRED


def test_root_s_mail_is_nobody_s(case: Case) -> None:
    """No process here acts as root; default_privs stands for it."""
    assert (case.one("root@x").outcome, case.places) == (SENT, [(NOBODY, "/var/mail/root")])
    case.users.files["/root/.forward"] = (TRY_LATER, b"")  # root's home is closed to nobody
    assert case.one("root@x").text.endswith("let an alias for root name a person")
    case.main = {"default_privs": "missing"}
    assert case.one("root@x").outcome == DEFERRED


def test_without_runas_everything_is_done_as_ourselves(case: Case) -> None:
    """There is one user only."""
    case.users.can_change_user = False
    case.one("joe@x")
    assert case.places == [(os.geteuid(), "/var/mail/joe")]


def test_a_mailbox_command_gets_the_mail(case: Case) -> None:
    """As the user, with what Debian's default needs: the extension."""
    case.main = {"mailbox_command": 'procmail -a "$EXTENSION"', "export_environment": ""}
    assert case.one("joe+lists@x").text == 'delivered to command: procmail -a "$EXTENSION"'
    [(uid, job)] = case.done
    assert isinstance(job, RunCommand)
    assert uid == JOE
    assert job.environment == {
        "SENDER": "s@x", "RECIPIENT": "joe+lists@x", "ORIGINAL_RECIPIENT": "joe+lists@x", "LOCAL": "joe+lists",
        "DOMAIN": "x", "USER": "joe", "LOGNAME": "joe", "EXTENSION": "lists", "HOME": "/home/joe", "SHELL": "/bin/sh",
        "CLIENT_ADDRESS": "192.0.2.1", "CLIENT_HELO": "_192.0.2.1_", "CLIENT_HOSTNAME": "client",
        "CLIENT_PROTOCOL": "ESMTP",
    }  # fmt: skip
    assert job.head.startswith(b"From s@x ")
    assert b"Delivered-To: joe+lists@x\n" in job.head


def test_many_recipients_have_one_result_each(case: Case) -> None:
    """Whatever becomes of the others."""
    outcomes = [result.outcome for result in case.deliver("joe@x", "stranger@x", "jane@x")]
    assert outcomes == [SENT, BOUNCED, SENT]


# Aliases.


def test_an_alias_is_forwarded(case: Case) -> None:
    """As a new message, so that each recipient has a record of his own; doubles once."""
    case.aliases = {"team": "joe, jane@elsewhere, joe"}
    result = case.one("Team@x")
    assert (result.outcome, result.text, result.action) == (SENT, "forwarded as 3FWD", "expanded")
    [(envelope, addresses)] = case.cleanup.messages
    assert addresses == ["joe", "jane@elsewhere"]
    assert (envelope.sender, envelope.arrival, envelope.queue_id) == ("s@x", 5.0, "3FWD")
    assert envelope.overrides == INTERNAL_MAIL  # no second copy by always_bcc, no second check
    [content] = case.cleanup.contents
    assert re.match(rb"Received: by \S+ \(Postfix\)\n\tid 3FWD; [^\n]+\nDelivered-To: Team@x\n", content)
    assert content.endswith(b"\nDelivered-To: Team@x\n" + CONTENT)


@pytest.mark.parametrize(("code", "outcome"), [(250, SENT), (451, DEFERRED), (552, BOUNCED)])
def test_forwarding_ends_as_cleanup_says(case: Case, code: int, outcome: int) -> None:
    """A loop that is too long is its business too."""
    case.aliases = {"team": "joe@elsewhere"}
    case.cleanup.answer = Done(1, code, "x.y.z", "text", "")
    assert case.one("team@x").outcome == outcome


def test_forwarding_waits_for_cleanup(case: Case) -> None:
    """It never bounces because of us."""
    case.aliases = {"team": "joe@elsewhere"}
    case.cleanup.is_away = True
    assert case.one("team@x").outcome == DEFERRED


@pytest.mark.parametrize(
    ("aliases", "wanted"),
    [
        ({'"a,b"': "a@y", "a,b": "b@y"}, "a@y"),
        ({"a,b": "b@y"}, "b@y"),
        ({'"a,b+x"': "c@y", '"a,b"': "a@y"}, "c@y"),
    ],
)
def test_an_alias_that_needs_quotes(case: Case, aliases: dict[str, str], wanted: str) -> None:
    """In quoted form, as postalias of Postfix 3.12 writes it, or without quotes, as it was before and is here."""
    case.aliases = aliases
    case.one('"a,b+x"@x')
    assert case.forwarded == [[wanted]]


def test_the_alias_of_the_whole_address_comes_first(case: Case) -> None:
    """Then that without the extension; a user comes last."""
    case.aliases = {"joe+work": "a@y", "joe": "b@y"}
    for address in ("joe+work@x", "joe+other@x", "joe@x"):
        case.one(address)
    assert case.forwarded == [["a@y"], ["b@y"], ["b@y"]]


def test_errors_about_a_list_go_to_its_owner(case: Case) -> None:
    """Where there is one; a notice stays a notice; the owner's mail is his own."""
    case.aliases = {"list": "a@y", "owner-list": "joe", "team": "b@y"}
    for address, sender in (("list@x", "s@x"), ("list@x", ""), ("team@x", "s@x"), ("owner-list@x", "s@x")):
        case.one(address, sender=sender)
    assert [envelope.sender for envelope, _ in case.cleanup.messages] == ["owner-list@x", "", "s@x", "s@x"]


@pytest.mark.parametrize("own", ["joe", "Joe@x", "joe@mail.x"])
def test_an_alias_that_names_itself_means_the_user(case: Case, own: str) -> None:
    """And the others get a copy."""
    case.aliases = {"joe": f"{own}, other@y"}
    assert case.one("joe@x").outcome == SENT
    assert case.places == [(JOE, "/var/mail/joe")]
    assert case.forwarded == [["other@y"]]


def test_an_alias_to_a_file_a_command_and_a_mailbox(case: Case) -> None:
    """Files and commands with default_privs; they may belong to anybody."""
    case.aliases = {"all": '/var/archive/, /var/file, "|cmd a, b", \\jane, /dev/null'}
    assert case.one("all@x").outcome == SENT
    assert case.places == [
        (NOBODY, "/var/archive/"), (NOBODY, "/var/file"), (1001, "/var/mail/jane"), (NOBODY, "/dev/null"),
    ]  # fmt: skip
    strict = [job.strict_owner for _, job in case.done if isinstance(job, WriteMailbox)]
    assert strict == [False, True, False]
    [command] = [job for _, job in case.done if isinstance(job, RunCommand)]
    assert command.command == "cmd a, b"
    assert (command.environment["USER"], "HOME" in command.environment) == ("all", False)


def test_a_file_is_named_in_the_log(case: Case) -> None:
    """Postfix's words."""
    case.aliases = {"file": "/var/file"}
    assert case.one("file@x").text == "delivered to file: /var/file"


@pytest.mark.parametrize(
    ("status", "outcome", "dsn"), [(0, SENT, "2.0.0"), (75, DEFERRED, "4.3.0"), (67, BOUNCED, "5.1.1")]
)
def test_a_command_s_status_decides(case: Case, status: int, outcome: int, dsn: str) -> None:
    """sysexits.h."""
    case.aliases = {"cmd": "|cmd"}
    case.users.exit_status = status
    result = case.one("cmd@x")
    assert (result.outcome, result.dsn) == (outcome, dsn)


def test_a_backslash_takes_the_aliases_away(case: Case) -> None:
    """It means the mailbox of that user."""
    case.aliases = {"joe": "a@y", "team": "\\joe"}
    case.one("team@x")
    assert case.places == [(JOE, "/var/mail/joe")]
    assert not case.forwarded
    case.aliases = {"team": "\\stranger"}
    assert case.one("team@x").text == 'unknown user: "stranger"'


@pytest.mark.parametrize("value", ["(nobody)", "#", ","])
def test_an_alias_without_a_destination_bounces(case: Case, value: str) -> None:
    """Nothing is dropped silently."""
    case.aliases = {"team": value}
    result = case.one("team@x")
    assert (result.outcome, result.dsn) == (BOUNCED, "5.3.5")


def test_aliases_that_cannot_be_read_defer(case: Case) -> None:
    """They are not "no alias": the mail could go to the wrong place."""
    result = case.one("joe@x", agent=case.agent(FailingMaps([])))
    assert (result.outcome, result.dsn) == (DEFERRED, "4.3.0")
    assert not case.places


# Include files.


def test_an_include_file(case: Case) -> None:
    """Read with default_privs; errors go to the list's owner."""
    case.aliases = {"list": ":include:/etc/list", "owner-list": "joe"}
    case.users.put("/etc/list", "a@y\n# nobody@y\nb@y, c@y\n")
    assert case.one("list@x").outcome == SENT
    assert case.users.jobs[0][:2] == (JobKind.MAILBOX, NOBODY)
    [(envelope, addresses)] = case.cleanup.messages
    assert addresses == ["a@y", "b@y", "c@y"]
    assert envelope.sender == "owner-list@x"


@pytest.mark.parametrize(("line", "what"), [("|cmd", "command"), ("/file", "file")])
def test_an_include_file_names_no_commands_and_files(case: Case, line: str, what: str) -> None:
    """allow_mail_to_commands and allow_mail_to_files; the addresses in it are delivered all the same."""
    case.aliases = {"list": ":include:/etc/list"}
    case.users.put("/etc/list", f"a@y\n{line}\n")
    result = case.one("list@x")
    assert (result.outcome, result.dsn, result.text) == (BOUNCED, "5.7.1", f"mail to {what} is restricted")
    assert case.forwarded == [["a@y"]]
    assert not case.done


def test_include_files_may_include_others(case: Case) -> None:
    """But not for ever."""
    case.aliases = {"list": ":include:/etc/1", "loop": ":include:/etc/loop"}
    case.users.put("/etc/1", ":include:/etc/2\na@y")
    case.users.put("/etc/2", "b@y")
    case.users.put("/etc/loop", ":include:/etc/loop")
    assert case.one("list@x").outcome == SENT
    assert sorted(case.forwarded) == [["a@y"], ["b@y"]]
    result = case.one("loop@x")
    assert (result.outcome, result.dsn) == (BOUNCED, "5.4.6")
    assert len([job for _, _, job in case.users.jobs if isinstance(job, ReadFile)]) == MAX_INCLUDES + 2


def test_include_files_are_counted_in_all(case: Case) -> None:
    """Two that name each other twice would be read a million times before they are nested too deeply."""
    case.aliases = {"wide": ":include:/etc/wide"}
    case.users.put("/etc/wide", ":include:/etc/wide\n" * 50)
    assert case.one("wide@x").dsn == "5.4.6"
    assert len(case.users.jobs) == local.MAX_FILES
    case.users.jobs.clear()
    case.users.put("/home/joe/.forward", ":include:/etc/wide\n")
    assert case.one("joe@x").dsn == "5.4.6"
    assert len(case.users.jobs) == 1 + local.MAX_USER_FILES


def test_an_include_file_has_an_absolute_name(case: Case) -> None:
    """There is no directory that another could mean."""
    case.users.put("/home/joe/.forward", ":include:../etc/passwd\n")
    case.users.put("../etc/passwd", "a@y\n")
    result = case.one("joe@x")
    assert (result.outcome, result.dsn) == (BOUNCED, "5.3.5")
    assert case.forwarded == []


def test_a_user_forwards_to_so_many_and_no_more(case: Case) -> None:
    """His list is not a mailing list of the administrator's."""
    many = "".join(f"u{number}@y\n" for number in range(local.MAX_USER_ADDRESSES + 1))
    case.users.put("/home/joe/.forward", many)
    result = case.one("joe@x")
    assert (result.outcome, result.dsn) == (BOUNCED, "5.5.3")
    case.aliases = {"list": ":include:/etc/list"}
    case.users.put("/etc/list", many)
    assert case.one("list@x").outcome == SENT


def test_an_include_file_that_cannot_be_read_defers(case: Case) -> None:
    """Somebody will put it back."""
    case.aliases = {"list": ":include:/etc/none"}
    result = case.one("list@x")
    assert (result.outcome, result.dsn) == (DEFERRED, "4.2.4")


# .forward files.


def test_a_forward_file(case: Case) -> None:
    """Read as the user; what it names is done as the user."""
    case.users.put("/home/joe/.forward", 'joe@y, "|vacation joe", /home/joe/copy')
    assert case.one("joe@x").outcome == SENT
    assert case.forwarded == [["joe@y"]]
    assert {uid for uid, _ in case.done} == {JOE}
    command = next(job for _, job in case.done if isinstance(job, RunCommand))
    assert command.environment["HOME"] == "/home/joe"


def test_a_forward_file_for_an_extension_comes_first(case: Case) -> None:
    """Then the general one."""
    case.users.put("/home/joe/.forward+lists", "a@y")
    case.users.put("/home/joe/.forward", "b@y")
    case.one("joe+lists@x")
    case.one("joe+other@x")
    assert case.forwarded == [["a@y"], ["b@y"]]


def test_an_extension_says_nothing_but_itself(case: Case) -> None:
    """What could mean something to a shell or to main.cf is taken out before it becomes part of a path."""
    case.one("joe+$home`x`\\@x")
    paths = [job.path for _, _, job in case.users.jobs if isinstance(job, ReadFile)]
    assert paths == ["/home/joe/.forward+_home_x__", "/home/joe/.forward"]


@pytest.mark.parametrize("text", ["", "\n# only a comment\n", "joe", "\\joe", "joe@x, JOE@mail.x"])
def test_a_forward_file_that_means_the_mailbox(case: Case, text: str) -> None:
    """Empty, or one's own name in any form."""
    case.users.put("/home/joe/.forward", text)
    assert case.one("joe@x").outcome == SENT
    assert case.places == [(JOE, "/var/mail/joe")]
    assert not case.forwarded


@pytest.mark.parametrize("own", ["joe", "\\joe", "joe@x"])
def test_a_copy_to_somebody_else(case: Case, own: str) -> None:
    """The mail does not come round again."""
    case.users.put("/home/joe/.forward", f"{own}, other@y")
    assert case.one("joe@x").outcome == SENT
    assert case.places == [(JOE, "/var/mail/joe")]
    assert case.forwarded == [["other@y"]]


def test_a_forward_file_that_may_not_be_used_is_ignored(case: Case) -> None:
    """It is said in the log; the mail goes to the mailbox."""
    case.users.files["/home/joe/.forward"] = (REFUSED, b"")
    with logged() as lines:
        assert case.one("joe@x").outcome == SENT
    assert case.places == [(JOE, "/var/mail/joe")]
    assert any("joe: /home/joe/.forward: refused; the file is ignored" in line for line in lines)


def test_a_forward_file_that_cannot_be_read_now_defers(case: Case) -> None:
    """A home directory that is not mounted must not send mail to the spool."""
    case.users.files["/home/joe/.forward"] = (TRY_LATER, b"")
    assert case.one("joe@x").outcome == DEFERRED
    assert not case.places


def test_a_forward_file_with_junk_in_it_harms_nobody(case: Case) -> None:
    """Octets that are no UTF-8, too."""
    case.users.files["/home/joe/.forward"] = (OK, b"\xff\xfe@y, <>, \0\n")
    assert case.one("joe@x").outcome in (SENT, BOUNCED)


def test_without_the_user_s_rights_mail_waits(case: Case) -> None:
    """runas does not answer."""
    case.users.error = TemporaryError("runas service: gone")
    assert case.one("joe@x").outcome == DEFERRED


# The rest.


@pytest.mark.parametrize(
    ("header", "loops"),
    [
        (b"Delivered-To: joe@x\n", True),
        (b"delivered-to:JOE@X \n", True),
        (b"Delivered-To: jane@x\n", False),
        (b"X-Delivered-To: joe@x\n", False),
        (b"Subject: a\n Delivered-To: joe@x\n", False),
    ],
)
def test_mail_that_comes_round_again(case: Case, header: bytes, loops: bool) -> None:
    """Its trace says so; only in the header section."""
    result = case.one("joe@x", content=header + CONTENT)
    assert (result.dsn == "5.4.6") is loops
    assert case.one("joe@x", content=CONTENT + header).outcome == SENT


def test_is_loop_reads_large_content_from_its_descriptor() -> None:
    """It is the same message."""
    reader, writer = os.pipe()
    os.close(writer)
    request = Deliver(1, Envelope("3TEST", "", 0.0), "x", [], 0.0, b"", with_descriptor=True)
    assert not is_loop(Delivery(request, reader, lambda _delivery, _results: None), "joe@x")
    os.close(reader)


def test_a_relay_for_those_who_are_not_here(case: Case) -> None:
    """luser_relay knows the parts of the address, and nothing in them is expanded."""
    case.main = {"luser_relay": "$local@other.y"}
    case.one("stranger+ext@x")
    case.one("$home@x")
    assert case.forwarded == [["stranger+ext@other.y"], ["_home@other.y"]]


def test_what_must_be_tried_again_decides() -> None:
    """Then what failed; all of it went well otherwise."""
    rcpt = DeliverTo(1, "a@x")
    failed = RecipientResult(1, BOUNCED, "5.1.1", "no", "local")
    assert combine(rcpt, [sent(1), failed, deferred(1)]).outcome == DEFERRED
    assert combine(rcpt, [sent(1), failed]).outcome == BOUNCED
    assert combine(rcpt, [sent(1), sent(1)]).outcome == SENT
    assert combine(rcpt, []).dsn == "5.3.5"


def test_the_sender_is_told_of_an_alias_and_not_of_everybody_behind_it(case: Case) -> None:
    """Success is asked about once; failure still of each, with the recipient that the sender had named (RFC 3461)."""
    case.aliases = {"all": "a@x, b@x"}
    for notify, passed in ((NOTIFY_SUCCESS | NOTIFY_FAILURE, NOTIFY_FAILURE), (NOTIFY_SUCCESS, NOTIFY_NEVER), (0, 0)):
        result = case.one("all@x", notify=notify, dsn_orcpt="rfc822;o@x")
        assert (result.outcome, result.action) == (SENT, "expanded")
        given = case.cleanup.recipients[-1]
        assert [(rcpt.notify, rcpt.dsn_orcpt) for rcpt in given] == [(passed, "rfc822;o@x")] * 2


def test_commands_get_the_environment_that_main_cf_says(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """MAIL_CONFIG among it: mail that a command sends belongs to this instance. What we say of the mail wins."""
    monkeypatch.setenv("TZ", "Europe/Oslo")
    monkeypatch.delenv("MAIL_CONFIG", raising=False)
    assert exported(("TZ", "MAIL_CONFIG", "NOT_THERE", "A=b=c"), "/etc/x") == {
        "TZ": "Europe/Oslo", "MAIL_CONFIG": "/etc/x", "A": "b=c",
    }  # fmt: skip
    case.main = {"export_environment": "TZ SENDER=x"}
    case.aliases = {"cmd": "|cmd"}
    case.one("cmd@x")
    [command] = [job for _, job in case.done if isinstance(job, RunCommand)]
    assert (command.environment["TZ"], command.environment["SENDER"]) == ("Europe/Oslo", "s@x")
