"""CleanupService: what the clients of cleanup(8) share: tables, settings, the connection to qmgr, and what is scarce.

A message is answered 250 only after qmgr has said that it is durable. What cannot be done now (a table, qmgr, no room)
is answered 4xx, and the client still has the message.
"""

import socket

from posthouse.config.parameters import (
    IN_FLOW_DELAY,
    IPC_TIMEOUT,
    MESSAGE_SIZE_LIMIT,
    PROXYMAP_SERVICE_NAME,
    QUEUE_SERVICE_NAME,
    uses_long_queue_ids,
)
from posthouse.daemons.cleanup.addresses import ENVELOPE_RECIPIENT, ENVELOPE_SENDER, AddressMappings
from posthouse.daemons.cleanup.client import Client
from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.content_rules import ContentRules
from posthouse.daemons.cleanup.envelope import EnvelopeEditor
from posthouse.daemons.cleanup.header import HeaderEditor
from posthouse.daemons.cleanup.intake import Intake
from posthouse.daemons.cleanup.leases import LeasePool
from posthouse.daemons.cleanup.origin import Origin
from posthouse.daemons.cleanup.parameters import CLEANUP_REPLACE_STRAY_CR_LF
from posthouse.daemons.cleanup.queue_client import QueueClient
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.daemons.cleanup.write_out import BUDGET, SMALL_BUDGET, WriteOut
from posthouse.ipc.own_users import Door
from posthouse.ipc.stream import refuse_descriptors
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.local import Rewriter
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient


class CleanupService(Service):
    """Raises ConfigError from its constructor: a table that cannot be opened."""

    def __init__(self, context: Context) -> None:
        self.context = context
        settings, loop = context.settings, context.loop
        self._proxy = ProxyClient(loop, context.private(settings[PROXYMAP_SERVICE_NAME]))
        self._opener = opener = Opener(settings, proxy=self._proxy)
        rewriter = Rewriter(settings)
        rules = search_rules(settings, LocalDomains(settings, opener))
        mappings = AddressMappings(settings, opener, rules, rewriter)
        envelopes = EnvelopeEditor(settings, opener, rules, rewriter, mappings)
        self.headers = HeaderEditor(settings, mappings, envelopes.sender)
        self._content_rules = ContentRules(settings, opener)
        self._logged = mappings.mapping(ENVELOPE_SENDER), mappings.mapping(ENVELOPE_RECIPIENT)
        queue = context.public(settings[QUEUE_SERVICE_NAME])
        self.queue = QueueClient(loop, queue, timeout_s=settings[IPC_TIMEOUT])
        self.leases = LeasePool(loop, self.queue.lease)
        self.size_limit = settings[MESSAGE_SIZE_LIMIT]
        self.short_ids = not uses_long_queue_ids(settings)
        self.replace_cr = settings[CLEANUP_REPLACE_STRAY_CR_LF]
        self._in_flow_delay = settings[IN_FLOW_DELAY]
        self.is_full = False  # what room is left is for our own notices
        self.clients: set[Client] = set()
        self.write_out = WriteOut(loop, self._pause_clients)
        self.intake = Intake(loop, self.headers, envelopes, self.queue, self.write_out)
        context.resources.watch(self._review_resources)
        self._door = Door(settings, "cleanup")
        refuse_descriptors(context.listeners)
        self.finishing = 0  # messages on their way to qmgr; their client may be gone

    def _review_resources(self) -> None:
        state = self.context.resources.state
        self.intake.pause_s = self._in_flow_delay if state.slow_intake else 0.0
        self.is_full = state.deliveries_only
        self.write_out.budget = SMALL_BUDGET if state.content_share < 1.0 else BUDGET

    def _pause_clients(self, stop: bool) -> None:
        for client in self.clients:
            client.pause(stop=stop)

    def checks_of(self, transaction: Transaction) -> ContentPass | None:
        """Begin to check the content of a message; None: nobody wants that."""
        envelope, rules = transaction.envelope, self._content_rules
        if not rules.applies(envelope):
            return None
        return ContentPass(rules, self.headers, transaction, Origin(envelope, transaction.recipients, *self._logged))

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a client: one of our daemons. Anybody can connect, and could say that a message came from anywhere."""
        if self._door.admits(sock):
            self.context.session_started()
            self.clients.add(Client(self, sock))

    @property
    def busy(self) -> bool:
        """Whether messages are on their way to qmgr."""
        return self.finishing > 0

    def closing(self) -> None:
        """Close what was opened."""
        self.queue.close()
        self._proxy.close()
        self._opener.close()
