"""What is asked of runas(8), root's helper that becomes a recipient: fixed records on SOCK_SEQPACKET pairs.

Two conversations. master → runas: LIMITS first, then one CLIENT with a descriptor for each process of a service that
may ask. A process → runas, on that descriptor: a JOB with a descriptor; the answer is an ANSWER. Both ends are here.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from posthouse.ipc.orders_wire import MAX_DENIED, MAX_GROUPS, RunasRule

_LIMITS: Final = struct.Struct("!4sBBxx16I32I")  # own uids and gids, denied groups
_CLIENT: Final = struct.Struct("!4sB3xIII")
_JOB: Final = struct.Struct("!4sBBxxIII16I")
_ANSWER: Final = struct.Struct("!4sB3xII")
LIMITS_SIZE: Final = _LIMITS.size
CLIENT_SIZE: Final = _CLIENT.size
JOB_SIZE: Final = _JOB.size
ANSWER_SIZE: Final = _ANSWER.size
MAX_OWN: Final = 16
_MAX_ID: Final = 2**32 - 2  # -1 means "unchanged" to setresuid(2)


class JobKind(IntFlag):
    """What the child will do as somebody else; the rule of a service says which it may ask."""

    MAILBOX = 1  # deliver to files of the user, read .forward and :include:
    COMMAND = 2  # run a command for the user
    PIPE = 4  # the command of a pipe transport
    SPAWN = 8  # the command of a spawn service


class Verdict(IntEnum):
    """The answer to a job."""

    STARTED = 0
    REFUSED = 1  # this identity or kind is not allowed: asking again does not help
    BUSY = 2  # too many children now: try again later


@dataclass(frozen=True, slots=True)
class Limits:
    """Whom runas never becomes: our own users and groups; and groups it gives to nobody."""

    own: frozenset[int]
    denied_groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Job:
    """One request: become this user and serve the descriptor that comes with it."""

    kind: JobKind
    number: int  # comes back in the answer
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a job; pid 0 when nothing was started."""

    verdict: Verdict
    number: int
    pid: int = 0


def _pad(values: tuple[int, ...], size: int) -> tuple[int, ...]:
    return (*values, *([0] * (size - len(values))))


def _unpack(layout: struct.Struct, magic: bytes, record: bytes) -> tuple[int, ...]:
    if len(record) != layout.size or record[:4] != magic:
        raise ValueError("runas record: wrong size or version")
    return layout.unpack(record)[1:]


def format_limits(limits: Limits) -> bytes:
    """Pack the limits."""
    own, denied = tuple(sorted(limits.own)), tuple(sorted(limits.denied_groups))
    return _LIMITS.pack(b"PRL1", len(own), len(denied), *_pad(own, MAX_OWN), *_pad(denied, MAX_DENIED))


def parse_limits(record: bytes) -> Limits:
    """Unpack the limits. Raises ValueError."""
    owns, denies, *numbers = _unpack(_LIMITS, b"PRL1", record)
    if owns > MAX_OWN or denies > MAX_DENIED:
        raise ValueError("runas limits: count out of range")
    return Limits(frozenset(numbers[:owns]), frozenset(numbers[MAX_OWN : MAX_OWN + denies]))


def format_client(rule: RunasRule) -> bytes:
    """Pack the rule of a client; its socket comes with the record and is all that identifies it."""
    return _CLIENT.pack(b"PRC1", rule.kinds, rule.minimum, rule.uid, rule.gid)


def parse_client(record: bytes) -> RunasRule:
    """Unpack the rule of a client. Raises ValueError."""
    return RunasRule(*_unpack(_CLIENT, b"PRC1", record))


def format_job(job: Job) -> bytes:
    """Pack a job; of more than 16 groups the first 16 count."""
    groups = job.groups[:MAX_GROUPS]
    head = (b"PRJ1", job.kind, len(groups), job.number, job.uid, job.gid)
    return _JOB.pack(*head, *_pad(groups, MAX_GROUPS))


def parse_job(record: bytes) -> Job:
    """Unpack a job. Raises ValueError: unknown kind, impossible number."""
    kind, count, number, uid, gid, *groups = _unpack(_JOB, b"PRJ1", record)
    if kind not in tuple(JobKind) or count > MAX_GROUPS or max(uid, gid, *groups) > _MAX_ID:
        raise ValueError("runas job: kind or number out of range")
    return Job(JobKind(kind), number, uid, gid, tuple(groups[:count]))


def format_answer(answer: Answer) -> bytes:
    """Pack an answer."""
    return _ANSWER.pack(b"PRA1", answer.verdict, answer.number, answer.pid)


def parse_answer(record: bytes) -> Answer:
    """Unpack an answer. Raises ValueError."""
    verdict, number, pid = _unpack(_ANSWER, b"PRA1", record)
    return Answer(Verdict(verdict), number, pid)
