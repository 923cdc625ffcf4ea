"""From a daemon's declaration and the configuration in force to the Rules of its process.

The tables that a daemon reads are those its parameters name, so nobody writes their paths down twice. A table in a
directory of its own gets a rule on the directory, since a new file may be renamed over it; one that lies among other
things (/etc/aliases) gets a rule on the file alone, and when that is replaced the process asks for a successor.
"""

import os.path
from collections.abc import Iterable, Iterator
from typing import Any, Final

from posthouse.config.check_tables import TEXT_TYPES, tables_in
from posthouse.config.index_files import INDEX_SUFFIXES, OLD_SUFFIX, REDIRECTED
from posthouse.config.lists import ListSyntaxError, parse_items
from posthouse.config.parameter import NameList, Parameter, Patterns, String
from posthouse.config.parameters import MAILLOG_FILE, MYORIGIN, PROXY_READ_MAPS, QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.config.webhook import Webhook
from posthouse.confine.rules import ANY_PORT, Rules
from posthouse.skeleton.daemon import Daemon
from posthouse.tables.needs import SERVERS, Needs, needs_of
from posthouse.tables.open import REMOTE
from posthouse.tables.served import served_tables

RESTRICTION_CLASSES: Final = "smtpd_restriction_classes"
DNS_PORT: Final = 53
PUBLIC_SERVICES: Final = frozenset({"cleanup", "flush", "pickup", "postlog", "qmgr", "showq"})  # the rest is private/
# Directories that hold other people's files as well.
SHARED_DIRECTORIES: Final = frozenset(
    {
        "/", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/usr", "/usr/local", "/usr/local/etc", "/var",
        "/var/lib", "/var/spool", "/tmp", "/var/tmp",  # noqa: S108 - named, not written to
    }
)  # fmt: skip
# Where names of hosts and certificates are looked up, by libraries of remote tables; /etc comes with the accounts.
RESOLVER_FILES: Final = ("/run/systemd/resolve", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
# Delivery agents open what decides about rights without "proxy:"; what is remote of it is proxymap's all the same.
DELIVERY_AGENTS: Final = frozenset({"local", "virtual"})
SENSITIVE_MAPS: Final = frozenset({"alias_maps", "virtual_gid_maps", "virtual_mailbox_maps", "virtual_uid_maps"})
PROXY_WRITE_MAPS: Final = "proxy_write_maps"
REMOTE_TABLES: Final = "posthouse_remote_tables"  # among proxymap's settings: those that services name (orders)
ACCOUNT_FILES: Final = ("/etc", "/var/lib/sss/mc", "/run/systemd/userdb")  # "/etc": passwd is replaced by a new file
OWN_SOURCE: Final = os.path.dirname(os.path.dirname(__file__))  # so that a traceback shows lines; no secret is in it


def compute_rules(
    daemon: Daemon, settings: Settings, *, has_runas: bool, user: str = "", chroot: bool = False
) -> Rules:
    """Say what a process of this daemon may do. has_runas: runas acts for it; without, it acts itself."""
    wanted, queue = daemon.privileges, settings[QUEUE_DIRECTORY]
    specs = list(_tables(daemon, settings))
    remote = _remote_needs(daemon, specs, settings)
    accounts = wanted.accounts or any(kind == "unix" for kind, _ in specs)
    reads = [
        OWN_SOURCE,
        *_expanded(wanted.reads, settings),
        *(_own_directory(path, queue) or path for path in (*_paths(specs), *remote.files)),
        *(RESOLVER_FILES if remote.network else ()),
    ]
    acts_itself = wanted.asks_runas and not has_runas
    log = settings[MAILLOG_FILE]
    return Rules(
        daemon=daemon.name,
        user=user,
        root_directory=queue if chroot else "",
        reads=_unique([*reads, *(ACCOUNT_FILES if accounts else ())]),
        writes=_unique(
            [
                *_expanded((*wanted.writes, *(wanted.mailboxes if acts_itself else ())), settings),
                *(_cache_directories(settings, queue) if wanted.remote_tables else ()),
            ]
        ),
        appends=_unique(path for path in _expanded(wanted.appends, settings) if path != "/dev/stdout"),
        sockets=_unique([*_sockets(daemon, queue), *remote.sockets, f"{queue}/public/postlog" if log else "/dev/log"]),
        tcp_connect=ANY_PORT if remote.network else _connect_ports(wanted.network, settings),
        tcp_bind=(0,) if "connect" in wanted.network or "dns" in wanted.network else (),
        udp="dns" in wanted.network or remote.network,
        threads=wanted.threads or acts_itself or (wanted.remote_tables and any(kind in REMOTE for kind, _ in specs)),
        executes=acts_itself and wanted.executes,
        accounts=accounts,
    )


def table_types(daemon: Daemon, settings: Settings) -> frozenset[str]:
    """Name the types of the tables a daemon will open."""
    return frozenset(kind for kind, _ in _tables(daemon, settings))


def table_files(daemon: Daemon, settings: Settings) -> frozenset[str]:
    """Name the files of the tables that a daemon will open."""
    return frozenset(_paths(_tables(daemon, settings)))


def remote_specs(daemon: Daemon, settings: Settings) -> frozenset[str]:
    """Name the remote tables that a daemon asks proxymap for though main.cf does not say "proxy:"."""
    return frozenset(f"{kind}:{name}" for kind, name in _named_tables(daemon, settings) if kind in REMOTE)


def _remote_needs(daemon: Daemon, specs: Iterable[tuple[str, str]], settings: Settings) -> Needs:
    """Sum up what the remote tables of a daemon need that opens them itself."""
    if not daemon.privileges.remote_tables:
        return Needs()
    needs = [needs_of(kind, name, settings) for kind, name in specs if kind in REMOTE]
    return Needs(
        tuple(path for need in needs for path in need.files),
        tuple(path for need in needs for path in need.sockets),
        any(need.network for need in needs),
    )


def _connect_ports(network: tuple[str, ...], settings: Settings) -> tuple[int, ...] | None:
    if "connect" in network or "dns" in network:
        return ANY_PORT  # a next hop, and a name server, may be configured with any port
    hooks = (settings[Webhook(word[1:], "", doc="")] for word in network if word.startswith("$"))
    return tuple(hook.port for hook in hooks if hook is not None)


def _sockets(daemon: Daemon, queue: str) -> Iterator[str]:
    for service in daemon.talks_to:
        directory = "public" if service in PUBLIC_SERVICES else "private"
        yield f"{queue}/{directory}" if " " in service else f"{queue}/{directory}/{service}"


def _tables(daemon: Daemon, settings: Settings) -> Iterator[tuple[str, str]]:
    """Find every (type, name) that a daemon opens itself, as its parameters name them; ("", path) is a plain file."""
    for kind, name in _named_tables(daemon, settings):
        if kind not in REMOTE:
            yield kind, name
        elif daemon.privileges.remote_tables:
            yield kind, name
            yield from needs_of(kind, name, settings).tables


def _named_tables(daemon: Daemon, settings: Settings) -> Iterator[tuple[str, str]]:
    """Find every (type, name) that the values of a daemon's parameters name, but for those asked by "proxy:"."""
    for parameter in daemon.parameters:
        opened_here = daemon.name in DELIVERY_AGENTS and parameter.name in SENSITIVE_MAPS
        through_proxymap = "proxymap" in daemon.talks_to and not opened_here
        for item in _items(parameter, settings):
            if through_proxymap and item.startswith("proxy:"):
                continue
            names_file = isinstance(parameter, Patterns) or parameter in (MYORIGIN, PROXY_READ_MAPS)
            if names_file and item.lstrip("!").startswith("/"):
                yield "", item.lstrip("!")
            else:
                yield from tables_in((item,))


def _items(parameter: Parameter[Any], settings: Settings) -> Iterator[str]:
    if not isinstance(parameter, (NameList, String)) or not parameter.expanded:
        return
    if parameter.name == PROXY_WRITE_MAPS:
        yield from sorted(_changed_tables(settings))
        return
    if parameter is PROXY_READ_MAPS and _is_proxywrite(settings):
        return
    if parameter is PROXY_READ_MAPS:
        approved = settings[PROXY_READ_MAPS]
        yield from (*(item for item in approved if item.startswith("/")), *sorted(served_tables(approved)))
        yield from parse_items(settings.text(REMOTE_TABLES))
        return
    texts = [settings.text(parameter.name)]
    if parameter.name == RESTRICTION_CLASSES:
        texts += [settings.text(name) for name in texts[0].replace(",", " ").split()]
    for text in texts:
        if ":" in text or "/" in text:
            try:
                yield from parse_items(text)
            except ListSyntaxError:
                continue  # the check of the configuration has said so


def _is_proxywrite(settings: Settings) -> bool:
    return settings.service_name == (settings.text("proxywrite_service_name") or "proxywrite")


def _changed_tables(settings: Settings) -> frozenset[str]:
    """Name the tables that this service may change: those of proxywrite, and nobody else's."""
    if not _is_proxywrite(settings):
        return frozenset()
    try:
        return served_tables(parse_items(settings.text(PROXY_WRITE_MAPS)))
    except ListSyntaxError:
        return frozenset()


def _cache_directories(settings: Settings, queue: str) -> Iterator[str]:
    """Name the directories in which proxywrite changes tables, and makes them: such as hold nothing else."""
    for kind, name in tables_in(tuple(_changed_tables(settings))):
        if kind in INDEX_SUFFIXES and name.startswith("/") and (directory := _own_directory(name, queue)):
            yield directory


def _paths(specs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for kind, name in specs:
        path = name + INDEX_SUFFIXES.get(kind, "")
        if path.startswith("/") and kind in {"", *TEXT_TYPES, *INDEX_SUFFIXES, *SERVERS, "sqlite"}:
            yield path
            if kind in REDIRECTED and os.path.exists(name + OLD_SUFFIX):
                yield name + OLD_SUFFIX


def _own_directory(path: str, queue: str) -> str:
    """Give the directory of a table when it is for such files; "" when others' files are there too."""
    directory = os.path.dirname(os.path.normpath(path))
    holds_the_queue = f"{queue}/".startswith(directory + "/")
    return "" if directory in SHARED_DIRECTORIES or holds_the_queue else directory


def _expanded(words: Iterable[str], settings: Settings) -> Iterator[str]:
    for word in words:
        path = settings.expand(word)
        if path.startswith("/"):
            yield os.path.normpath(path)


def _unique(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(paths)))
