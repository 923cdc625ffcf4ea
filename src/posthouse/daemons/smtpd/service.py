"""SmtpdService: what all sessions of an smtpd(8) process share, and the taking of new connections."""

import socket
from typing import NamedTuple

from posthouse.config.own_addresses import own_address_texts
from posthouse.config.parameters import (
    CLEANUP_SERVICE_NAME,
    MAIL_NAME,
    MYHOSTNAME,
    MYNETWORKS,
    PROXYMAP_SERVICE_NAME,
    REWRITE_SERVICE_NAME,
    SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    SENDER_DEPENDENT_RELAYHOST_MAPS,
    stress_variants,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access.environment import Environment, Observer, Resolver
from posthouse.daemons.smtpd.access.policy import AccessPolicy, HeaderRewriting
from posthouse.daemons.smtpd.access.recipients import RecipientTables
from posthouse.daemons.smtpd.client import client_of
from posthouse.daemons.smtpd.connection import SmtpConnection
from posthouse.daemons.smtpd.conversation import Shared
from posthouse.daemons.smtpd.scarcity import Scarcity
from posthouse.daemons.smtpd.settings import Limits, SmtpdSettings
from posthouse.ipc.cleanup import CleanupClient
from posthouse.net.dns_client import DnsClient
from posthouse.protocol.message.received import Server
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.client import RewriteClient
from posthouse.skeleton.daemon import Context, Service
from posthouse.tables.matchlist import open_host_list
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.proxy import ProxyClient
from posthouse.util.connection import TurnWriter


class SmtpdService(Service):
    """Raises ConfigError from its constructor: a table that cannot be opened, no protection against relaying."""

    def __init__(self, context: Context) -> None:
        self._context = context
        settings, loop = context.settings, context.loop
        self._proxy = ProxyClient(loop, context.private(settings[PROXYMAP_SERVICE_NAME]))
        self._opener = Opener(settings, proxy=self._proxy)
        self._rewrite = RewriteClient(
            loop, context.private(settings[REWRITE_SERVICE_NAME]), sender_matters=_sender_matters(settings)
        )
        self._cleanup = CleanupClient(loop, context.public(settings[CLEANUP_SERVICE_NAME]))
        self._dns = DnsClient(loop, context.private("dns"))
        _, stressed = stress_variants(settings)
        self._stressed_limits = Limits.read(stressed)
        self._shared = make_shared(context, self._opener, Neighbours(self._rewrite, self._cleanup, self._dns))
        self._scarcity = self._shared.scarcity

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Begin a session."""
        client = client_of(sock)
        if client is None:  # gone before we looked
            sock.close()
            return
        context, shared, scarcity = self._context, self._shared, self._scarcity
        if context.lifetime.sessions >= scarcity.sessions:
            scarcity.turn_away(sock, client)
            return
        context.session_started()
        limits = shared.limits
        if scarcity.stress or context.lifetime.sessions >= context.client_limit:  # the last free place: be short
            limits = self._stressed_limits
        SmtpConnection(context.loop, sock, client, shared, limits)

    @property
    def busy(self) -> bool:
        """Messages handed to cleanup whose sessions are gone are still followed to their end."""
        return not self._cleanup.idle

    def closing(self) -> None:
        """Close what was opened."""
        for client in (self._cleanup, self._rewrite, self._dns, self._proxy):
            client.close()
        self._opener.close()


class Neighbours(NamedTuple):
    """The daemons that a session asks."""

    resolver: Resolver
    cleanup: CleanupClient
    dns: DnsClient


def make_shared(context: Context, opener: Opener, asked: Neighbours, observer: Observer | None = None) -> Shared:
    """Read the settings, open the tables, compile the restrictions. Raises ConfigError, as SmtpdService."""
    settings = context.settings
    normal, _ = stress_variants(settings)
    env = Environment(
        settings=settings,
        opener=opener,
        networks=open_host_list(MYNETWORKS, settings, opener),
        own_addresses=own_address_texts(settings),
        resolver=asked.resolver,
        dns=asked.dns,
        listed=RecipientTables(
            settings, opener, asked.resolver, search_rules(settings, LocalDomains(settings, opener))
        ),
        observer=observer,
    )
    own = SmtpdSettings.read(normal)
    return Shared(
        settings=own,
        limits=own.limits,
        policy=AccessPolicy(env),
        header_rewriting=HeaderRewriting(env),
        bare_newline_exclusions=open_host_list(p.SMTPD_FORBID_BARE_NEWLINE_EXCLUSIONS, settings, opener),
        discarded=open_maps(settings[p.SMTPD_DISCARD_EHLO_KEYWORD_ADDRESS_MAPS], opener),
        arrival_hosts=open_host_list(p.SMTPD_AUTHORIZED_ARRIVAL_HOSTS, settings, opener),
        exclusions_are_mynetworks=settings[p.SMTPD_FORBID_BARE_NEWLINE_EXCLUSIONS] == settings[MYNETWORKS],
        cleanup=asked.cleanup,
        dns=asked.dns,
        server=Server(settings[MYHOSTNAME], settings[MAIL_NAME]),
        writer=TurnWriter(context.loop),
        scarcity=Scarcity(context, settings),
        ended=context.session_ended,
    )


def _sender_matters(settings: Settings) -> bool:
    return bool(settings[SENDER_DEPENDENT_RELAYHOST_MAPS] or settings[SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS])
