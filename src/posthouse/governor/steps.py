"""What is done at which level of which condition. A level's steps come on top of those of the levels below it.

Delivery is never slowed down or stopped: it is what frees space, memory and descriptors.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posthouse.governor import conditions as c
from posthouse.governor.level import Level


class Step(Enum):
    """One measure; the value is what the log and `posthouse status` say."""

    SHRINK = "half the content memory"
    DROP = "no content kept in memory, caches emptied"
    SHORT_SESSIONS = "stress=yes for new sessions"
    FEWER_SESSIONS = "half the sessions"
    SLOW_INTAKE = "in_flow_delay while mail comes faster than it goes"
    SMALL_MESSAGES = "large messages put off with 452 4.3.1"
    REFUSE_MAIL = "mail put off with 452 4.3.1"
    REFUSE_SESSIONS = "new sessions put off with 421 4.3.2"
    WARN = "the postmaster is told"


_DISK: Final = {
    Level.STRAINED: (Step.SLOW_INTAKE, Step.SMALL_MESSAGES, Step.WARN),
    Level.CRITICAL: (Step.REFUSE_MAIL,),
}
_SESSIONS: Final = {
    Level.STRAINED: (Step.SHORT_SESSIONS, Step.FEWER_SESSIONS, Step.WARN),
    Level.CRITICAL: (Step.REFUSE_SESSIONS,),
}
TABLE: Final[Mapping[str, Mapping[Level, tuple[Step, ...]]]] = {
    c.QUEUE_SPACE: _DISK,
    c.QUEUE_INODES: _DISK,
    c.MAILBOX_SPACE: {Level.STRAINED: (Step.WARN,)},
    c.MAILBOX_INODES: {Level.STRAINED: (Step.WARN,)},
    c.MEMORY: {
        Level.BUSY: (Step.SHRINK,),
        Level.STRAINED: (
            Step.DROP,
            Step.SHORT_SESSIONS,
            Step.FEWER_SESSIONS,
            Step.SLOW_INTAKE,
            Step.SMALL_MESSAGES,
            Step.WARN,
        ),
        Level.CRITICAL: (Step.REFUSE_SESSIONS,),
    },
    c.MEMORY_PRESSURE: {
        Level.BUSY: (Step.SHRINK,),
        Level.STRAINED: (Step.DROP, Step.SHORT_SESSIONS, Step.FEWER_SESSIONS, Step.WARN),
        Level.CRITICAL: (Step.REFUSE_SESSIONS,),
    },
    c.IO_PRESSURE: {Level.STRAINED: (Step.SLOW_INTAKE, Step.WARN)},
    c.DESCRIPTORS: _SESSIONS,
    c.PROCESSES: _SESSIONS,
    c.LOOP_DELAY: {Level.STRAINED: (Step.SHORT_SESSIONS, Step.SLOW_INTAKE)},
    c.QUEUE_AGE: {Level.BUSY: (Step.SLOW_INTAKE,), Level.STRAINED: (Step.WARN,)},
    c.SERVICES: {Level.STRAINED: (Step.WARN,)},
    c.CERTIFICATE: {Level.BUSY: (Step.WARN,)},
}
REASONS: Final = {  # what a client is told with 421 4.3.2
    c.MEMORY: "out of memory",
    c.MEMORY_PRESSURE: "out of memory",
    c.DESCRIPTORS: "out of file descriptors",
    c.PROCESSES: "too many processes",
}


def steps_of(condition: str, level: Level) -> tuple[Step, ...]:
    """Give the steps of one condition, those of lower levels first."""
    rows = TABLE.get(condition, {})
    return tuple(dict.fromkeys(step for at in Level if at <= level for step in rows.get(at, ())))


def in_force(levels: Mapping[str, Level]) -> tuple[Step, ...]:
    """Give all steps for the levels of all conditions (keys may name places), in the order of Step."""
    wanted = {step for key, level in levels.items() for step in steps_of(c.kind_of(key)[0], level)}
    return tuple(step for step in Step if step in wanted)


def why_no_sessions(levels: Mapping[str, Level]) -> str:
    """Say why new sessions are refused; "": they are not."""
    for key, level in levels.items():
        condition = c.kind_of(key)[0]
        if Step.REFUSE_SESSIONS in steps_of(condition, level):
            return REASONS[condition]
    return ""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the daemons are to do, made from the steps."""

    content_share: float = 1.0  # of the memory that qmgr may keep content in
    stress: bool = False
    fewer_sessions: bool = False
    slow_intake: bool = False
    small_messages: bool = False
    refuse_mail: bool = False
    refuse_sessions: str = ""  # why; "" for no

    @classmethod
    def of(cls, levels: Mapping[str, Level]) -> "Measures":
        """Turn levels into what is to be done."""
        steps = set(in_force(levels))
        return cls(
            content_share=0.0 if Step.DROP in steps else 0.5 if Step.SHRINK in steps else 1.0,
            stress=Step.SHORT_SESSIONS in steps,
            fewer_sessions=Step.FEWER_SESSIONS in steps,
            slow_intake=Step.SLOW_INTAKE in steps,
            small_messages=Step.SMALL_MESSAGES in steps,
            refuse_mail=Step.REFUSE_MAIL in steps,
            refuse_sessions=why_no_sessions(levels),
        )


def describe(steps: Iterable[Step]) -> str:
    """Name steps in one line."""
    return "; ".join(step.value for step in steps) or "nothing"
