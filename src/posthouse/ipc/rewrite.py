"""The protocol of trivial-rewrite(8): rewrite and resolve, in batches. Both ends' records.

Every answer carries a generation; when it differs from the one before, a table or the configuration has changed, and
the client drops what it has cached.
"""

from typing import Final

import msgspec

from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "rewrite"
VERSION: Final = 1

# Flags of a resolved address (trivial-rewrite(8)).
ROUTED, ERROR, FAILED = 1, 2, 4  # routed: %, !, @ routing in the local part; error: bad address; failed: try again
CLASS_LOCAL, CLASS_ALIAS, CLASS_VIRTUAL, CLASS_RELAY, CLASS_DEFAULT = 16, 32, 64, 128, 256


class Rewrite(Request, frozen=True, tag=1):
    """Bring addresses to standard form. context: "local" or "remote"."""

    context: str
    addresses: list[str]


class Resolve(Request, frozen=True, tag=2):
    """Find transport, nexthop and recipient for addresses. kind: "resolve" or "verify" (probes)."""

    sender: str
    addresses: list[str]
    kind: str = "resolve"


class Resolved(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where one address goes."""

    flags: int
    transport: str
    nexthop: str
    recipient: str


class RewriteResult(Request, frozen=True, tag=11):
    """Addresses in the order they were asked."""

    generation: int
    addresses: list[str]


class ResolveResult(Request, frozen=True, tag=12):
    """Resolutions in the order they were asked."""

    generation: int
    resolved: list[Resolved]


ToRewrite = Rewrite | Resolve
FromRewrite = RewriteResult | ResolveResult
SERVER: Final[Protocol[ToRewrite]] = Protocol(NAME, VERSION, ToRewrite)
CLIENT: Final[Protocol[FromRewrite]] = Protocol(NAME, VERSION, FromRewrite)
