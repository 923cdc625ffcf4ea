"""Many patterns in one regexp or pcre table: the filter leaves out what cannot match, and nothing else."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.tables import patterns
from posthouse.tables.pattern_filter import words_of
from posthouse.tables.patterns import PatternTable
from tests.support.lookups import logged, opener

WORDS = ("viagra", "cash", "win", "free", "x", "münchen", "ab", "SUBJECT", "a.b", "q")


def _table(kind: str, rules: list[str]) -> PatternTable:
    table = opener().open(kind + ":{" + ", ".join(f"{{{rule}}}" for rule in rules) + "}")
    assert isinstance(table, PatternTable)
    return table


@pytest.fixture
def always_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filter even a single pattern."""
    monkeypatch.setattr(patterns, "WORTH_IT", 1)


PIECES = st.sampled_from(
    [
        *WORDS,
        ".*",
        ".",
        "[a-z]",
        "[0-9]+",
        "(cash|win)",
        "(free)?",
        "^",
        "$",
        "\\\\b",
        "x{2,3}",
        "(a|b)*",
        "[[:alpha:]]+",
    ]
)
PERL = st.sampled_from(
    [
        "(?i)",
        "(?=f)",
        "(?!cash)",
        "\\d",
        "\\s",
        "\\.",
        "k+?",
        "(?:win|ks)",
        "\\x41",
        "\\Qa.b\\E",
        "ab{2}",
        "[^a-m]",
        "[]q]",
    ]
)
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
PERL_PATTERNS = st.lists(PIECES | PERL, min_size=1, max_size=4).map("".join)


@st.composite
def rule_files(draw: st.DrawFn, kind_of_table: str) -> list[str]:
    """Rules with flags and negation, blocks, back-references."""
    patterns = PATTERNS if kind_of_table == "regexp" else PERL_PATTERNS
    lines, depth = list[str](), 0
    for place in range(draw(st.integers(1, 25))):
        pattern, flags = draw(patterns).replace("\\\\", "\\"), draw(st.sampled_from(["", "", "i", "m", "x"]))
        pattern += draw(st.sampled_from(["", "", "", "(a)\\1"])) if "x" not in flags else ""
        kind = draw(st.sampled_from(["rule", "rule", "rule", "if", "endif"]))
        condition = draw(st.sampled_from(["", "", "", "!"])) + f"/{pattern}/{flags}"
        if kind == "if" and depth < 3:
            depth += 1
            lines.append(f"if {condition}")
        elif kind == "endif" and depth:
            depth -= 1
            lines.append("endif")
        else:
            exception = draw(st.sampled_from(["", "", "", "!/cash/"])) if kind_of_table == "regexp" else ""
            lines.append(f"{condition}{exception} {place}")
    return lines + ["endif"] * depth


TEXTS = st.lists(
    # U+017F and U+212A are folded to "s" and "k"
    st.sampled_from([*WORDS, " ", "Ü", "\n", "aa", "1", "CASH", "win\u017f", "\u212as", "A", "f", "bb"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), texts=st.lists(TEXTS, min_size=1, max_size=8))
@pytest.mark.usefixtures("always_filter")
def test_the_filter_changes_no_answer(kind: str, data: st.DataObject, texts: list[str]) -> None:
    """The same rules, filtered and one by one."""
    rules = data.draw(rule_files(kind))
    with logged():
        table = _table(kind, rules)
    for text in texts:
        filtered = table.get(text)
        kept, table._filter = table._filter, None
        assert table.get(text) == filtered
        table._filter = kept


@pytest.mark.parametrize(
    "pattern", ["abc", r"^Subject:.*\bfree\s+(cash|win)[0-9]{2,3}$", r"a\.b\/c@", "[^]x]y*?", "(?:a|b)+c"]
)
def test_patterns_that_read_the_same_everywhere_are_filtered(pattern: str) -> None:
    """Most of what administrators write."""
    assert words_of(pattern.encode()) == b"(?si)" + pattern.encode()


@pytest.mark.parametrize(
    "pattern",
    [
        r"\x41",
        r"\Qa\E",
        "(?i)a",
        "(?!a)b",
        "(*UTF)a",
        "a++",
        "a{,3}",
        r"(a)\1",
        "ü",
        r"[\x41]",
        "[[a]",
        r"\o{101}",
        r"\ca",
        "(?#x)a",
    ],
)
def test_patterns_that_might_not_are_always_tried(pattern: str) -> None:
    """Escapes for characters, options, assertions, verbs, possessive operators, octets beyond ASCII."""
    assert words_of(pattern.encode()) is None


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_few_patterns_are_tried_of_many(kind: str) -> None:
    """Counted, not timed: a thousand patterns, and a text that none or one of them can match."""
    generator = random.Random(3)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(1000)]
    table = _table(kind, [f"/^Subject:.*{word}/ REJECT {word}" for word in words])
    assert table._filter is not None
    assert table._filter.candidates(b"Subject: an ordinary one") == []
    assert table._filter.candidates(f"subject: buy {words[700].upper()}".encode()) == [700]
    assert table.get(f"Subject: {words[999]} and {words[3]}") == f"REJECT {words[3]}"
    assert table.get("Subject: nothing of it") is None


@pytest.mark.usefixtures("always_filter")
def test_patterns_without_words_are_always_tried() -> None:
    """Negated ones, and those that need nothing, or nothing that is ASCII."""
    table = _table("regexp", ["/^[0-9]+$/ number", "!/a/ no a", "/ü/ umlaut", "/^abc/ word"])
    assert table._filter is not None
    assert table._filter.candidates(b"zzz") == [0, 1, 2]
    assert [table.get(key) for key in ("12", "zzz", "aü", "abca", "axa")] == ["number", "no a", "umlaut", "word", None]


@pytest.mark.usefixtures("always_filter")
def test_a_filter_that_finds_nothing_any_more_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 does not say when it has run out of memory; the word behind each text does."""

    class Silent:
        def Match(self, text: bytes, *, potential: bool) -> None:  # noqa: N802 - RE2's name
            return None

    table = _table("regexp", ["/abc/ one", "/def/ two"])
    assert table._filter is not None
    monkeypatch.setattr(table._filter, "_filter", Silent())
    assert (table.get("xdefx"), table.get("y")) == ("two", None)
