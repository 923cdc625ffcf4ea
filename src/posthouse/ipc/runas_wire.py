"""What is asked of runas(8), root's helper that becomes a recipient: fixed records on SOCK_SEQPACKET pairs.

Two conversations. master → runas: LIMITS first, then one RULE with a descriptor for each process of a service that
may ask. A process → runas, on that descriptor: a JOB with a descriptor; the answer is an ANSWER. Both ends are here.
"""

from enum import IntEnum, IntFlag
from typing import Annotated, Final, NamedTuple

from posthouse.ipc.fixed import Layout, Number
from posthouse.ipc.orders_wire import MAX_DENIED, MAX_GROUPS, MAX_ID, RUNAS_RULE, between

MAX_OWN: Final = 16


# What the child will do as somebody else; the rule of a service says which it may ask. MAILBOX: deliver to files of the
# user, read .forward and :include:. COMMAND: run a command for the user. PIPE, SPAWN: the command of such a service.
JobKind = IntFlag("JobKind", "MAILBOX COMMAND PIPE SPAWN")

# The answer to a job. REFUSED: this identity or kind is not allowed, asking again does not help. BUSY: too many
# children now, try again later.
Verdict = IntEnum("Verdict", "STARTED REFUSED BUSY", start=0)


def one_kind(number: int) -> JobKind:
    """Let exactly one kind pass. Raises ValueError."""
    if number not in tuple(JobKind):
        raise ValueError("no such job")
    return JobKind(number)


_possible = between(0, MAX_ID)
_Someone = Annotated[int, "I", _possible]
_Own = Annotated[tuple[int, ...], f"{MAX_OWN}I"]


class Limits(NamedTuple):
    """Whom runas never becomes: our own users and groups; and groups it gives to nobody."""

    own_uids: _Own
    own_gids: _Own
    denied_groups: Annotated[tuple[int, ...], f"{MAX_DENIED}I"]


class Job(NamedTuple):
    """One request: become this user and serve the descriptor that comes with it."""

    kind: Annotated[JobKind, "B", one_kind]
    number: Number  # comes back in the answer
    uid: _Someone
    gid: _Someone
    groups: Annotated[tuple[int, ...], f"{MAX_GROUPS}I", _possible] = ()


class Answer(NamedTuple):
    """What became of a job; pid 0 when nothing was started."""

    verdict: Annotated[Verdict, "B", Verdict]
    number: Number
    pid: Number = 0


LIMITS: Final = Layout(Limits, b"PRl1")
RULE: Final = RUNAS_RULE
JOB: Final = Layout(Job, b"PRj1")
ANSWER: Final = Layout(Answer, b"PRa1")
