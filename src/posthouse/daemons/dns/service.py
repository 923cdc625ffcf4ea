"""DnsService: answers the questions of the other daemons, one connection each, any number at once."""

import socket
from typing import Final

from posthouse.daemons.dns.cache import Cache
from posthouse.daemons.dns.parameters import DNS_NAMESERVERS
from posthouse.daemons.dns.peer_name import PeerNames
from posthouse.daemons.dns.servers import NameServers
from posthouse.ipc.dns import OK, SERVER, TEMPORARY, Answer, DnsRecord, PeerName, PeerNameAnswer, Query, ToDns
from posthouse.ipc.stream import Channel
from posthouse.net.dns import TEXT_TEMPORARY, Found, Resolver
from posthouse.net.hosts import HostsFile
from posthouse.skeleton.daemon import Context, Service
from posthouse.util import eager

BUSY: Final = Found(TEMPORARY, TEXT_TEMPORARY)


class DnsService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context, servers: NameServers, hosts: HostsFile) -> None:
        self._context = context
        self._cache = Cache(context.loop, Resolver(context.loop, servers).resolve)
        self._peers = PeerNames(hosts, self._lookup)
        self._channels: set[Channel[ToDns]] = set()

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a connection of a daemon."""
        self._channels.add(Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close))
        self._context.session_started()

    def retire(self) -> None:
        """Close every connection; the clients ask a successor what is not answered."""
        for channel in list(self._channels):
            channel.flush()
            channel.close()

    def _on_close(self, channel: Channel[ToDns]) -> None:
        self._channels.discard(channel)
        self._context.session_ended()

    def _on_record(self, channel: Channel[ToDns], record: ToDns) -> None:
        if isinstance(record, Query):
            self._query(channel, record)
        else:
            self._peer_name(channel, record)

    def _query(self, channel: Channel[ToDns], query: Query) -> None:
        kept = self._cache.get(query.name, query.rrtype)
        if kept is not None:
            _send(channel, query.id, *kept)
            return
        future = self._cache.ask(query.name, query.rrtype)
        if future is None:
            _send(channel, query.id, BUSY, 0)
        else:
            future.add_done_callback(lambda done: _send(channel, query.id, done.result(), done.result().ttl_s))

    def _peer_name(self, channel: Channel[ToDns], request: PeerName) -> None:
        def answered(outcome: eager.Outcome[PeerNameAnswer]) -> None:
            if not channel.closed:
                channel.send(outcome.result())

        eager.start(self._peers.find(request.id, request.address), answered)

    async def _lookup(self, name: str, rrtype: str) -> Found:
        kept = self._cache.get(name, rrtype)
        if kept is not None:
            return kept[0]
        future = self._cache.ask(name, rrtype)
        return BUSY if future is None else await future


def _send(channel: Channel[ToDns], number: int, found: Found, left_s: float) -> None:
    """Answer; the records' TTL is what is left of it."""
    if channel.closed:
        return
    records = [DnsRecord(each.preference, each.data, max(1, int(left_s))) for each in found.records]
    text = "" if found.status == OK else found.text
    channel.send(Answer(number, found.status, text, found.secure, found.canonical, records))


def start(context: Context) -> DnsService:
    """Make the service."""
    return DnsService(context, NameServers(context.settings[DNS_NAMESERVERS]), HostsFile())
