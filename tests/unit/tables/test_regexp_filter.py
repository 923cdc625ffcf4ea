"""Many patterns in one regexp table: the filter leaves out what cannot match, and nothing else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.tables import regexp
from posthouse.tables.regexp import Regexp
from tests.support.lookups import logged, opener

WORDS = ("viagra", "cash", "win", "free", "x", "münchen", "ab", "SUBJECT", "a.b", "q")


def _table(rules: list[str]) -> Regexp:
    table = opener().open("regexp:{" + ", ".join(f"{{{rule}}}" for rule in rules) + "}")
    assert isinstance(table, Regexp)
    return table


@pytest.fixture
def always_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filter even a single pattern."""
    monkeypatch.setattr(regexp, "_WORTH_FILTERING", 1)


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
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("".join)


@st.composite
def rule_files(draw: st.DrawFn) -> list[str]:
    """Rules with flags and negation, blocks, back-references."""
    lines, depth = list[str](), 0
    for place in range(draw(st.integers(1, 25))):
        pattern, flags = draw(PATTERNS).replace("\\\\", "\\"), draw(st.sampled_from(["", "", "i", "m", "x"]))
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
            exception = draw(st.sampled_from(["", "", "", "!/cash/"]))
            lines.append(f"{condition}{exception} {place}")
    return lines + ["endif"] * depth


TEXTS = st.lists(st.sampled_from([*WORDS, " ", "Ü", "\n", "aa", "1", "\udcff", "CASH", "K"]), max_size=12).map("".join)


@settings(max_examples=150)
@given(rule_files(), st.lists(TEXTS, min_size=1, max_size=8))
@pytest.mark.usefixtures("always_filter")
def test_the_filter_changes_no_answer(rules: list[str], texts: list[str]) -> None:
    """The same rules, filtered and one by one."""
    with logged():
        table = _table(rules)
    for text in texts:
        key = text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        filtered = table._find(key)
        kept, table._filter = table._filter, None
        assert table._find(key) == filtered
        table._filter = kept


def test_few_patterns_are_tried_of_many() -> None:
    """Counted, not timed: a thousand patterns, and a text that none or one of them can match."""
    generator = random.Random(3)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(1000)]
    table = _table([f"/^Subject:.*{word}/ REJECT {word}" for word in words])
    assert table._filter is not None
    assert table._filter.candidates(b"Subject: an ordinary one") == []
    assert table._filter.candidates(f"subject: buy {words[700].upper()}".encode()) == [700]
    assert table.get(f"Subject: {words[999]} and {words[3]}") == f"REJECT {words[3]}"
    assert table.get("Subject: nothing of it") is None


@pytest.mark.usefixtures("always_filter")
def test_patterns_without_words_are_always_tried() -> None:
    """Negated ones, and those that need nothing, or nothing that is ASCII."""
    table = _table(["/^[0-9]+$/ number", "!/a/ no a", "/ü/ umlaut", "/^abc/ word"])
    assert table._filter is not None
    assert table._filter.candidates(b"zzz") == [0, 1, 2]
    assert [table.get(key) for key in ("12", "zzz", "aü", "abca", "axa")] == ["number", "no a", "umlaut", "word", None]


@pytest.mark.usefixtures("always_filter")
def test_a_filter_that_finds_nothing_any_more_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 does not say when it has run out of memory; the word behind each text does."""

    class Silent:
        def Match(self, text: bytes, *, potential: bool) -> None:  # noqa: N802 - RE2's name
            return None

    table = _table(["/abc/ one", "/def/ two"])
    assert table._filter is not None
    monkeypatch.setattr(table._filter, "_filter", Silent())
    assert (table.get("xdefx"), table.get("y")) == ("two", None)
