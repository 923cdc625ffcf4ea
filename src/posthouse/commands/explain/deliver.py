"""What the delivery agents would do, with their own code.

local and virtual get users that write nothing, smtp and lmtp go as far as the route, error and discard are as they are.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from posthouse.commands.explain.model import Report, Section, Step
from posthouse.commands.explain.neighbours import AcceptingCleanup, AskingDns, KnownDns, NotAskedError
from posthouse.commands.explain.situation import Narrator, Situation
from posthouse.config.master_cf import Service
from posthouse.config.parameters import ALIAS_MAPS, QUEUE_DIRECTORY, VIRTUAL_MAILBOX_MAPS
from posthouse.daemons.discard.service import deliver as discard
from posthouse.daemons.error.service import deliver as refuse
from posthouse.daemons.local import agent as local
from posthouse.daemons.smtp.content_rules import read_content_rules
from posthouse.daemons.smtp.destination import Destination, parse_destinations
from posthouse.daemons.smtp.options import Options, read_options
from posthouse.daemons.smtp.route import NoRoute, Router, arrange
from posthouse.daemons.virtual import agent as virtual
from posthouse.daemons.virtual.parameters import VIRTUAL_GID_MAPS, VIRTUAL_UID_MAPS
from posthouse.delivery import user_files
from posthouse.delivery.agent import Delivery
from posthouse.delivery.ending import Ending
from posthouse.delivery.status import STATUS_WORD
from posthouse.delivery.users import Child, Identity, Users
from posthouse.ipc.as_user import NOT_FOUND, OK, Finished, ReadFile, RunCommand, ToChild, WriteMaildir
from posthouse.ipc.delivery import Deliver, DeliverTo, Results
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, Envelope, RecipientResult
from posthouse.ipc.runas_wire import JobKind
from posthouse.net.hosts import HostsFile
from posthouse.tables.maps import Maps
from posthouse.tables.open import open_maps
from posthouse.tables.table import SENSITIVE
from posthouse.util.errors import TableError

CONTENT: Final = b"Subject: explained\n\n"
UNAVAILABLE: Final = "deferred: 4.3.0 mail transport unavailable"
Mail = tuple[Envelope, DeliverTo]
Forwarded = list[tuple[str, str]]  # sender, address


class Deliveries:
    """Explains the last step of each recipient."""

    def __init__(self, situation: Situation, report: Report, loop: asyncio.AbstractEventLoop) -> None:
        self._situation, self._report, self._loop = situation, report, loop

    async def deliver(self, section: Section, transport: str, nexthop: str, mail: Mail) -> Forwarded:
        """Add the agent's steps to a section and set its result; gives what would go out as new messages."""
        service = self._situation.service("", transport, "unix")
        if service is None:
            section.result = f"{UNAVAILABLE}: master.cf has no service {transport}"
            section.steps.append(Step("error", "transport", transport, section.result, decided=True))
            return []
        place = self._situation.place_of(service)
        agent_and_hop = f"{service.program}(8), next hop {nexthop}"
        section.steps.append(Step("transport", "transport", transport, agent_and_hop, place=place))
        settings = self._situation.configuration.settings(service.program, service)
        narrator = Narrator(self._situation.recorder, settings, self._situation.place, section.steps)
        agents: dict[str, Callable[[Narrator, Service, _Delivery], Awaitable[Forwarded]]] = {
            "local": self._local,
            "virtual": self._virtual,
            "smtp": self._smtp,
            "lmtp": self._smtp,
            "error": self._error,
            "discard": self._discard,
        }
        agent = agents.get(service.program)
        if agent is None:
            section.result = f"{transport}:{nexthop}, delivered by {service.program}(8), which is not explained"
            return []
        delivery = _Delivery(nexthop, mail, self._loop)
        forwarded = await agent(narrator, service, delivery)
        section.result = self._told(section, await delivery.results, forwarded)
        return forwarded

    def _told(self, section: Section, results: list[RecipientResult], forwarded: Forwarded) -> str:
        """Make the last step of what the agent reported; where it went well, of all that it did."""
        (result,) = results
        parts = [f"{step.name} {step.argument}" for step in section.steps if step.kind == "deliver"]
        if forwarded:
            parts.append(f"forwarded to {', '.join(address for _, address in forwarded)}")
        shown = "; ".join(parts) or result.text
        if result.outcome in (BOUNCED, DEFERRED):
            shown = f"{STATUS_WORD[result.outcome]}: {result.dsn} {result.text}"
        recorder = self._situation.recorder
        step = Step("delivery", result.relay or "delivery", result=shown, decided=True)
        step.lookups, step.log = recorder.take_lookups(), _without_status(recorder.take_log())
        section.steps.append(step)
        return shown

    async def _local(self, narrator: Narrator, _service: Service, delivery: "_Delivery") -> Forwarded:
        settings = narrator.settings
        opener = self._situation.opener(settings)
        tables = local.Tables(
            aliases=TellingMaps(open_maps(settings[ALIAS_MAPS], opener, SENSITIVE), ALIAS_MAPS.name, narrator),
            passwd=TellingMaps(open_maps(["unix:passwd.byname"], opener), "account", narrator),
        )
        cleanup = AcceptingCleanup(self._loop)
        agent = local.LocalAgent(settings, tables, TellingUsers(narrator, self._report), cleanup, os.geteuid())
        agent.deliver(delivery)
        await delivery.results  # a table may have to be waited for
        return [(envelope.sender, each.address) for envelope, recipients in cleanup.taken for each in recipients]

    async def _virtual(self, narrator: Narrator, _service: Service, delivery: Delivery) -> Forwarded:
        settings = narrator.settings
        opener = self._situation.opener(settings)
        tables = virtual.Tables(
            *(
                open_maps(settings[row], opener, SENSITIVE)
                for row in (VIRTUAL_MAILBOX_MAPS, VIRTUAL_UID_MAPS, VIRTUAL_GID_MAPS)
            )
        )
        virtual.VirtualAgent(settings, tables, TellingUsers(narrator, self._report), os.geteuid()).deliver(delivery)
        return []

    async def _error(self, _narrator: Narrator, service: Service, delivery: Delivery) -> Forwarded:
        refuse(delivery, outcome=DEFERRED if service.name == "retry" else BOUNCED)
        return []

    async def _discard(self, _narrator: Narrator, _service: Service, delivery: Delivery) -> Forwarded:
        discard(delivery)
        return []

    async def _smtp(self, narrator: Narrator, service: Service, delivery: Delivery) -> Forwarded:
        """Find the route; nothing is connected to."""
        settings = narrator.settings
        options = read_options(settings, settings[QUEUE_DIRECTORY])
        rcpt, nexthop = delivery.request.recipients[0], delivery.request.nexthop
        finish = partial(RecipientResult, rcpt.rcpt_id, relay=service.program)
        destinations = parse_destinations(nexthop, lmtp=options.lmtp) or []
        if not destinations or options.why_not:
            dsn = "4.7.4" if options.why_not else "4.3.5"
            delivery.finish([finish(DEFERRED, dsn, options.why_not or f"bad destination: {nexthop}")])
            return []
        try:
            await self._map_addresses(narrator, delivery)
        except TableError as error:
            delivery.finish([finish(DEFERRED, "4.3.0", f"addresses cannot be mapped: {error}")])
            return []
        ends, refused = await self._routes(narrator, destinations, options)
        if refused is not None and not ends:
            delivery.finish([RecipientResult(rcpt.rcpt_id, refused.outcome, refused.dsn, refused.text, "none")])
        else:
            delivery.finish([finish(SENT, "2.0.0", f"goes to {'; else '.join(ends)} by {service.name}")])
        return []

    async def _map_addresses(self, narrator: Narrator, delivery: Delivery) -> None:
        """Tell what the server would hear in place of the envelope's addresses. Raises TableError."""
        settings, request = narrator.settings, delivery.request
        generic = read_content_rules(settings, self._situation.opener(settings)).generic
        name = "lmtp_generic_maps" if settings.process_name == "lmtp" else "smtp_generic_maps"
        for address in (request.envelope.sender, request.recipients[0].address):
            if generic is not None and (mapped := await generic.map(address)) != address:
                narrator.tell("rewrite", name, mapped, argument=address)

    async def _routes(
        self, narrator: Narrator, destinations: Sequence[Destination], options: Options
    ) -> tuple[list[str], NoRoute | None]:
        """Give the way to each destination, and why there is none to the last that has none."""
        dns = AskingDns(self._loop, self._situation.settings("dns")) if self._situation.asks_dns else KnownDns()
        router = Router(self._loop, options.lookup, dns, HostsFile())
        ends: list[str] = []
        refused: NoRoute | None = None
        for destination in destinations:
            try:
                route = await router.find(destination)
            except NotAskedError as error:
                narrator.tell("dns", "would ask", f"{error}, then addresses", text="--dns asks")
                ends.append(f"the MX hosts of {destination.host}" if destination.mx else destination.host)
                continue
            for question in dns.questions:
                narrator.tell("dns", question.name, question.answer, argument=question.rrtype)
            dns.questions.clear()
            if isinstance(route, NoRoute):
                refused = route
                narrator.tell("route", destination.host, f"{STATUS_WORD[route.outcome]}: {route.dsn} {route.text}")
                continue
            endpoints = ", ".join(endpoint.relay for endpoint in arrange(route, options.choice))
            narrator.tell("route", "tried in this order", endpoints)
            ends.append(endpoints)
        return ends, refused


class _Delivery(Delivery):
    """One delivery whose results are awaited."""

    __slots__ = ("results",)

    def __init__(self, nexthop: str, mail: Mail, loop: asyncio.AbstractEventLoop) -> None:
        envelope, rcpt = mail
        self.results: asyncio.Future[list[RecipientResult]] = loop.create_future()
        super().__init__(Deliver(1, envelope, nexthop, [rcpt], time.time(), CONTENT), -1, self._take)

    def _take(self, _delivery: Delivery, results: Results) -> None:
        self.results.set_result(results.results)


class TellingMaps(Maps):
    """Tables whose every lookup is a step: a parameter's, or of accounts."""

    __slots__ = ("_name", "_narrator")

    def __init__(self, maps: Maps, name: str, narrator: Narrator) -> None:
        super().__init__(maps.tables)
        self._name, self._narrator = name, narrator

    async def find(self, key: str) -> str | None:
        """Look up, and tell. Raises TableError."""
        value = await super().find(key)
        if self:
            self._narrator.tell("lookup", self._name, "not there" if value is None else "found", argument=key)
        return value


class TellingUsers(Users):
    """Children that tell what they are asked to do, and do none of it but read."""

    def __init__(self, narrator: Narrator, report: Report) -> None:
        self._narrator, self._report = narrator, report

    @property
    def can_change_user(self) -> bool:
        """As in a system that was started by root."""
        return True

    def child(self, kind: JobKind, identity: Identity) -> Child:
        """Make one."""
        return _TellingChild(self._narrator, self._report, identity)


class NotAllowedError(Exception):
    """Only root may act as somebody else."""


class _TellingChild(Child):
    """See TellingUsers."""

    def __init__(self, narrator: Narrator, report: Report, identity: Identity) -> None:
        self._narrator, self._report, self._identity = narrator, report, identity

    def next_id(self) -> int:
        """Number all jobs alike: each is answered at once."""
        return 1

    def ask(self, job: ToChild, descriptor: int = -1) -> "asyncio.Future[Finished]":
        """Answer at once."""
        done: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        done.set_result(self._read(job) if isinstance(job, ReadFile) else self._write(job))
        return done

    def _write(self, job: ToChild) -> Finished:
        assert not isinstance(job, ReadFile), "reading is done"
        rights = f"as uid {self._identity.uid}, gid {self._identity.gid}"
        if isinstance(job, RunCommand):
            self._narrator.tell("deliver", "command", rights, argument=job.command)
            return Finished(1, OK, "", b"", 0)
        is_maildir = isinstance(job, WriteMaildir)
        path = job.directory if isinstance(job, WriteMaildir) else job.path
        self._narrator.tell("deliver", "maildir" if is_maildir else "mailbox", rights, argument=path)
        return Finished(1, OK, f"delivered to {'maildir' if is_maildir else 'mailbox'} {path}", b"", 0)

    def _read(self, job: ReadFile) -> Finished:
        """Read a .forward or :include: file with the rights that the delivery would have."""
        try:
            with _acting_as(self._identity):
                data = user_files.read(job.path, job.size_limit)
        except NotAllowedError:
            return self._unread(job.path)
        except (Ending, OSError) as error:
            ending = error if isinstance(error, Ending) else Ending.of(error)
            self._narrator.tell("read", job.path, "not there" if ending.kind == NOT_FOUND else ending.text)
            return Finished(1, ending.kind, ending.text, b"", 0)
        self._narrator.tell("read", job.path, "is followed")
        return Finished(1, OK, "", data, 0)

    def _unread(self, path: str) -> Finished:
        self._narrator.tell("read", path, "cannot be read here")
        self._report.note(
            f"{path} was not read (uid {self._identity.uid} may); what follows is as if it were not there"
        )
        return Finished(1, NOT_FOUND, "", b"", 0)


@contextmanager
def _acting_as(identity: Identity) -> Iterator[None]:
    """Take on a recipient's rights for a moment, where this process may; raises NotAllowedError where it may not."""
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    if uid != 0:
        if uid != identity.uid:
            raise NotAllowedError
        yield
        return
    os.setgroups(list(identity.groups) or [identity.gid])
    os.setegid(identity.gid)
    os.seteuid(identity.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _without_status(lines: list[str]) -> list[str]:
    """Leave out the agent's own line about the delivery: the step says the same, and its delays mean nothing here."""
    return [line for line in lines if " status=" not in line]
