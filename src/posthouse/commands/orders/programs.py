"""The programs of master.cf: which package serves each, as whom, and when it is stopped.

The same table stands in docs/security.md; a test compares the owners with what each daemon declares for itself.
"""

import importlib.util
from dataclasses import dataclass
from typing import Final

from posthouse.ipc.orders_wire import Owner


@dataclass(frozen=True, slots=True)
class Program:
    """One program. stop_phase: see master/stop.py. solitary: always exactly one process, with any number of clients."""

    package: str
    owner: Owner
    stop_phase: int
    solitary: bool = False
    prefork: bool = False


_INNER, _NETWORK, _QUEUE = Owner
PROGRAMS: Final[dict[str, Program]] = {
    "smtpd": Program("smtpd", _NETWORK, 0),
    "postscreen": Program("postscreen", _NETWORK, 0, solitary=True),
    "tlsproxy": Program("tlsproxy", _NETWORK, 0),
    "qmqpd": Program("qmqpd", _NETWORK, 0),
    "smtp": Program("smtp", _NETWORK, 0),
    "lmtp": Program("smtp", _NETWORK, 0),
    "dnsblog": Program("dnsblog", _NETWORK, 1),
    "dns": Program("dns", _NETWORK, 1, solitary=True),
    "pickup": Program("pickup", _INNER, 0, solitary=True),
    "local": Program("local", _INNER, 0),
    "virtual": Program("virtual", _INNER, 0),
    "pipe": Program("pipe", _INNER, 0),
    "spawn": Program("spawn", _INNER, 0),
    "error": Program("error", _INNER, 0),
    "discard": Program("discard", _INNER, 0),
    "cleanup": Program("cleanup", _INNER, 1),
    "trivial-rewrite": Program("trivial_rewrite", _INNER, 1),
    "proxymap": Program("proxymap", _INNER, 1),
    "bounce": Program("bounce", _INNER, 1),
    "verify": Program("verify", _INNER, 1, solitary=True),
    "flush": Program("flush", _INNER, 1, solitary=True),
    "anvil": Program("anvil", _INNER, 1, solitary=True),
    "scache": Program("scache", _INNER, 1, solitary=True),
    "tlsmgr": Program("tlsmgr", _INNER, 1, solitary=True),
    "showq": Program("showq", _INNER, 1),
    "governor": Program("governor", _INNER, 1, solitary=True),
    "metrics": Program("metrics", _NETWORK, 1, solitary=True),
    "qmgr": Program("qmgr", _QUEUE, 2, solitary=True, prefork=True),
    "oqmgr": Program("qmgr", _QUEUE, 2, solitary=True, prefork=True),
    "postlogd": Program("postlogd", _INNER, 3, solitary=True),
}

# What runs when there is no master.cf at all: the services of a stock one, none of them chrooted.
STOCK_MASTER_CF: Final = b"""\
smtp       inet n - n - - smtpd
pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 300 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
verify     unix - - n - 1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp       unix - - n - - smtp
relay      unix - - n - - smtp
showq      unix n - n - - showq
error      unix - - n - - error
retry      unix - - n - - error
discard    unix - - n - - discard
local      unix - n n - - local
virtual    unix - n n - - virtual
lmtp       unix - - n - - lmtp
anvil      unix - - n - 1 anvil
scache     unix - - n - 1 scache
postlog    unix-dgram n - n - 1 postlogd
"""
# Added when master.cf lacks them: what Postfix needs no service for, and what older files do not have.
INTERNAL_MASTER_CF: Final = b"""\
dns        unix - - n - 0 dns
governor   unix - - n - 1 governor
submit     unix n - n - 1 pickup
retry      unix - - n - - error
proxymap   unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
postlog    unix-dgram n - n - 1 postlogd
"""


def is_built(package: str) -> bool:
    """Tell whether this release has the daemon."""
    if importlib.util.find_spec(f"posthouse.daemons.{package}") is None:
        return False
    return importlib.util.find_spec(f"posthouse.daemons.{package}.daemon") is not None
