"""Arguments of MAIL, RCPT and VRFY: what the events hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import Mail, Rcpt, Vrfy
from posthouse.protocol.smtp.grammar import Syntax, parse_mail, parse_rcpt, parse_vrfy
from posthouse.protocol.smtp.paths import CommandWord, parse_path, split_command

SYNTAX = Syntax()


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<a@b.c>", "a@b.c"),
        ("a@b.c", "a@b.c"),
        ("<a@b.c.>", "a@b.c"),
        ('<"a b"@c>', '"a b"@c'),
        ('<"a"@c>', "a@c"),
        ('<"a@b">', "a@b"),
        ("<a@b@c>", '"a@b"@c'),
        ("<@x,@y:a@b>", "a@b"),
        ("<a(comment)@b>", "a@b"),
        ("(x) <a@b> (y)", "a@b"),
        ("Name <a@b>", "a@b"),
        ("<Postmaster>", "Postmaster"),
        ("<a@[IPv6:::1]>", "a@[IPv6:::1]"),
        ("<jürgen@bücher.example>", "jürgen@bücher.example"),
        ("<a@b> <", "a@b"),
        ('<""@c>', '""@c'),
        ('<"a b"%c@d>', '"a b%c"@d'),
        ("<>", None),
        ('<"">', None),
        ("<(x)>", None),
        ("", None),
        ("<@x:>", None),
        ("<@x>", None),
        ("<a@b..c>", None),
        ("<a b@c>", None),
        ("<a@b,c@d>", None),
        ("<a@b;>", None),
        ("a@b c@d", None),
        ("<a\x7f@b>", None),
        ("<" + "a," * 600 + "b@c>", None),
    ],
)
def test_paths(path: str, address: str | None) -> None:
    """One address in external form, or none."""
    assert parse_path(path) == address


def test_null_paths() -> None:
    """The null path counts only where it is allowed."""
    assert parse_path("<>", allow_null=True) == ""
    assert parse_path("< (x) >", allow_null=True) == ""
    assert parse_path("< >", allow_null=True, strict=True) is None
    assert parse_path('<"">', allow_null=True) == ""
    assert parse_path('<"">', allow_null=True, strict=True) == ""
    assert parse_path("", allow_null=True) is None
    assert parse_path("(x)", allow_null=True) is None
    assert parse_path('<""@c>', strict=True) is None


def test_parameters_of_mail() -> None:
    """All of them, decoded."""
    assert parse_mail("FROM:<a@b.c> size=10 Body=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=<>", SYNTAX) == Mail(
        "a@b.c", "<a@b.c>", 10, "8BITMIME", True, "HDRS", "a+b"
    )
    assert parse_mail("from: <@x:a@b.c> SIZE=0", SYNTAX) == Mail("a@b.c", "<@x:a@b.c>", 0)
    assert parse_mail("FROM:<> SIZE=5", SYNTAX) == Mail("", "<>", 5)
    assert parse_mail("FROM:<a@1.2>", SYNTAX) is replies.BAD_SENDER


@pytest.mark.parametrize(
    ("parameter", "reply"),
    [
        ("\u017fIZE=1", replies.unsupported("\u017fIZE=1")),
        ("S\u0131ZE=1", replies.unsupported("S\u0131ZE=1")),
        ("BODY=8B\u0131TMIME", replies.unsupported("BODY=8B\u0131TMIME")),
        ("RET=HDR\u017f", replies.BAD_RET),
        ("\u017fMTPUTF8", replies.unsupported("\u017fMTPUTF8")),
    ],
)
def test_letters_beyond_ascii_stand_for_no_others(parameter: str, reply: replies.Reply) -> None:
    """The upper case of a long s is S, and of a dotless i it is I: not in keywords."""
    assert parse_mail(f"FROM:<a@b.c> {parameter}", SYNTAX) == reply


def test_letters_beyond_ascii_in_parameters_of_rcpt_and_vrfy() -> None:
    """The same there."""
    assert parse_rcpt("TO:<a@b.c> NOTIFY=\u017fUCCESS", SYNTAX) is replies.BAD_NOTIFY
    assert parse_rcpt("TO:<a@b.c> NOT\u0131FY=NEVER", SYNTAX) == replies.unsupported("NOT\u0131FY=NEVER")
    assert parse_vrfy("a@b.c \u017fMTPUTF8", SYNTAX) is replies.BAD_RECIPIENT


@pytest.mark.parametrize("separator", ["\xa0", "\u2003", "\x1c", "\x85"])
def test_only_blanks_separate_parameters(separator: str) -> None:
    """What Unicode calls a space is part of a word, in the plain form and in others."""
    for address in ("<a@b.c>", " <a@b.c>"):
        assert parse_mail(f"FROM:{address} SIZE=1{separator}RET=FULL", SYNTAX) is replies.BAD_SIZE


@pytest.mark.parametrize("address", ["<a@b.c>", " <a@b.c>"])
def test_quotes_mean_nothing_in_parameters(address: str) -> None:
    """Only a blank ends one (RFC 5321 4.1.2), with an address in the plain form and in others."""
    assert parse_rcpt(f'TO:{address} ORCPT=rfc822;a"<\\ NOTIFY=NEVER', SYNTAX) == Rcpt(
        "a@b.c", "<a@b.c>", frozenset({"NEVER"}), 'rfc822;a"<\\'
    )
    assert parse_mail(f'FROM:{address} ENVID="a" \tRET=FULL ', SYNTAX) == Mail(
        "a@b.c", "<a@b.c>", ret="FULL", envid='"a"'
    )
    assert parse_mail(f"FROM:{address} AUTH=<a b>", SYNTAX) == replies.unsupported("b>")


def test_dsn_parameters_where_dsn_is_not_offered() -> None:
    """RET and ENVID are refused by their own words."""
    for parameter in ("RET=FULL", "ENVID=a"):
        assert parse_mail(f"FROM:<a@b.c> {parameter}", Syntax(dsn=False)) is replies.NO_DSN


def test_parameters_of_rcpt() -> None:
    """NOTIFY as a set, ORCPT decoded; control characters in it stay harmless."""
    assert parse_rcpt("TO:<a@b.c> NOTIFY=success,Delay ORCPT=rfc822;x+2By@z", SYNTAX) == Rcpt(
        "a@b.c", "<a@b.c>", frozenset({"SUCCESS", "DELAY"}), "rfc822;x+y@z"
    )
    found = parse_rcpt("TO:<a@b.c> ORCPT=rfc822;x+0D+0AX-Evil:+20y", SYNTAX)
    assert isinstance(found, Rcpt)
    assert found.orcpt == "rfc822;x??X-Evil: y"
    found = parse_rcpt("TO:<a@b.c> ORCPT=utf-8;\\x{E9}\\x{1F600}@b", SYNTAX)
    assert isinstance(found, Rcpt)
    assert found.orcpt == "utf-8;é😀@b"


@pytest.mark.parametrize(
    "value", ["utf-8;\\x{D800}", "utf-8;\\x{FFFFFF}", "utf-8;+4", "utf-8;", "rfc822;é", "a b;c", "x;+00"]
)
def test_bad_original_recipients(value: str) -> None:
    """Surrogates, code points that do not exist, half escapes; a NUL is replaced rather than refused."""
    found = parse_rcpt(f"TO:<a@b.c> ORCPT={value}", SYNTAX)
    if value == "x;+00":
        assert isinstance(found, Rcpt)
        assert found.orcpt == "x;?"
    else:
        assert not isinstance(found, Rcpt)


@pytest.mark.parametrize("path", ["<-a@b.c>", "-a@b.c", '<"-a b"@c>', "<-a>", "< -a@b.c >", "<@x:-a@b.c>"])
def test_addresses_that_look_like_options(path: str) -> None:
    """Refused, unless allow_min_user is set."""
    assert parse_mail(f"FROM:{path}", Syntax(min_user=False)) is replies.BAD_SENDER
    assert parse_rcpt(f"TO:{path}", Syntax(min_user=False)) is replies.BAD_RECIPIENT
    assert isinstance(parse_mail(f"FROM:{path}", SYNTAX), Mail)
    assert isinstance(parse_rcpt(f"TO:{path}", SYNTAX), Rcpt)


def test_vrfy() -> None:
    """An address, and SMTPUTF8 behind it."""
    assert parse_vrfy("alice", SYNTAX) == Vrfy("alice", "alice")
    assert parse_vrfy("<é@b.example> smtputf8", SYNTAX) == Vrfy("é@b.example", "<é@b.example>", smtputf8=True)
    assert parse_vrfy("a b", SYNTAX) is replies.BAD_RECIPIENT
    assert parse_vrfy('"a', SYNTAX) is replies.BAD_RECIPIENT
    assert parse_vrfy("", Syntax(smtputf8=False)) is replies.VRFY_SYNTAX


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mail from:<a@b>", ["mail", "from:", "<a@b>"]),
        ("mail from: <a@b> x", ["mail", "from:", "<a@b>", "x"]),
        ('mail from:<"a b"@c> y', ["mail", "from:", '<"a b"@c>', "y"]),
        ("mail FROM:<a <b> c>", ["mail", "FROM:", "<a <b> c>"]),
        ("a\\ b c", ["a\\ b", "c"]),
        ("a:b", ["a:b"]),
        ("a> b", ["a>", "b"]),
        ("a\\", ["a\\"]),
        ("  ", []),
    ],
)
def test_command_words(line: str, words: list[str]) -> None:
    """Quotes, brackets and backslashes keep words together; "to:" and "from:" end one."""
    assert split_command(line) == [CommandWord(word) for word in words]


@pytest.mark.parametrize("word", ['<"a>', "<a", '"a', '"a <b> c'])
def test_words_without_an_end(word: str) -> None:
    """An open quote or bracket takes the rest of the line and is told."""
    assert split_command(f"to:{word}") == [CommandWord("to:"), CommandWord(word, ok=False)]


@given(st.text(st.sampled_from('<>@:,;."\\()[] aé=+;'), max_size=60), st.booleans())
def test_an_accepted_path_reads_back_as_itself(text: str, strict: bool) -> None:
    """What parse_path returns is stable: as a path in angle brackets it gives the same address."""
    address = parse_path(text, strict=strict)
    if address:
        assert parse_path(f"<{address}>") == address


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("<user@>", "user@"),
        ('<"a b"@>', '"a b"@'),
        ("<user@a.test@>", '"user@a.test"@'),
        ("<user@.>", None),
        ("<>", None),
    ],
)
def test_addresses_without_a_domain(path: str, address: str | None) -> None:
    """With resolve_null_domain they are addresses."""
    assert parse_path(path, null_domain=True) == address
    assert parse_path(path) is None


def test_the_dot_behind_a_single_label_stays() -> None:
    """It says that this is the whole name, so that append_dot_mydomain adds nothing; others go at once."""
    assert parse_path("<user@localhost.>") == "user@localhost."
    assert parse_path("<user@far.test.>") == "user@far.test"
