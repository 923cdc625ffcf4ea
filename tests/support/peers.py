"""Programs nobody here wrote, used as clients, servers and peers: where they are.

As root they are Debian's packages, installed by apt; without root `tools/setup_peers.sh` unpacks the same packages
below var/peers. What runs from there is found here, with the library path it needs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
UNPACKED: Final = REPOSITORY / "var" / "peers"
_PLACES: Final = ("usr/sbin", "usr/bin", "usr/lib/postfix/sbin")


def find_peer(name: str) -> str:
    """Return the path of a peer's program, "" when it is nowhere."""
    for root in (Path("/"), UNPACKED):
        for place in _PLACES:
            path = root / place / name
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
    return ""


def peer_environment() -> Mapping[str, str]:
    """Return an environment in which unpacked programs find their libraries and modules."""
    libraries = [UNPACKED / "usr/lib/postfix", *UNPACKED.glob("usr/lib/*-linux-gnu*")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries if path.is_dir()),
        "PERL5LIB": str(UNPACKED / "usr/share/perl5"),
    }
