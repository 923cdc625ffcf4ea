"""Whom runas becomes, and whom never."""

import pytest

from posthouse.ipc.orders_wire import RunasRule
from posthouse.ipc.runas_wire import Job, JobKind, Limits
from posthouse.runas.server import permitted

LIMITS = Limits(own_uids=(101, 103), own_gids=(102, 104), denied_groups=(6, 42))
LOCAL = RunasRule(JobKind.MAILBOX | JobKind.COMMAND, minimum=1)
VIRTUAL = RunasRule(JobKind.MAILBOX, minimum=100)
PIPE = RunasRule(JobKind.PIPE, 1, 900, 901)


def _job(kind: JobKind = JobKind.MAILBOX, uid: int = 1000, gid: int = 1000) -> Job:
    return Job(kind, 1, uid, gid)


@pytest.mark.parametrize(
    ("rule", "job"),
    [
        (LOCAL, _job()),
        (LOCAL, _job(JobKind.COMMAND)),
        (LOCAL, _job(uid=8, gid=8)),
        (LOCAL, _job(uid=102, gid=101)),
        (VIRTUAL, _job(uid=100)),
        (PIPE, _job(JobKind.PIPE, 900, 901)),
    ],
)
def test_what_the_rule_says_is_done(rule: RunasRule, job: Job) -> None:
    """Users from the minimum on, kinds of the service, and the configured user of a pipe."""
    assert permitted(rule, job, LIMITS)


@pytest.mark.parametrize(
    ("rule", "job"),
    [
        (LOCAL, _job(uid=0)),
        (LOCAL, _job(gid=0)),
        (LOCAL, _job(uid=101)),
        (LOCAL, _job(gid=102)),
        (LOCAL, _job(gid=6)),
        (LOCAL, _job(gid=42)),
        (LOCAL, _job(JobKind.PIPE)),
        (VIRTUAL, _job(JobKind.COMMAND)),
        (VIRTUAL, _job(uid=99)),
        (PIPE, _job(JobKind.PIPE)),
        (PIPE, _job(JobKind.PIPE, 900, 900)),
        (RunasRule(), _job()),
    ],
)
def test_everything_else_is_refused(rule: RunasRule, job: Job) -> None:
    """Root, our own users and groups, groups as good as root, ids below the minimum, kinds of other services."""
    assert not permitted(rule, job, LIMITS)
