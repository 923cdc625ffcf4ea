"""posthouse explain delivery: why a message is still queued, when it is tried again, and where it would go now."""

import time
from typing import ClassVar, Final

from posthouse.commands.explain.address import Way
from posthouse.commands.explain.explainer import EXPLAINERS, Explainer
from posthouse.commands.explain.model import Report, Section, Step
from posthouse.commands.explain.situation import Situation, UnavailableError, UnknownNameError
from posthouse.commands.queue_client import QueueClient, QueueUnavailableError, RefusedError
from posthouse.config.parameters import BOUNCE_QUEUE_LIFETIME, MAXIMAL_QUEUE_LIFETIME
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.showq import Listed, ListedRecipient

QUEUES: Final = {
    "active": "it is being delivered now",
    "corrupt": "its content is damaged; it is kept to be looked at",
    "deferred": "it waits for its next attempt",
    "hold": "it is on hold, until postsuper -H releases it",
    "incoming": "it has just come",
    "maildrop": "pickup has not taken it yet",
}
NOT_TRIED: Final = "not tried yet"


class DeliveryExplainer(Explainer):
    """One message of the queue."""

    subject: ClassVar[str] = "delivery"
    name: ClassVar[str] = "message"

    async def explain(self, situation: Situation, report: Report) -> None:
        """Look the message up, and route its recipients anew."""
        queue_id = situation.words["argument"][-1]
        message = await _find(situation.configuration.directory, queue_id)
        section = Section(self.name, f"message {queue_id}", result=message.queue_name)
        section.steps = [*_facts(situation, message), *map(_recipient, message.recipients)]
        report.sections.append(section)
        way = Way(situation, report)
        envelope = Envelope(queue_id, message.sender, message.arrival)
        ends = []
        for waiting in message.recipients:
            before = len(way.ends)
            await way.deliver(Recipient(waiting.address, waiting.original), envelope)
            now = "; ".join(end.removeprefix(f"{waiting.address}: ") for end in way.ends[before:]) or "as above"
            ends.append(f"{waiting.address}: {waiting.reason or NOT_TRIED}; now: {now}")
        report.decision = "\n".join(ends)


async def _find(directory: str, queue_id: str) -> Listed:
    """Ask the running system, or read the store. Raises UnknownNameError, UnavailableError."""
    try:
        client = QueueClient(directory)
        try:
            found = [message async for message in client.listing(queue_id=queue_id)]
        finally:
            await client.close()
    except (QueueUnavailableError, RefusedError) as error:
        raise UnavailableError(str(error)) from error
    if not found:
        raise UnknownNameError(f"{queue_id}: no such message in the queue; it was delivered, returned or removed")
    return found[0]


def _facts(situation: Situation, message: Listed) -> list[Step]:
    settings = situation.settings("qmgr")
    limit = MAXIMAL_QUEUE_LIFETIME if message.sender else BOUNCE_QUEUE_LIFETIME
    expires = _shown(message.arrival + settings[limit])
    if message.forced_expire:
        expires = "at the next attempt, as postsuper -e asked"
    last = Step("fact", "returned", result=expires, text=f"{limit.name} = {settings.text(limit.name)}")
    last.place = situation.place(settings, limit.name)
    return [
        Step("fact", "queue", result=message.queue_name, text=QUEUES.get(message.queue_name, "")),
        Step("fact", "sender", result=message.sender or "<>"),
        Step("fact", "arrived", result=_shown(message.arrival)),
        Step("fact", "size", result=f"{message.size} bytes"),
        last,
    ]


def _recipient(waiting: ListedRecipient) -> Step:
    """Say what became of it so far."""
    reason = f"{waiting.dsn} {waiting.reason}".strip() or NOT_TRIED
    text = f"attempts: {waiting.attempts}"
    if waiting.next_attempt:
        text += f", next {_shown(waiting.next_attempt)}"
    if waiting.original and waiting.original != waiting.address:
        text += f"; addressed to {waiting.original}"
    return Step("queued", "recipient", waiting.address, reason, text)


def _shown(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


EXPLAINERS.add(DeliveryExplainer())
