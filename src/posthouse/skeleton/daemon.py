"""What a daemon declares (Daemon, Privileges), and what it supplies (Service, made from a Context)."""

import asyncio
import importlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from posthouse.config.parameter import Parameter
from posthouse.config.settings import Settings
from posthouse.skeleton.resources import Resources

if TYPE_CHECKING:
    from posthouse.skeleton.lifetime import Lifetime

UNLIMITED: Final = 1_000_000  # clients of a process whose service has no limit


@dataclass(frozen=True, slots=True)
class Privileges:
    """What a daemon may do. Words with $ are parameters whose values name files, users or services.

    What is not named here the kernel refuses (skeleton/rules.py makes the rules). Tables need not be named: every
    file that the daemon's parameters name as a table, or as a list's "/file", may be read.
    user: "root", "$mail_owner", "$network_owner" or "$queue_owner".
    network: of "accept" (inherited listening sockets), "connect" (TCP out), "dns" (UDP and TCP to name servers), and
    parameters that name a webhook (TCP to its port alone).
    reads: files and directories. writes: directories, with all that is in them. appends: single files, made when
    they are not there. accounts: looks up users and groups. threads: starts threads.
    remote_tables: opens tables with connections of their own itself (ADR 12); what these need, the network among it, is
    allowed where main.cf has such tables.
    asks_runas: may ask runas to act as a recipient. Where there is no runas it acts itself: in `mailboxes`, and when it
    `executes` with all the rights its user has, since commands of users may need any.
    """

    user: str
    chroot: Literal["allowed", "never"] = "allowed"
    network: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    appends: tuple[str, ...] = ()
    accounts: bool = False
    threads: bool = False
    remote_tables: bool = False
    asks_runas: bool = False
    mailboxes: tuple[str, ...] = ()
    executes: bool = False


class Service:
    """What serves. One object for the life of a process; everything happens in the event loop's callbacks."""

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a new connection from listening socket number `listener`. The service owns and closes it."""
        sock.close()

    def datagrams(self, sock: socket.socket) -> None:
        """Read a datagram socket that is readable (unix-dgram services only)."""

    def retire(self) -> None:
        """Begin to end: nothing new comes any more; finish what is in progress."""

    @property
    def busy(self) -> bool:
        """Whether something is in progress that is no session (unacknowledged results, open transactions)."""
        return False

    def closing(self) -> None:
        """Last call before the process exits: close stores, flush."""

    def numbers(self) -> dict[str, float]:
        """Count what governor(8) and metrics should know; asked every second, where the daemon talks to governor."""
        return {}


@dataclass(slots=True)
class Context:
    """What a service may use."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    lifetime: "Lifetime"
    queue_directory: str
    client_limit: int
    runas: socket.socket | None = None
    listeners: list[socket.socket] = field(default_factory=list)
    resources: Resources = field(default_factory=Resources)  # what is scarce; true where talks_to has "governor"

    def private(self, service: str) -> str:
        """Path of an internal service's socket."""
        return f"{self.queue_directory}/private/{service}"

    def public(self, service: str) -> str:
        """Path of a service's socket that programs of users may reach."""
        return f"{self.queue_directory}/public/{service}"

    def session_started(self) -> None:
        """Count a client in; every session calls this once, at its begin."""
        self.lifetime.session_started()

    def session_ended(self) -> None:
        """Count it out; every session calls this once, at its end."""
        self.lifetime.session_ended()


@dataclass(frozen=True, slots=True)
class Later:
    """What makes a service, by name: who only reads what daemons declare does not import all that they need.

    module: one of the daemon's own package.
    """

    module: str
    function: str

    def load(self) -> Callable[[Context], Service]:
        """Import it."""
        made: Callable[[Context], Service] = getattr(importlib.import_module(self.module), self.function)
        return made

    def __call__(self, context: Context) -> Service:
        """Make the service."""
        return self.load()(context)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon's first screen."""

    name: str
    start: Callable[[Context], Service]  # after the privileges are gone and the loop is there
    parameters: tuple[Parameter[Any], ...]  # what it reads from main.cf
    privileges: Privileges
    talks_to: tuple[str, ...] = ()  # services whose sockets it connects to
    resident: bool = False  # is not retired for idleness or use (qmgr)
    clients: int = UNLIMITED  # accepts at most so many at once, whatever maxproc says (agents: one channel of qmgr)

    def load(self) -> None:
        """Import all that it is made of: in the warm image, before anything is forked."""
        if isinstance(self.start, Later):
            self.start.load()
