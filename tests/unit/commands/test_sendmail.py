"""sendmail: its options, what it reads, and its exit status. Compared with Debian's where that says anything."""

import io
import sys

import pytest

from posthouse.commands import sendmail
from posthouse.commands.sendmail import UsageError, parse_arguments
from posthouse.commands.submission import Answer, Message
from posthouse.ipc.submit import FLAG_GATEWAY, FLAG_SMTPUTF8, FLAG_TRACE, SubmissionReader


class Case:
    """Runs sendmail with a message; keeps what it submits, and answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.answer = Answer(250, "2.0.0", "Ok")
        self.submissions: list[tuple[bytes, str]] = []
        self.called: list[list[str]] = []
        monkeypatch.setattr(sendmail, "submit", self._submit)
        monkeypatch.setattr(sendmail, "login_full_name", lambda: "Joe User")
        monkeypatch.delenv("NAME", raising=False)

    def _submit(self, submission: bytes, config_directory: str = "") -> Answer:
        self.submissions.append((submission, config_directory))
        return self.answer

    def __call__(self, *arguments: str, content: bytes = b"Subject: x\n\nbody\n", name: str = "sendmail") -> int:
        """Run; the exit status."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return sendmail.main([f"/usr/sbin/{name}", *arguments])

    def submitted(self) -> tuple[SubmissionReader, bytes]:
        """Read the last submission: its reader, and its content."""
        reader = SubmissionReader()
        content = b"".join(reader.feed(self.submissions[-1][0]))
        assert reader.complete
        return reader, content

    @property
    def recipients(self) -> list[str]:
        """Recipients of the last submission."""
        return [address for address, _ in self.submitted()[0].envelope.recipients]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Case:
    """Make a case."""
    return Case(monkeypatch)


def parsed(*words: str) -> Message:
    """Parse; the message."""
    return parse_arguments(list(words)).message


# Options.


def test_options_may_stand_together_and_values_apart_or_not() -> None:
    """As getopt(3) reads them; "--" ends them."""
    arguments = parse_arguments(["-ti", "-fs@b", "-F", "Full Name", "-oi", "-v", "--", "-odd@x"])
    assert (arguments.from_headers, arguments.dot_ends) == (True, False)
    message = arguments.message
    assert (message.sender, message.full_name, message.recipients) == ("s@b", "Full Name", ["-odd@x"])
    assert message.flags == FLAG_TRACE


def test_options_that_mean_nothing_here_are_accepted() -> None:
    """Programs give them."""
    words = ["-Am", "-Ac", "-U", "-h", "3", "-L", "label", "-m", "-om", "-oem", "-o7", "-o8", "-e", "q", "-c", "-x"]
    arguments = parse_arguments([*words, "-p", "ESMTP", "-O", "Timeout=1", "-odb", "a@x"])
    assert arguments.message.recipients == ["a@x"]
    assert arguments.mode == "m"


@pytest.mark.parametrize(
    "words",
    [["-Z"], ["-f"], ["-X", "log"], ["-n"], ["-bz"], ["-B", "9BIT"], ["-qSx"], ["-:"], ["-tZ"], ["-b"]],
)
def test_options_that_are_wrong(words: list[str]) -> None:
    """64, EX_USAGE."""
    with pytest.raises(UsageError):
        parse_arguments([*words])


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-B", "8BITMIME"], "encoding", "8bit"),
        (["-B7BIT"], "encoding", "7bit"),
        (["-N", "failure,delay"], "notify", "failure,delay"),
        (["-N", "NEVER"], "notify", "never"),
        (["-R", "hdrs"], "ret", "HDRS"),
        (["-R", "full"], "ret", "FULL"),
        (["-V", "id 1"], "envid", "id 1"),
        (["-O", "SMTPUTF8=yes"], "flags", FLAG_SMTPUTF8),
        (["-O", "smtputf8=no"], "flags", b""),
        (["-G"], "flags", FLAG_GATEWAY),
        (["-f", ""], "sender", ""),
        (["-f", "<s@b>"], "sender", "s@b"),
        (["-f", "<>"], "sender", ""),
        (["-r", "s@b"], "sender", "s@b"),
        (["-f", "Joe User <s@b>"], "sender", "s@b"),
        (["-f", '"joe user"@b'], "sender", '"joe user"@b'),
        ([], "sender", None),
    ],
)
def test_options_about_the_message(words: list[str], field: str, value: object) -> None:
    """Each says one thing."""
    assert getattr(parsed(*words, "a@x"), field) == value


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["-N", "never,success"], "notify"),
        (["-N", "bogus"], "notify"),
        (["-N", ""], "notify"),
        (["-R", "x"], "ret"),
        (["-V", "x" * 101], "envid"),
        (["-V", "a\tb"], "envid"),
    ],
)
def test_wrong_wishes_about_notices_cost_no_mail(
    words: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are ignored, with a warning, as in Postfix."""
    assert getattr(parsed(*words, "a@x"), field) == ""
    assert "sendmail: warning: bad -" in capsys.readouterr().err


def test_a_sender_that_is_several_is_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said."""
    assert parsed("-f", "a b", "x@y").sender == "a"
    assert "malformed sender" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "recipients"),
    [
        (["a@x", "b@x"], ["a@x", "b@x"]),
        (["a@x, b@x"], ["a@x", "b@x"]),
        (["Joe User <joe@x>"], ["joe@x"]),
        (['"Joe, User" <joe@x>'], ["joe@x"]),
        (['"joe user"@x'], ['"joe user"@x']),
        (["joe@x (comment)"], ["joe@x"]),
        (["joe"], ["joe"]),
        ([""], [""]),
        (["a", "-i"], ["a", "-i"]),
    ],
)
def test_recipients(words: list[str], recipients: list[str]) -> None:
    """One in an argument, or a list as in a header."""
    assert parsed(*words).recipients == recipients


# The message.


@pytest.mark.parametrize(
    ("content", "with_dots", "with_i"),
    [
        (b"a\n.\nb\n", b"a\n", b"a\n.\nb\n"),
        (b"a\r\n.\r\nb\r\n", b"a\n", b"a\n.\nb\n"),
        (b".\nb\n", b"", b".\nb\n"),
        (b".", b"", b"."),
        (b"a\n.", b"a\n", b"a\n."),
        (b"a\n..\n.b\n", b"a\n..\n.b\n", b"a\n..\n.b\n"),
        (b"a", b"a", b"a"),
        (b"", b"", b""),
        (b"a\rb\n", b"a\rb\n", b"a\rb\n"),
    ],
)
def test_a_lone_dot_ends_the_message_unless_i_is_given(
    run: Case, content: bytes, with_dots: bytes, with_i: bytes
) -> None:
    """CRLF becomes LF; other dots are text."""
    assert run("a@x", content=content) == 0
    assert run.submitted()[1] == with_dots
    for option in ("-i", "-oi"):
        run(option, "a@x", content=content)
        assert run.submitted()[1] == with_i


@pytest.mark.parametrize(
    ("content", "submitted"),
    [
        (b"From a@b Sun\nSubject: x\n\nFrom c\n", b"Subject: x\n\nFrom c\n"),
        (b"From a\n>From b\n>>From c\nSubject: x\n", b"Subject: x\n"),
        (b"From a", b""),
        (b"From: a\n\n", b"From: a\n\n"),
        (b"\nFrom a\n", b"\nFrom a\n"),
        (b">", b">"),
    ],
)
def test_lines_that_part_messages_in_a_mailbox(run: Case, content: bytes, submitted: bytes) -> None:
    """Dropped before the header, and nowhere else."""
    assert run("a@x", content=content) == 0
    assert run.submitted()[1] == submitted


def test_what_is_submitted(run: Case) -> None:
    """The records say it all; a sender that was not said is left to the system."""
    run("-f", "s@b", "-N", "never", "-F", "Full\nName", "a@x", "b@x")
    envelope = run.submitted()[0].envelope
    assert (envelope.sender, envelope.full_name) == ("s@b", "Full Name")
    assert envelope.recipients == [("a@x", "never"), ("b@x", "never")]
    run("a@x")
    envelope = run.submitted()[0].envelope
    assert (envelope.sender_given, envelope.full_name) == (False, "Joe User")


def test_the_full_name_may_come_from_the_environment(run: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """-F is stronger."""
    monkeypatch.setenv("NAME", "Jane")
    run("a@x")
    assert run.submitted()[0].envelope.full_name == "Jane"
    run("-F", "Joe", "a@x")
    assert run.submitted()[0].envelope.full_name == "Joe"


def test_recipients_from_the_header(run: Case) -> None:
    """-t: those of the command line first."""
    content = b'To: Joe <joe@x>, "a b"@x\nCc: (none) jane@x\nBCC: boss@x\nSubject: x\n\nTo: no@x\n'
    assert run("-t", "extra@x", content=content) == 0
    assert run.recipients == ["extra@x", "joe@x", '"a b"@x', "jane@x", "boss@x"]


def test_resent_headers_win(run: Case) -> None:
    """RFC 5322 3.6.6."""
    run("-t", content=b"To: old@x\nResent-To: new@x\nResent-Bcc: hidden@x\n\n")
    assert run.recipients == ["new@x", "hidden@x"]


# Exit status.


def test_without_recipients(run: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """64; nothing is submitted."""
    assert run() == run("-t", content=b"Subject: x\n\n") == run("-t", content=b"To: \n\n") == 64
    assert run.submissions == []
    said = capsys.readouterr().err
    assert "Recipient addresses must be specified on the command line or via the -t option" in said
    assert "No recipient addresses found in message header" in said


@pytest.mark.parametrize(
    ("code", "dsn", "status"),
    [
        (250, "2.0.0", 0),
        (451, "4.3.0", 75),
        (452, "4.3.1", 75),
        (550, "5.7.1", 77),
        (552, "5.3.4", 65),
        (554, "5.3.0", 65),
        (554, "5.5.0", 69),
        (550, "5.1.1", 69),
    ],
)
def test_the_answer_decides(run: Case, capsys: pytest.CaptureFixture[str], code: int, dsn: str, status: int) -> None:
    """sysexits.h; the reason is on standard error."""
    run.answer = Answer(code, dsn, "the reason")
    assert run("a@x") == status
    assert capsys.readouterr().err == ("" if code == 250 else "sendmail: fatal: the reason\n")


def test_a_wrong_option(run: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """64 and a word about it."""
    assert run("-Z", "a@x") == 64
    assert capsys.readouterr().err == "sendmail: fatal: invalid option -- 'Z'\n"


@pytest.mark.parametrize("mode", ["-bs", "-bv"])
def test_modes_that_are_not_there_yet(run: Case, mode: str) -> None:
    """69, EX_UNAVAILABLE."""
    assert run(mode, "a@x") == 69


@pytest.mark.parametrize("words", [["-bh"], ["-bH"], ["-q15m"], ["-bm", "-q1h"]])
def test_modes_that_do_nothing(run: Case, words: list[str]) -> None:
    """Sendmail's host status, and the interval of its daemon."""
    assert run(*words) == 0
    assert run.submissions == []


def test_an_interval_does_not_keep_mail_from_going(run: Case) -> None:
    """Where there are recipients, there is a message."""
    run("-q15m", "a@x")
    assert run.recipients == ["a@x"]


@pytest.mark.parametrize(
    ("name", "words", "module", "called"),
    [
        ("sendmail", ["-bp"], "postqueue", ["postqueue", "-p"]),
        ("mailq", [], "postqueue", ["postqueue", "-p"]),
        ("sendmail", ["-q"], "postqueue", ["postqueue", "-f"]),
        ("sendmail", ["-qI3ABC"], "postqueue", ["postqueue", "-i", "3ABC"]),
        ("sendmail", ["-qRx.test"], "postqueue", ["postqueue", "-s", "x.test"]),
        ("sendmail", ["-C", "/etc/p", "-bp"], "postqueue", ["postqueue", "-c", "/etc/p", "-p"]),
        ("sendmail", ["-bi"], "newaliases", ["newaliases"]),
        ("newaliases", [], "newaliases", ["newaliases"]),
        ("sendmail", ["-I", "-C", "/etc/p"], "newaliases", ["newaliases", "-C", "/etc/p"]),
        ("sendmail", ["-bi", "-oAlmdb:/etc/aliases"], "postalias", ["postalias", "lmdb:/etc/aliases"]),
        ("sendmail", ["-bd"], "postfix", ["postfix", "start"]),
        ("sendmail", ["-bl"], "postfix", ["postfix", "start"]),
    ],
)
def test_other_commands_by_another_name(
    run: Case, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str], module: str, called: list[str]
) -> None:
    """Each is called as from the shell."""
    import importlib  # noqa: PLC0415 - only here

    seen: list[list[str]] = []

    def main() -> int:
        seen.append(list(sys.argv))
        return 0

    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(importlib.import_module(f"posthouse.commands.{module}"), "main", main)
    assert run(*words, name=name) == 0
    assert seen == [called]


@pytest.mark.parametrize(
    ("argument", "addresses"),
    [
        ("u@x.test", ["u@x.test"]),
        ("A B <u@x.test>, v", ["u@x.test", "v"]),
        ("us:u@x.test, v@y.test;", ["u@x.test", "v@y.test"]),
        ("u;v@x.test", ["u", "v@x.test"]),
        ("<@a,@b:u@x.test>", ["@a,@b:u@x.test"]),
        ("u@[IPv6:::1]", ["u@[IPv6:::1]"]),
    ],
)
def test_an_argument_is_read_like_a_header(argument: str, addresses: list[str]) -> None:
    """Lists, groups and routes, as Postfix's sendmail reads them."""
    assert sendmail.addresses_of(argument) == addresses
