"""The hosts file: names and addresses the administrator wrote down (hosts(5)). Read again when it changes."""

import ipaddress
import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from posthouse.util.successor import ask_for_successor

PATH: Final = "/etc/hosts"
CHECK_S: Final = 2.0  # how often the file is looked at
MAX_SIZE: Final = 4 * 1024 * 1024  # bytes


class HostsFile:
    """Lookups in one hosts file; a file that cannot be read is an empty one."""

    def __init__(self, path: str = PATH, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._checked = -CHECK_S
        self._identity: tuple[int, int, int] | None = None
        self._addresses: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}

    def addresses(self, name: str) -> list[str]:
        """Give the addresses of a name, in the order of the file."""
        self._refresh()
        return self._addresses.get(name.lower(), [])

    def name(self, address: str) -> str | None:
        """Give the canonical name of an address: the first one of its first line."""
        self._refresh()
        return self._names.get(normal_address(address) or "")

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._checked < CHECK_S:
            return
        self._checked = now
        try:
            status = os.stat(self._path)
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            if identity == self._identity:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_SIZE)
        except PermissionError:  # another file was renamed into its place
            ask_for_successor(f"{self._path} was replaced")
            return
        except OSError:
            self._identity, self._addresses, self._names = None, {}, {}
            return
        self._identity = identity
        self._parse(text)

    def _parse(self, text: str) -> None:
        self._addresses, self._names = {}, {}
        for line in text.split("\n"):
            words = line.partition("#")[0].split()
            address = normal_address(words[0]) if words else None
            if address is None or len(words) < 2:
                continue
            self._names.setdefault(address, words[1])
            for name in words[1:]:
                known = self._addresses.setdefault(name.lower(), [])
                if address not in known:
                    known.append(address)


@lru_cache(maxsize=4096)
def normal_address(text: str) -> str | None:
    """Write an IP address the one normal way; None: it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
