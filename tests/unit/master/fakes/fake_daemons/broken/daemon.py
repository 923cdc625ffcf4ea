"""Broken: cannot start."""

from posthouse.skeleton.daemon import Context, Daemon, Privileges, Service
from posthouse.util.errors import Fatal


def start(_context: Context) -> Service:
    """Give up."""
    raise Fatal("nothing works")


DAEMON = Daemon(name="broken", start=start, parameters=(), privileges=Privileges(user="$mail_owner"))
