"""A network of its own for a test: a namespace with a loopback whose packets get lost. Needs root and nft(8)."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.peers import find_peer, peer_environment

_CLONE_NEWNET: Final = 0x40000000


class Network:
    """The namespace in which this thread is while the context lasts, and what it starts, threads and processes."""

    def lose(self, percent: int) -> None:
        """Drop that many of a hundred TCP packets; 0: none."""
        rules = "table inet loss {}\ndelete table inet loss\ntable inet loss {\n"
        rules += "chain input {\ntype filter hook input priority 0\n"
        if percent:
            rules += f"meta l4proto tcp numgen random mod 100 < {percent} counter drop\n"
        rules += "}\n}\n"
        self._nft("-f", "-", given=rules)

    @property
    def lost(self) -> int:
        """Packets dropped since lose()."""
        words = self._nft("list", "table", "inet", "loss").split()
        return int(words[words.index("packets") + 1])

    @staticmethod
    def _nft(*arguments: str, given: str = "") -> str:
        command = [find_peer("nft"), *arguments]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=30, env=peer_environment()
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def own_network() -> Iterator[Network]:
    """Enter a new namespace with a loopback of its own; skips where that, or nft(8), is not to be had."""
    if not find_peer("nft"):
        pytest.skip("nft is not here: make peers")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield Network()
        finally:
            assert libc.setns(before.fileno(), _CLONE_NEWNET) == 0, "the test stays in its namespace"
