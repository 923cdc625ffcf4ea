"""Readiness: whether mail would be taken now, as far as the governor's Picture tells.

Whether cleanup(8) and qmgr(8) answer has to be tried (ipc/health.py). A level alone is no reason: what counts is that a
client would be told to try again later. Steps that slow down, or put off large messages only, do not make it unready.
"""

from collections.abc import Iterator
from typing import Final

from posthouse.governor.steps import Step
from posthouse.governor.units import format_bytes
from posthouse.ipc.governor import Picture

REFUSING: Final = (Step.REFUSE_MAIL, Step.REFUSE_SESSIONS)


def why_refused(picture: Picture) -> list[str]:
    """Give the reasons for which mail is put off; none: it is taken."""
    return list(_reasons(picture))


def _reasons(picture: Picture) -> Iterator[str]:
    if picture.numbers.get("draining"):
        yield "no new mail is taken: the system is being drained"
    refused = [step.value for step in REFUSING if step.value in picture.steps]
    yield from refused
    free, refusal = picture.numbers.get("queue_free"), picture.numbers.get("queue_refusal")
    # Postfix's rule holds with resource_control = warn too, when no step is taken.
    if not refused and free is not None and refusal is not None and free <= refusal:
        yield f"{format_bytes(free)} free for mail, {format_bytes(refusal)} or less is too little"
