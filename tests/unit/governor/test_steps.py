"""Which steps at which level: the table in docs/reliability.md is this one."""

import re
from pathlib import Path

from posthouse.governor import conditions as c
from posthouse.governor.level import Level
from posthouse.governor.steps import TABLE, Measures, Step, describe, in_force, steps_of, why_no_sessions

ROOT = Path(__file__).resolve().parents[3]


def test_levels_add_up() -> None:
    """What is done when strained goes on when critical."""
    for condition in TABLE:
        before: set[Step] = set()
        for level in Level:
            now = set(steps_of(condition, level))
            assert before <= now
            before = now
    assert not steps_of(c.QUEUE_SPACE, Level.NORMAL)


def test_a_full_queue_disk_refuses_mail_and_no_sessions() -> None:
    """RFC 5321 4.5.3.1.10: 452 to MAIL; whoever is connected can still read why."""
    measures = Measures.of({c.QUEUE_SPACE: Level.CRITICAL})
    assert measures.refuse_mail
    assert measures.small_messages
    assert measures.slow_intake
    assert not measures.refuse_sessions
    assert not measures.stress
    assert measures.content_share == 1.0


def test_short_memory_shrinks_first_and_refuses_sessions_last() -> None:
    """Half the content, none of it, shorter sessions, none at all."""
    assert Measures.of({c.MEMORY: Level.BUSY}) == Measures(content_share=0.5)
    strained = Measures.of({c.MEMORY: Level.STRAINED})
    assert (strained.content_share, strained.stress, strained.fewer_sessions) == (0.0, True, True)
    assert not strained.refuse_sessions
    assert Measures.of({c.MEMORY: Level.CRITICAL}).refuse_sessions == "out of memory"
    assert not Measures.of({c.MEMORY: Level.CRITICAL}).refuse_mail


def test_a_full_mailbox_disk_stops_no_intake() -> None:
    """Mail for it waits in the queue; the postmaster is told."""
    levels = {f"{c.MAILBOX_SPACE}:/var/mail": Level.CRITICAL, c.CERTIFICATE + ":/x": Level.CRITICAL}
    assert Measures.of(levels) == Measures()
    assert in_force(levels) == (Step.WARN,)


def test_nothing_is_nothing() -> None:
    """At rest nothing is done."""
    assert Measures.of(dict.fromkeys(TABLE, Level.NORMAL)) == Measures()
    assert why_no_sessions({}) == ""
    assert describe(()) == "nothing"


def test_refusals_are_announced() -> None:
    """Whatever refuses has told the postmaster one level before."""
    for condition, rows in TABLE.items():
        refusing = {Step.REFUSE_MAIL, Step.REFUSE_SESSIONS}
        for level, steps in rows.items():
            if refusing & set(steps):
                assert Step.WARN in steps_of(condition, Level(level - 1)), condition


def test_every_condition_has_steps_and_words() -> None:
    """None is watched for nothing."""
    assert set(TABLE) == set(c.WORDS)


def test_the_documentation_has_the_same_table() -> None:
    """docs/reliability.md, row by row."""
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", text, re.MULTILINE))
    for condition, at in TABLE.items():
        expected = " | ".join(describe(at[level]) if level in at else "" for level in list(Level)[1:])
        assert rows[condition] == expected, condition
