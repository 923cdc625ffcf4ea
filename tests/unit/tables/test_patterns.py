"""regexp and pcre tables: rules, blocks, replacement, and that no pattern can stall a daemon."""

from pathlib import Path

import pytest

from posthouse.tables.table import Table
from tests.support.lookups import logged, now, opener


def _table(kind: str, *rules: str) -> Table:
    return opener().open(kind + ":{" + ", ".join(f"{{{rule}}}" for rule in rules) + "}")


@pytest.fixture(params=["regexp", "pcre"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both types."""
    return str(request.param)


def test_the_first_rule_that_matches_decides(kind: str) -> None:
    """And case does not matter unless the flag i says so."""
    table = _table(kind, "/^a/ first", "/a/ second", "/^X/i exact")
    assert [now(table.lookup(key)) for key in ("Abc", "bab", "xyz", "Xyz")] == ["first", "second", None, "exact"]


def test_replacement(kind: str) -> None:
    """$1, ${1}, $(1) and $$; a group that took no part is empty."""
    table = _table(kind, "/^(.+)@(x)?(.*)$/ ${3}:$(1) $$2$2")
    assert now(table.lookup("user@example.org")) == "example.org:user $2"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$0", "out of range replacement index"),
        ("${00}", "out of range replacement index"),
        ("$1y", "non-numeric replacement index"),
        ("$1_", "non-numeric replacement index"),
        ("$12345678", "out of range replacement index"),
        ("$0001-y", ""),
        ("${1}y", ""),
    ],
)
def test_what_no_group_is_called(kind: str, text: str, why: str) -> None:
    """$0 is none, and letters and digits behind the dollar sign are one name; such a rule is skipped."""
    with logged() as lines:
        table = _table(kind, f"/^(a)/ x{text}", "/^a/ next")
    assert (why in lines[0]) if why else lines == []
    assert now(table.lookup("a")) == ("next" if why else f"xa{text.lstrip('$01{}')}")


def test_negated_rules(kind: str) -> None:
    """The rule holds where the pattern does not; it cannot refer to groups."""
    with logged() as lines:
        table = _table(kind, "!/a(b)/ $1", "!/a/ no a")
    assert "negative match" in lines[0]
    assert (now(table.lookup("bcd")), now(table.lookup("abc"))) == ("no a", None)


def test_blocks(kind: str) -> None:
    """Rules in if ... endif are tried only where the condition holds; blocks nest."""
    table = _table(kind, "if /@inner/", "if !/^root/", "/./ user", "endif", "/./ root", "endif", "/./ outside")
    keys = ("joe@inner", "root@inner", "joe@outer")
    assert [now(table.lookup(key)) for key in keys] == ["user", "root", "outside"]


def test_mistakes_are_reported_and_skipped(kind: str) -> None:
    """The other rules stay in force."""
    rules = ("/(/ x", "/a/q x", "nonsense", "/open", "/b/ $9", "/b/ $x", "endif", "if /z/", "/z/ never", "/b/ good")
    with logged() as lines:
        table = _table(kind, *rules)
    assert now(table.lookup("b")) is None  # inside of the block that is never closed
    assert now(table.lookup("zb")) == "never"
    assert len(lines) == 8
    assert all(line.startswith(f"warning: {kind} map ") for line in lines)


def test_regexp_may_exclude_in_one_rule() -> None:
    """/one/!/other/: the first but not the second."""
    table = _table("regexp", "/a/!/b/ yes")
    assert (now(table.lookup("ac")), now(table.lookup("abc"))) == ("yes", None)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("(a|ab|abc)", "abcd", "abc"),  # longest, not first
        ("(x*)", "b", ""),
        (r"([[:digit:]]+)\.", "a12.3", "12"),
        (r"([\.]+)", r"a\.b", r"\."),  # in brackets a backslash is itself
        ("([]x]+)", "a]x]b", "]x]"),
        ("(a{,2})b", "aaab", "aa"),
        (r"(\<ab\>)", "x ab y", "ab"),
        ("(a+?)c", "aac", "aa"),  # (a+)?, not "as few as possible"
        ("([^a])b", "a\nb", "\n"),
        ("(.)$", "a\nb", "b"),
        (r"(a)\1", "xaax", "a"),  # a back-reference
        ("(a{1,2000})", "aaa", "aaa"),  # beyond RE2's limit for repetitions
        (r"(\.)", "a.b", "."),
        ("(a)b)", "ab)", "a"),  # an unmatched closing bracket is itself
        ("(é+)", "caféé", "é"),  # octets, as in the C locale
    ],
)
def test_posix_syntax(tmp_path: Path, pattern: str, key: str, expected: str) -> None:
    """Patterns mean what regcomp(3) makes of them."""
    (tmp_path / "map").write_text(f"/{pattern}/ <$1>\n")
    assert now(opener(str(tmp_path)).open("regexp:map").lookup(key)) == f"<{expected}>"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(b", "Unmatched ( or \\("),
        ("a[b", "Unmatched [, [^, [:, [., or [="),
        ("*a", "Invalid preceding regular expression"),
        ("a{2,1}", "Invalid content of \\{\\}"),
        ("[z-a]", "Invalid range end"),
    ],
)
def test_posix_errors(pattern: str, message: str) -> None:
    """Messages are those of regerror(3), which administrators know."""
    with logged() as lines:
        opener().open(f"regexp:{{{{/{pattern}/ x}}}}")
    assert lines[0].endswith(f"line 1: {message}")


def test_basic_expressions() -> None:
    """The flag x turns extended syntax off."""
    table = _table("regexp", r"/^\(a+\)\1$/x basic $1")
    assert (now(table.lookup("a+a+")), now(table.lookup("aaaa"))) == ("basic a+", None)


def test_pcre_flags() -> None:
    """Flags i m s x A E U toggle PCRE2's options."""
    table = _table(
        "pcre",
        "/b c/xi blanks",
        "/^second/m lines",
        "/^(e.*)e/U <$1>",
        "/bb # x/Ax anchored",
        "/end$/E end",
        "/1$/ one",
    )
    keys = ("bc", "first\nsecond", "eaeae", "bbb", "abb", "BC", "end", "end\n", "1\n")
    answers = ["blanks", "lines", "<ea>", "anchored", None, None, "end", None, "one"]
    assert [now(table.lookup(key)) for key in keys] == answers


def test_pcre_errors_count_from_what_was_written() -> None:
    """Not from what the flags added."""
    with logged() as lines:
        _table("pcre", "/ab(/U x")
    assert "error in regex at offset 3: missing closing parenthesis" in lines[0]
