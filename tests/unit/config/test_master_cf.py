"""master.cf: entries, their options, and what is wrong with them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.commands.postconf_master import fold_entry
from posthouse.config.level import CompatLevel
from posthouse.config.master_cf import (
    FIELDS,
    TYPES,
    FieldError,
    Service,
    format_argument,
    format_columns,
    format_service,
    parse_master_cf,
    parse_service,
    read_master_cf,
)
from posthouse.util.errors import ConfigError

SAMPLE = b"""\
# service type  private unpriv  chroot  wakeup  maxproc command
smtp      inet  n       -       y       -       -       smtpd
pickup    unix  n       -       -       60      1       pickup
flush     unix  n       y       n       1000?   0       flush
relay     unix  -       n       y       -       -       smtp
        -o syslog_name=postfix/$service_name
#       -o smtp_helo_timeout=5
        -v -o { smtp_fallback_relay = a, b } -vvo x=y
uucp      unix  -       n       n       -       5       pipe
  flags=Fqhu user=uucp argv=uux -r -o { a b } -z $sender
"""


def one(text: str) -> Service:
    """Parse one entry."""
    return parse_service(text)[0]


def test_entries_become_records() -> None:
    """Every column has its meaning and default."""
    smtp, pickup, flush, relay, uucp = parse_master_cf(SAMPLE, "master.cf").services
    assert (smtp.name, smtp.type, smtp.private, smtp.unprivileged, smtp.chroot) == ("smtp", "inet", False, True, True)
    assert (smtp.wakeup_s, smtp.process_limit, smtp.program, smtp.line) == (0, None, "smtpd", 2)
    assert (pickup.chroot, pickup.wakeup_s, pickup.wakeup_only_if_used, pickup.process_limit) == (None, 60, False, 1)
    assert (flush.wakeup_s, flush.wakeup_only_if_used, flush.process_limit) == (1000, True, 0)
    assert (relay.private, relay.unprivileged, relay.verbosity, relay.key) == (True, False, 3, ("relay", "unix"))
    assert relay.overrides == (
        ("syslog_name", "postfix/$service_name"),
        ("smtp_fallback_relay", "a, b"),
        ("x", "y"),
    )
    assert relay.plain_arguments == ()
    assert uucp.overrides == ()
    assert uucp.plain_arguments == ("flags=Fqhu", "user=uucp", "argv=uux", "-r", "-o", "a b", "-z", "$sender")
    assert CompatLevel(1) > CompatLevel(0)


@pytest.mark.parametrize(
    ("arguments", "normalized"),
    [
        ("-voaaa=bbb", ("-v", "-o", "aaa=bbb")),
        ("-vo ccc=$aaa -v", ("-v", "-o", "ccc=$aaa", "-v")),
        ("-stuffobb=cc dd", ("-stuff", "-o", "bb=cc", "dd")),
        ("-o {x} -", ("-o", "x", "-")),
        ("-- -o a=b", ("--", "-o", "a=b")),
        ("-o", ("-o",)),
        ("x {} {a}", ("x", "", "a")),
        ("{a}b{c} d", ("a", "d")),
        ("-o { a = b }{c} -o {d=e}", ("-o", "a=b", "-o", "d=e")),
    ],
)
def test_options_are_taken_apart(arguments: str, normalized: tuple[str, ...]) -> None:
    """Clusters, joined values and braces all come out alike."""
    assert one(f"a unix - - - - - b {arguments}").arguments == normalized


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("foo udp - - - - - x", 'invalid type field "udp" in "foo udp - - - - - x"'),
        ("foo unix X - - - - x", 'invalid private field "X" in "foo unix X - - - - x"'),
        ("foo unix - X - - - x", 'invalid unprivileged field "X" in "foo unix - X - - - x"'),
        ("foo unix - - X - - x", 'invalid chroot field "X" in "foo unix - - X - - x"'),
        ("foo unix - - - 1x - x", 'invalid wakeup field "1x" in "foo unix - - - 1x - x"'),
        ("foo unix - - - - ? x", 'invalid process_limit field "?" in "foo unix - - - - ? x"'),
    ],
)
def test_a_wrong_column_is_named(entry: str, message: str) -> None:
    """Postfix's words, and what would be right."""
    with pytest.raises(FieldError) as caught:
        parse_service(entry)
    assert caught.value.plain == message
    assert "; write " in str(caught.value)


def test_too_few_columns_stop_with_file_and_line() -> None:
    """The message tells the columns."""
    with pytest.raises(
        ConfigError, match=r"^master\.cf:3: bad field count: 2 instead of 8; an entry is: service, type"
    ):
        parse_master_cf(b"#\n\nsmtp inet\n", "master.cf")


def test_odd_entries_are_told_and_read_on() -> None:
    """Braces that do not fit, an entry twice, a continuation of nothing."""
    data = b" -o a=b\nfoo unix - - - - - x { a b }y\nfoo unix - - - - - x { a b\nbar unix - - - - - x -o {y}\n"
    master = parse_master_cf(data, "master.cf")
    assert [(problem.line, problem.why.partition(" in ")[0]) for problem in master.problems] == [
        (1, "a continuation line stands before any service"),
        (2, "syntax error after '}'"),
        (3, "missing '}'"),
        (3, 'service "foo unix" is also on line 2; the later one counts'),
        (4, "missing '=' after attribute name: \"y\""),
    ]
    assert [service.line for service in master.effective()] == [3, 4]


def test_reading_a_directory(tmp_path: Path) -> None:
    """No master.cf is fine; one that cannot be read is not."""
    assert not read_master_cf(str(tmp_path)).exists
    (tmp_path / "master.cf").write_bytes(SAMPLE)
    assert len(read_master_cf(str(tmp_path)).services) == 5
    (tmp_path / "master.cf").unlink()
    (tmp_path / "master.cf").mkdir()
    with pytest.raises(ConfigError, match="cannot read it: Is a directory"):
        read_master_cf(str(tmp_path))


def test_long_columns_push_the_next_ones() -> None:
    """Columns stand at fixed places as long as they fit."""
    assert format_service(one("postlog unix-dgram n - n - 1 postlogd")) == (
        "postlog    unix-dgram n  -       n       -       1       postlogd"
    )


WORDS = st.text(alphabet="abc$/=.", min_size=1, max_size=6)
ARGUMENTS = st.one_of(WORDS, st.lists(WORDS, min_size=2, max_size=3).map(" ".join))
OVERRIDES = st.tuples(
    st.text(alphabet="abc_", min_size=1, max_size=4), st.text(alphabet="ab $", max_size=5).map(str.strip)
)


@given(
    st.tuples(
        WORDS,
        st.sampled_from(TYPES),
        st.sampled_from("yn-"),
        st.sampled_from("yn-"),
        st.sampled_from("yn-"),
        st.sampled_from(["-", "60", "1000?"]),
        st.sampled_from(["-", "0", "12"]),
        WORDS,
    ),
    st.lists(OVERRIDES, max_size=3),
    st.lists(ARGUMENTS, max_size=3),
)
def test_entries_read_back(columns: tuple[str, ...], overrides: list[tuple[str, str]], plain: list[str]) -> None:
    """Format and parse are inverse."""
    options = [word for name, value in overrides for word in ("-o", f"{name}={value}")]
    service = Service(columns, (*options, *plain), tuple(overrides), 0)
    assert parse_service(format_service(service)) == (service, ())
    assert len(columns) == len(FIELDS)


@given(st.lists(OVERRIDES, max_size=4), st.lists(ARGUMENTS, max_size=30))
def test_folded_entries_read_back(overrides: list[tuple[str, str]], plain: list[str]) -> None:
    """As -Mf shows them and as an edit writes them; no line is longer than it has to be."""
    options = [word for name, value in overrides for word in ("-o", f"{name}={value}")]
    service = Service(("a", "unix", "-", "-", "-", "-", "-", "b"), (*options, *plain), tuple(overrides), 0)
    folded = fold_entry(format_columns(service.columns), [format_argument(word) for word in service.arguments])
    assert parse_master_cf((folded + "\n").encode(), "x").services == (service._replace(line=1),)
    assert all(len(line) < 80 for line in folded.splitlines())
