"""What a declaration says, in words: for the table in docs/security.md and the manual pages."""

from posthouse.config.parameter import Patterns, Restrictions, Tables
from posthouse.skeleton.daemon import Daemon

NOTHING = "nothing"


def network(daemon: Daemon) -> str:
    """Say what it does with the network."""
    words = {"accept": "accepts", "connect": "connects (TCP)", "dns": "asks name servers (UDP, TCP)"}
    named = [words.get(word, f"port of `{word}` (TCP)") for word in daemon.privileges.network]
    if daemon.privileges.remote_tables:
        named.append("servers of its tables (TCP, UDP for their names), where it has such")
    return ", ".join(named) or "none"


def threads(daemon: Daemon) -> str:
    """Say whether it starts threads."""
    return "where tables need them" if daemon.privileges.remote_tables else yes(daemon.privileges.threads)


def reads(daemon: Daemon) -> str:
    """Name what it opens for reading, its own code apart."""
    found = [f"`{path}`" for path in daemon.privileges.reads]
    if has_tables(daemon):
        found.append("its tables")
    if daemon.privileges.accounts:
        found.append("account files")
    return ", ".join(found) or NOTHING


def has_tables(daemon: Daemon) -> bool:
    """Tell whether its parameters may name tables."""
    return any(isinstance(parameter, (Tables, Patterns, Restrictions)) for parameter in daemon.parameters)


def writes(daemon: Daemon) -> str:
    """Name what it writes, or may add to."""
    found = [f"`{path}/`" for path in daemon.privileges.writes]
    found += [f"`{path}` (appends)" for path in daemon.privileges.appends]
    if daemon.privileges.asks_runas:
        found.append("by way of runas")
    if daemon.privileges.remote_tables:
        found.append("as proxywrite: caches that `$proxy_write_maps` names")
    return ", ".join(found) or NOTHING


def sockets(daemon: Daemon) -> str:
    """Name the services that it connects to, the log apart."""
    return ", ".join(daemon.talks_to) or "none"


def yes(value: bool) -> str:
    """Write a mark for what is allowed."""
    return "yes" if value else "no"
