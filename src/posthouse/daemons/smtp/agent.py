"""SmtpAgent: takes deliveries of qmgr(8), and moves each from address to address until every recipient has a result.

The loop of one delivery: a kept session for the nexthop; else the route; then, address by address, a kept session for
it or a new connection. What happens in a session is in session.py, what it means for a recipient in job.py.
"""

import socket
import time
from collections import Counter
from typing import Final

from posthouse.config.parameters import IPC_TIMEOUT, PROXYMAP_SERVICE_NAME
from posthouse.daemons.smtp.content_rules import ContentRules, read_content_rules
from posthouse.daemons.smtp.destination import Destination, parse_destinations
from posthouse.daemons.smtp.job import Job
from posthouse.daemons.smtp.options import Options, read_options
from posthouse.daemons.smtp.pool import Pool
from posthouse.daemons.smtp.route import Endpoint, NoRoute, Route, Router, arrange
from posthouse.daemons.smtp.session import RETRY_S, Session, Trouble, connect
from posthouse.delivery.agent import AgentService, Delivery
from posthouse.ipc.message import BOUNCED, DEFERRED
from posthouse.net.dns_client import DnsClient
from posthouse.net.hosts import HostsFile
from posthouse.skeleton.daemon import Context
from posthouse.tables.open import Opener
from posthouse.tables.proxy import ProxyClient
from posthouse.util import eager, log
from posthouse.util.errors import TableError

MAX_NEXTHOPS: Final = 5_000  # parsed nexthops kept


class SmtpAgent(AgentService):
    """See the module's docstring."""

    def __init__(self, context: Context, options: Options) -> None:
        """Open the tables. Raises ConfigError."""
        super().__init__(context, self.deliver)
        settings = context.settings
        self._loop = context.loop
        self._options = options
        proxymap = context.private(settings[PROXYMAP_SERVICE_NAME])
        self._proxy = ProxyClient(context.loop, proxymap, timeout_s=settings[IPC_TIMEOUT])
        self._opener = Opener(settings, proxy=self._proxy)
        self._rules: ContentRules = read_content_rules(settings, self._opener)
        self._pool = Pool()
        self._dns = DnsClient(context.loop, context.private("dns"))
        self._router = Router(context.loop, options.lookup, self._dns, HostsFile())
        self._active: Counter[str] = Counter()  # deliveries in progress, by nexthop
        self._nexthops: dict[str, list[tuple[Destination, bool]]] = {}

    def retire(self) -> None:
        """Close idle sessions; finish what is in progress."""
        self._pool.close()
        super().retire()

    def closing(self) -> None:
        """Take leave of servers that still wait."""
        self._pool.close()
        self._dns.close()
        self._proxy.close()
        self._opener.close()

    # One delivery.

    def deliver(self, delivery: Delivery) -> None:
        """Begin a delivery."""
        delivery.began = time.time()
        nexthop = delivery.request.nexthop
        destinations = self._nexthops.get(nexthop)
        if destinations is None:
            destinations = self._parse(nexthop)
        job = Job(delivery, self._options, self._rules, destinations)
        self._active[nexthop] += 1
        why_not = self._options.why_not
        if not destinations or why_not:
            text = why_not or f"bad destination: {nexthop}"
            job.no_route(NoRoute(DEFERRED, "4.7.4" if why_not else "4.3.5", text))
            job.give_up()
            self._finish(job)
            return
        if not job.mail.must_prepare:
            self._begin(job, destinations)
            return

        def prepared(outcome: eager.Outcome[None]) -> None:
            if isinstance(outcome.error, TableError):
                job.refuse("4.3.0", "local data error: addresses cannot be mapped now")
                self._finish(job)
            else:
                outcome.result()
                self._begin(job, destinations)

        eager.start(job.mail.prepare(self._loop), prepared)

    def _begin(self, job: Job, destinations: list[tuple[Destination, bool]]) -> None:
        """Look for a server."""
        session = self._pool.take_for_nexthop(job.nexthop)
        if session is None:
            self._next_destination(job)
            return
        job.start_with(session.endpoint)
        known = self._router.known(destinations[0][0])
        if known is not None:  # what may come after this session is known, then
            next(job.destinations)
            job.go_to(arrange(known, self._options.choice))
        self._use_again(session, job)

    def _parse(self, nexthop: str) -> list[tuple[Destination, bool]]:
        own = parse_destinations(nexthop, lmtp=self._options.lmtp) or []
        fallback = parse_destinations(self._options.fallback, lmtp=self._options.lmtp) or []
        destinations = [(each, False) for each in own]
        if own:
            destinations += [(each, True) for each in fallback if each not in own]
        if len(self._nexthops) >= MAX_NEXTHOPS:
            self._nexthops.clear()
        self._nexthops[nexthop] = destinations
        return destinations

    def _next_destination(self, job: Job) -> None:
        """Find the way to the next destination of the list; without one, give up."""
        following = next(job.destinations, None)
        if following is None:
            job.give_up()
            self._finish(job)
            return
        destination, job.is_fallback = following
        known = self._router.known(destination)
        if known is not None:
            job.go_to(arrange(known, self._options.choice))
            self._next_endpoint(job)
            return

        def found(outcome: eager.Outcome[Route]) -> None:
            self._route_found(job, outcome.result())

        eager.start(self._router.find(destination), found)

    def _route_found(self, job: Job, route: Route) -> None:
        if not isinstance(route, NoRoute):
            job.go_to(arrange(route, self._options.choice))
            self._next_endpoint(job)
            return
        soft = job.is_fallback or (self._options.fallback and not route.loops) or job.nexthop == self._options.relayhost
        job.no_route(route.softened() if soft and route.outcome == BOUNCED else route)
        if route.loops and not job.is_fallback:
            job.give_up()
            self._finish(job)
        else:
            self._next_destination(job)

    def _next_endpoint(self, job: Job) -> None:
        """Try the next address of this destination."""
        endpoint = job.next_endpoint()
        if endpoint is None:
            self._next_destination(job)
            return
        session = None if job.fresh_only else self._pool.take_for_address(endpoint.key)
        if session is not None:
            self._use_again(session, job)
        else:
            self._connect(endpoint, job, self._loop.time())

    def _connect(self, endpoint: Endpoint, job: Job, began: float) -> None:
        bind = self._options.bind
        try:
            sock = connect(endpoint, bind)
        except BlockingIOError:  # a UNIX socket with a full queue
            if self._loop.time() - began < (self._options.connect_s or 30.0):
                self._loop.call_later(RETRY_S, self._connect, endpoint, job, began)
            else:
                self._not_connected(endpoint, job, "Connection timed out")
            return
        except OSError as error:
            if self._bind_failed(endpoint, error):
                sock_or_none = self._connect_unbound(endpoint)
                if sock_or_none is not None:
                    self._open(sock_or_none, endpoint, job)
                    return
            self._not_connected(endpoint, job, error.strerror or str(error))
            return
        self._open(sock, endpoint, job)

    def _bind_failed(self, endpoint: Endpoint, error: OSError) -> bool:
        """Whether the source address is at fault, and may be done without."""
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        source = self._options.bind.get(family)
        if endpoint.is_unix or not source:
            return False
        log.warning(f"smtp_bind_address {source}: {error.strerror}")
        return not self._options.bind_enforce

    @staticmethod
    def _connect_unbound(endpoint: Endpoint) -> socket.socket | None:
        try:
            return connect(endpoint, {})
        except OSError:
            return None

    def _open(self, sock: socket.socket, endpoint: Endpoint, job: Job) -> None:
        session = Session(self._loop, sock, endpoint, self._options, self)
        session.nexthop = job.nexthop if endpoint.best and not job.is_fallback else ""
        session.open(job)

    def _not_connected(self, endpoint: Endpoint, job: Job, why: str) -> None:
        self.handshake_failed(None, job, Trouble("4.4.1", f"connect to {endpoint.relay}: {why}", connect=True))

    def _use_again(self, session: Session, job: Job) -> None:
        job.endpoint = session.endpoint
        job.delivery.conn_use = session.uses + 1
        job.connected(session)
        session.deliver(job)

    # What sessions tell.

    def handshake_failed(self, session: Session | None, job: Job, trouble: Trouble) -> None:
        """Go on with the next address."""
        if trouble.connect:
            log.info(trouble.text)
        job.server_failed(trouble)
        self._go_on(job)

    def transaction_over(self, session: Session, job: Job, trouble: Trouble | None) -> None:
        """Keep or close the session; go on with who is left, or finish."""
        if trouble is not None and session.went_stale and not job.fresh_only:
            # The server had closed a session that we kept; it heard nothing of this mail, so nothing is doubled.
            job.take_back()
            job.fresh_only = True
            job.delivery.conn_use = 0
            job.sessions -= 1
            self._connect(session.endpoint, job, self._loop.time())
            return
        job.transaction_lost(trouble)
        if trouble is None:
            self._release(session, job)
        self._go_on(job)

    def session_closed(self, session: Session) -> None:
        """Forget a session."""
        self._pool.remove(session)

    def _release(self, session: Session, job: Job) -> None:
        reuse = self._options.reuse
        # qmgr's hint was true when the request was made; others in progress now tell as well that the place is busy.
        busy = job.delivery.request.reuse or self._active[job.nexthop] > 1
        wanted = (reuse.on_demand and busy) or (reuse.destinations and self._is_always_kept(job.nexthop))
        if wanted and session.reusable and not self._context.lifetime.retiring:
            self._pool.put(session)
        else:
            session.take_leave()

    def _is_always_kept(self, nexthop: str) -> bool:
        """Whether smtp_connection_cache_destinations names a nexthop, without brackets and port or as it is."""
        names = self._options.reuse.destinations
        destinations = self._nexthops.get(nexthop) or self._parse(nexthop)
        return nexthop.lower() in names or destinations[0][0].host.lower() in names

    def _go_on(self, job: Job) -> None:
        if job.left:
            self._next_endpoint(job)
        else:
            self._finish(job)

    def _finish(self, job: Job) -> None:
        left = self._active[job.nexthop] - 1
        if left:
            self._active[job.nexthop] = left
        else:
            del self._active[job.nexthop]
        job.finish()


def start(context: Context) -> SmtpAgent:
    """Make the service."""
    return SmtpAgent(context, read_options(context.settings, context.queue_directory))
