"""posthouse explain session: what smtpd(8) would say to a client, command by command, and which restriction decided.

The session, the conversation, the restrictions and trivial-rewrite's resolver are the daemons' own, in this process.
"""

import asyncio
import socket
from collections.abc import Awaitable
from typing import ClassVar, Final

from posthouse.commands.explain.dialog import Dialog
from posthouse.commands.explain.explainer import EXPLAINERS, Explainer
from posthouse.commands.explain.lines import places_of
from posthouse.commands.explain.model import Report, Section, Step
from posthouse.commands.explain.neighbours import (
    AcceptingCleanup,
    AskingDns,
    KnownDns,
    TellingResolver,
    UnaskedClient,
)
from posthouse.commands.explain.patterns import matching_pattern
from posthouse.commands.explain.record import RecordingOpener
from posthouse.commands.explain.situation import DEFAULT, Situation, missing
from posthouse.commands.explain.watcher import BROKEN, PERMITTED, Watcher
from posthouse.config.master_cf import Service
from posthouse.config.parameters import MYNETWORKS, QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.client import UNKNOWN, Client, plain_address
from posthouse.daemons.smtpd.conversation import Shared
from posthouse.daemons.smtpd.service import Neighbours, make_shared
from posthouse.governor.drain import read_drain
from posthouse.protocol.address import POSTMASTER
from posthouse.rewriting.resolve import Resolver
from posthouse.skeleton.daemon import UNLIMITED, Context
from posthouse.skeleton.lifetime import Lifetime
from posthouse.skeleton.resources import Resources

OWN_STAGE: Final = {
    p.SMTPD_CLIENT_RESTRICTIONS.name: "CONNECT",
    p.SMTPD_HELO_RESTRICTIONS.name: "HELO",
    p.SMTPD_SENDER_RESTRICTIONS.name: "MAIL",
    p.SMTPD_REJECT_UNLISTED_SENDER.name: "MAIL",
}
DNS_NOTE: Final = "DNS was not asked ({}); --dns asks, --name NAME tells the client's name"
CLIENT_PORT: Final = "0"


class SessionExplainer(Explainer):
    """The dialogue of one client, from the greeting to the end of the content."""

    subject: ClassVar[str] = "session"
    name: ClassVar[str] = "smtpd"

    async def explain(self, situation: Situation, report: Report) -> None:
        """Hold the dialogue."""
        service = _service(situation)
        settings = situation.configuration.settings("smtpd", service)
        section = Section(
            self.name, f"smtpd, service {service.name} ({situation.configuration.master.path}:{service.line})"
        )
        report.sections.append(section)
        await _Session(situation, report, section, settings).hold()


def _service(situation: Situation) -> Service:
    """Find the service whose settings hold: --service, else smtp, else the one behind postscreen, else the first."""
    wanted = situation.word("service")
    usual = [("smtp", "inet"), ("smtpd", "pass"), ("", "inet"), ("", "")]
    for name, kind in [(wanted, "inet"), (wanted, "")] if wanted else usual:
        service = situation.service("smtpd", name, kind)
        if service is not None:
            return service
    raise missing(f"smtpd under the name {wanted}" if wanted else "smtpd")


class _Session:
    """One dialogue being held."""

    def __init__(self, situation: Situation, report: Report, section: Section, settings: Settings) -> None:
        self._situation, self._report, self._section, self._settings = situation, report, section, settings
        loop = asyncio.get_running_loop()
        recorder = situation.recorder
        rewriting = situation.settings("trivial-rewrite")
        opener = situation.opener(rewriting)
        self._opener = situation.opener(settings)
        resolver = TellingResolver(Resolver(rewriting, opener), recorder)
        self._watcher = Watcher(recorder, resolver)
        self._names = _names(situation)
        dns_settings = situation.settings("dns")
        self._dns = AskingDns(loop, dns_settings, self._names) if situation.asks_dns else KnownDns(self._names)
        shared = _share(settings, self._opener, Neighbours(resolver, AcceptingCleanup(loop), self._dns), self._watcher)
        self._plan = shared.policy.plan
        self._dialog = Dialog(shared, self._client())

    async def hold(self) -> None:
        """Speak until the end, or until the client would give up."""
        situation = self._situation
        size = situation.word("size")
        self._tell_client()
        if await self._begun(situation.word("helo") or ""):
            sender = f"MAIL FROM:<{situation.word('from') or ''}>" + (f" SIZE={size}" if size else "")
            if await self._command("MAIL", sender):
                accepted = [await self._recipient(each) for each in situation.words.get("to", [])]
                if any(accepted) and await self._command("DATA", "DATA"):
                    await self._command("END-OF-MESSAGE", "\r\n.")
        for question in dict.fromkeys(self._watcher.not_asked):
            self._report.note(DNS_NOTE.format(question))
        for name, rrtype, answer in getattr(self._dns, "questions", ()):
            self._section.steps.append(Step("dns", name, rrtype, text=answer))

    def _tell_client(self) -> None:
        """Say what is known of the client's name, and from where."""
        client = self._dialog.conversation.client
        if not self._settings[p.SMTPD_PEERNAME_LOOKUP]:
            name = f"unknown: {p.SMTPD_PEERNAME_LOOKUP.name} = no"
        elif self._names is None:
            name = "as DNS says" if self._situation.asks_dns else "not asked"
        else:
            name = f"{self._names[0]} (reverse {self._names[1]})" if len(set(self._names)) > 1 else self._names[0]
        self._section.steps.append(Step("client", "client", client.address, text=f"name {name}"))

    async def _begun(self, helo: str) -> bool:
        greeting = await self._step("CONNECT", "connect", self._dialog.open())
        return greeting < "400" and await self._command("HELO", f"EHLO {helo}")

    async def _recipient(self, recipient: str) -> bool:
        is_accepted = await self._command("RCPT", f"RCPT TO:<{recipient}>")
        if recipient.lower() == POSTMASTER:
            step = self._section.steps[-1]
            step.steps.append(Step("note", POSTMASTER, text="without domain always accepted (RFC 5321 4.5.1)"))
        return is_accepted

    async def _command(self, stage: str, line: str) -> bool:
        """Say something; whether it was accepted."""
        shown = "end of content" if stage == "END-OF-MESSAGE" else line
        reply = await self._step(stage, shown, self._dialog.say(line))
        return reply < "400" and not self._dialog.closed

    async def _step(self, stage: str, shown: str, asking: Awaitable[str]) -> str:
        """Say something; gives the reply."""
        watcher = self._watcher
        watcher.begin()
        reply = await asking
        verb, _, argument = shown.partition(" ")
        step = Step("command", verb, argument, text=reply)
        step.result = "REJECT" if reply >= "500" else "DEFER" if reply >= "400" else "ok"
        step.steps = watcher.finish(list(self._plan.get(stage, ())))
        step.lookups, step.log = self._situation.recorder.take_lookups(), self._situation.recorder.take_log()
        for each in step.steps:
            await self._complete(each, stage)
        _mark_decision(step)
        self._section.steps.append(step)
        self._report.decision = self._section.result = reply.rpartition("\n")[2]
        return reply

    async def _complete(self, step: Step, stage: str) -> None:
        """Say where a list is written, why it is asked now, and what in mynetworks matched."""
        step.place = self._situation.place(self._settings, step.name)
        if step.place is not None and step.place.file == self._situation.configuration.main.path:
            words = [rule.name.split()[-1] for rule in step.steps]
            for rule, place in zip(step.steps, places_of(words, step.place), strict=True):
                rule.place = place
        own = OWN_STAGE.get(step.name, stage)
        if own != stage:
            delay = self._situation.place(self._settings, p.SMTPD_DELAY_REJECT.name) or DEFAULT
            step.text = f"about {own}, asked at {stage}: {p.SMTPD_DELAY_REJECT.name} = yes ({delay})"
        for rule in step.steps:
            if rule.result == PERMITTED and rule.name.lower().endswith("permit_mynetworks"):
                client = self._dialog.conversation.client
                pattern = await matching_pattern(
                    MYNETWORKS, self._settings, self._opener, client.address, name=client.known_name
                )
                self._situation.recorder.take_lookups()
                where = self._situation.place(self._settings, MYNETWORKS.name) or DEFAULT
                rule.text = f"{client.address} is in {MYNETWORKS.name} ({where}): {pattern}"

    def _client(self) -> Client:
        address = plain_address(self._situation.word("client") or "")
        unasked = self._names is None and not self._situation.asks_dns and self._settings[p.SMTPD_PEERNAME_LOOKUP]
        return (UnaskedClient if unasked else Client)(address, CLIENT_PORT)


def _names(situation: Situation) -> tuple[str, str] | None:
    """Give the client's verified and reverse name as they were told."""
    name, reverse = situation.word("name"), situation.word("reverse-name")
    if name is None and reverse is None:
        return None
    return name or UNKNOWN, reverse or name or UNKNOWN


def _share(settings: Settings, opener: RecordingOpener, asked: Neighbours, watcher: Watcher) -> Shared:
    """Make what sessions share, in a process that has no master. Raises ConfigError."""
    loop = asyncio.get_running_loop()
    ours, masters = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, masters:
        lifetime = Lifetime(loop, ours, client_limit=UNLIMITED)
        resources = Resources(read_drain(settings[QUEUE_DIRECTORY]))
        context = Context(settings, loop, lifetime, settings[QUEUE_DIRECTORY], UNLIMITED, resources=resources)
        return make_shared(context, opener, asked, watcher)


def _mark_decision(command: Step) -> None:
    """Find what made the refusal: the restriction that gave it, or that asked for it in case of permission."""
    if command.result == "ok":
        return
    for each in command.steps:
        for rule in each.steps:
            if rule.text and command.text.endswith(rule.text.removeprefix(BROKEN)):
                rule.decided = each.decided = True
                return


EXPLAINERS.add(SessionExplainer())
