"""posthouse explain address: what becomes of a recipient: rewritten by cleanup, routed by trivial-rewrite, delivered.

Each of the three is the daemons' own code; they tell what they do (rewriting/trace.py). What a delivery would begin
(a forwarded message) is followed in turn.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from posthouse.commands.explain.deliver import Deliveries
from posthouse.commands.explain.explainer import EXPLAINERS, Explainer
from posthouse.commands.explain.model import Report, Section, Step
from posthouse.commands.explain.neighbours import QUEUE_ID
from posthouse.commands.explain.patterns import matching_pattern
from posthouse.commands.explain.situation import Narrator, Situation
from posthouse.commands.explain.words import CLASSES, class_of
from posthouse.commands.header_recipients import read_addresses
from posthouse.config.parameter import Parameter
from posthouse.config.parameters import (
    MYDESTINATION,
    RELAY_DOMAINS,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAILBOX_DOMAINS,
)
from posthouse.daemons.cleanup.addresses import AddressMappings
from posthouse.daemons.cleanup.envelope import EnvelopeEditor
from posthouse.daemons.cleanup.outcome import ALIAS_ERROR, WRITE_ERROR, Refusal, RefusedError
from posthouse.daemons.qmgr.parameters import DEFER_TRANSPORTS
from posthouse.daemons.qmgr.routing import plan_round
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import INTERNAL_MAIL, Envelope, Recipient
from posthouse.ipc.origin import CONTENT_FILTER
from posthouse.ipc.rewrite import CLASS_ALIAS, CLASS_LOCAL, CLASS_RELAY, CLASS_VIRTUAL, Resolved
from posthouse.protocol.address import split_address
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.mapping import ExpansionError
from posthouse.rewriting.resolve import CLASS_STEP, Resolver
from posthouse.util import log
from posthouse.util.errors import TemporaryError

T = TypeVar("T")

MAX_FORWARDS: Final = 10  # messages that lead to messages
UNCHANGED: Final = "unchanged"
STANDARD_FORM: Final = "standard form"
LISTS: Final[dict[int, Parameter[tuple[str, ...]]]] = {
    CLASS_LOCAL: MYDESTINATION,
    CLASS_ALIAS: VIRTUAL_ALIAS_DOMAINS,
    CLASS_VIRTUAL: VIRTUAL_MAILBOX_DOMAINS,
    CLASS_RELAY: RELAY_DOMAINS,
}
NO_LIST: Final = "in none of mydestination, virtual_alias_domains, virtual_mailbox_domains, relay_domains"
OWN_ADDRESS: Final = "one of this machine's own addresses"


class Listener(Narrator):
    """A Trace (rewriting/trace.py) that makes steps. kind: of the steps, "rewrite" or "route"."""

    kind = "rewrite"
    _inner: Sequence[Step] = ()  # what was done to a table's result before the table is told of

    def told(self, rule: str, subject: str, result: str) -> None:
        """Make a step of what a rule did."""
        if not subject and self.recorder.has_lookups:
            self._inner = (*self._inner, Step(self.kind, rule, result=result, place=self.place(self.settings, rule)))
            return
        if rule == CLASS_STEP:
            flag = int(result)
            step = self.tell("class", rule, CLASSES.get(flag, result), argument=subject)
            listing = LISTS.get(flag)
            step.place = self.place(self.settings, listing.name) if listing else None
            return
        shown = UNCHANGED if result == subject else result or "nothing"
        step = self.tell(self.kind, rule, shown, argument=subject)
        step.steps, self._inner = list(self._inner), ()


@dataclass(slots=True)
class _Cleanup:
    """cleanup(8)'s editor, and what it tells."""

    editor: EnvelopeEditor
    listener: Listener


class AddressExplainer(Explainer):
    """The way of one recipient."""

    subject: ClassVar[str] = "address"
    name: ClassVar[str] = "address"

    async def explain(self, situation: Situation, report: Report) -> None:
        """Follow the address."""
        for note in _filter_notes(situation):
            report.note(note)
        way = Way(situation, report)
        await way.follow(_address(situation.words["argument"][-1]), _address(situation.word("sender") or ""), 0)
        report.decision = "\n".join(way.ends)


def _filter_notes(situation: Situation) -> Iterator[str]:
    """Say which mail goes to a content filter first: each service that takes mail may have a filter of its own."""
    takers = [each for each in situation.configuration.master.effective() if each.program in ("smtpd", "pickup")]
    services: dict[str, list[str]] = {}
    for service in takers:
        name = situation.configuration.settings(service.program, service)[CONTENT_FILTER].strip()
        services.setdefault(name, []).append(f"{service.name}/{service.type}")
    for name, those in services.items():
        whose = "mail" if len(services) == 1 else f"mail that comes in by {', '.join(those)}"
        if name:
            yield f"content_filter = {name}: {whose} goes there first, and this is its way when it is back"


def _address(text: str) -> str:
    """Take an address out of angle brackets, as it may have been copied from a log or a header."""
    if "<" not in text:
        return text
    found = read_addresses(text)
    return found[0] if len(found) == 1 else "" if text == "<>" else text


class Way:
    """What is followed, and where it ended. Sections are added to the report."""

    def __init__(self, situation: Situation, report: Report) -> None:
        self._situation, self._report = situation, report
        self._seen: set[str] = set()
        self._chain: list[str] = []  # the addresses that led here, of alias to alias
        self.ends: list[str] = []
        self._cleanup = self._make_cleanup()
        settings = situation.settings("trivial-rewrite")
        self._opener = situation.opener(settings)
        self._routes = Listener(situation.recorder, settings, situation.place)
        self._routes.kind = "route"
        self._resolver = Resolver(settings, self._opener, trace=self._routes)
        self._deliveries = Deliveries(situation, report, asyncio.get_running_loop())

    def _make_cleanup(self) -> _Cleanup:
        """Put cleanup(8)'s parts together, as its service does. Raises ConfigError."""
        situation = self._situation
        settings = situation.settings("cleanup")
        opener = situation.opener(settings)
        listener = Listener(situation.recorder, settings, situation.place)
        rewriter = Rewriter(settings, listener)
        rules = search_rules(settings, LocalDomains(settings, opener))
        mappings = AddressMappings(settings, opener, rules, rewriter)
        return _Cleanup(EnvelopeEditor(settings, opener, rules, rewriter, mappings), listener)

    async def follow(self, address: str, sender: str, depth: int) -> None:
        """Follow an address to its deliveries."""
        if address.lower() in self._chain:
            self._end(f"{address}: bounced: 5.4.6 mail forwarding loop")
            return
        if address.lower() in self._seen:
            self._end(f"{address}: as above")
            return
        self._seen.add(address.lower())
        if depth > MAX_FORWARDS:
            self._report.note(f"{address}: not followed further, after {MAX_FORWARDS} messages that led to messages")
            return
        overrides = INTERNAL_MAIL if depth else 0
        envelope = Envelope(QUEUE_ID, await self._sender(sender), time.time(), overrides=overrides)
        self._chain.append(address.lower())
        for recipient in await self._recipients(address, envelope, depth):
            await self.deliver(recipient, envelope, depth)
        self._chain.pop()

    async def _sender(self, sender: str) -> str:
        """Rewrite the sender, which matters to sender-dependent tables."""
        if not sender:
            return ""
        section = Section("sender", f"sender {sender}")
        result = await self._edited(section, self._cleanup.editor.sender(sender), sender)
        section.result = sender if result is None else result
        self._report.sections.append(section)
        return section.result

    async def _recipients(self, address: str, envelope: Envelope, depth: int) -> list[Recipient]:
        title = f"cleanup: recipient {address or '<>'}" + (" (forwarded)" if depth else "")
        section = Section("cleanup", title)
        self._report.sections.append(section)
        asking = self._cleanup.editor.recipients(envelope, [Recipient(address)])
        found = await self._edited(section, asking, address)
        if found is None:
            self._end(section.result)
            return []
        section.result = ", ".join(each.address for each in found)
        section.steps.append(Step("result", "recipients", result=section.result, decided=True))
        return found

    async def _edited(self, section: Section, asking: Coroutine[object, object, T], address: str) -> T | None:
        """Let cleanup's editor work; None: it refuses, and the section says how."""
        listener = self._cleanup.listener
        listener.steps = section.steps
        refusal: Refusal | None = None
        found: T | None = None
        try:
            found = await asking
        except RefusedError as error:
            refusal = error.refusal
        except TemporaryError as error:
            log.warning(str(error))
            refusal = ALIAS_ERROR if isinstance(error, ExpansionError) else WRITE_ERROR
        if refusal is not None:
            section.result = f"{refusal.code} {refusal.dsn} {refusal.text}"
            listener.tell("error", "cleanup", section.result).decided = True
        elif not section.steps or section.steps[0].argument:  # the address itself needed nothing
            section.steps.insert(0, Step("rewrite", STANDARD_FORM, address, UNCHANGED))
        return found

    async def deliver(self, recipient: Recipient, envelope: Envelope, depth: int = 0) -> None:
        """Route one recipient, as the queue manager has it, and deliver to it."""
        section = Section("recipient", f"recipient {recipient.address}")
        self._report.sections.append(section)
        self._routes.steps = section.steps
        resolved = await self._resolver.resolve(recipient.address, envelope.sender)
        section.steps.append(self._routed(resolved))
        await self._explain_class(section, resolved)
        rcpt = DeliverTo(1, resolved.recipient or recipient.address, recipient.original)
        settings = self._situation.settings("qmgr")
        plan = plan_round([rcpt], [resolved], lambda _transport: False, frozenset(settings[DEFER_TRANSPORTS]))
        if plan.refused:
            (refused,) = plan.refused
            section.result = f"deferred: {refused.dsn} {refused.text}"
            section.steps.append(Step("error", "qmgr", result=section.result, decided=True))
            self._end(f"{recipient.address}: {section.result}")
            return
        ((transport, nexthop, _),) = plan.groups
        forwarded = await self._deliveries.deliver(section, transport, nexthop, (envelope, rcpt))
        self._end(f"{recipient.address}: {section.result}")
        for sender, address in forwarded:
            await self.follow(address, sender, depth + 1)

    def _routed(self, resolved: Resolved) -> Step:
        recorder = self._situation.recorder
        where = f"{resolved.transport}:{resolved.nexthop}" if resolved.transport else "nowhere"
        step = Step("resolve", "trivial-rewrite", resolved.recipient, class_of(resolved.flags), where, decided=True)
        step.lookups, step.log = recorder.take_lookups(), recorder.take_log()
        return step

    async def _explain_class(self, section: Section, resolved: Resolved) -> None:
        """Say which item of which list made the class."""
        for step in section.steps:
            if step.kind != "class":
                continue
            flag = next((each for each, word in CLASSES.items() if word == step.result), 0)
            listing = LISTS.get(flag)
            if listing is None:
                step.text = NO_LIST
                continue
            domain = split_address(resolved.recipient).domain or step.argument
            pattern = await matching_pattern(listing, self._routes.settings, self._opener, domain)
            self._situation.recorder.take_lookups()
            raw = self._routes.settings.raw(listing.name)
            step.text = f"{listing.name} = {raw}: {pattern}" if pattern else f"{listing.name}: {OWN_ADDRESS}"

    def _end(self, text: str) -> None:
        if text not in self.ends:
            self.ends.append(text)


EXPLAINERS.add(AddressExplainer())
