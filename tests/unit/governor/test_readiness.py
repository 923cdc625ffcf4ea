"""Readiness: which words of the governor mean that mail is put off."""

from typing import Final

import pytest

from posthouse.governor.readiness import why_refused
from posthouse.governor.steps import Step
from posthouse.ipc.governor import Picture
from posthouse.ipc.record import replace

WELL: Final = Picture(1, 0, 0.0, [], [], {"queue_free": 2_000_000.0, "queue_refusal": 1_500_000.0, "draining": 0.0}, [])


@pytest.mark.parametrize("step", Step)
def test_only_refusals_make_it_unready(step: Step) -> None:
    """Slower intake, fewer sessions, no large messages: mail is taken still."""
    refuses = step in (Step.REFUSE_MAIL, Step.REFUSE_SESSIONS)
    assert why_refused(replace(WELL, steps=[step.value], level=3)) == ([step.value] if refuses else [])


def test_postfix_rule_holds_without_steps() -> None:
    """resource_control = warn: at the threshold, not above it; said once when the step says it."""
    short = replace(WELL, numbers={**WELL.numbers, "queue_free": 1_500_000.0})
    assert why_refused(short) == ["1.4 MB free for mail, 1.4 MB or less is too little"]
    assert why_refused(replace(short, steps=[Step.REFUSE_MAIL.value])) == [Step.REFUSE_MAIL.value]
    assert why_refused(replace(WELL, numbers={"queue_refusal": 1.0})) == []


def test_a_drain_makes_it_unready() -> None:
    """The administrator wants no new mail."""
    assert why_refused(replace(WELL, numbers={**WELL.numbers, "draining": 1.0})) == [
        "no new mail is taken: the system is being drained"
    ]
