"""Which name servers to ask: dns_nameservers, or /etc/resolv.conf, which is read again when it changes.

Of resolv.conf(5), `nameserver` and the options timeout, attempts and rotate count; names are never completed, so
`search` and `domain` do not. Without any server the local one is asked, as the resolver library does.
"""

import ipaddress
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from posthouse.config.parameter import ConfigValueError
from posthouse.net.dns import Options, Server
from posthouse.util import log
from posthouse.util.successor import ask_for_successor

PATH: Final = "/etc/resolv.conf"
CHECK_S: Final = 2.0  # how often the file is looked at
MAX_SERVERS: Final = 3  # resolv.conf(5): MAXNS
MAX_TIMEOUT: Final = 30  # seconds; resolv.conf(5)
MAX_ATTEMPTS: Final = 5  # resolv.conf(5)
MAX_SIZE: Final = 64 * 1024  # bytes
LOCAL: Final = Server("127.0.0.1")

_BRACKETED: Final = re.compile(r"\[([^\]]*)\](?::([0-9]{1,5}))?", re.ASCII)
_PLAIN: Final = re.compile(r"([0-9.]+)(?::([0-9]{1,5}))?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


def parse_server(text: str) -> Server:
    """Read "127.0.0.1", "127.0.0.1:5353", "::1" or "[::1]:5353". Raises ConfigValueError."""
    match = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    address, port = (match[1], match[2] or "53") if match else (text, "53")
    try:
        normal = str(ipaddress.ip_address(address))
    except ValueError:
        raise ConfigValueError(f'"{text}" is no address of a name server; write 127.0.0.1 or 127.0.0.1:5353') from None
    if not 0 < int(port) < 65536:
        raise ConfigValueError(f'"{text}": the port must be between 1 and 65535')
    return Server(normal, int(port))


def parse_resolv_conf(text: str) -> Options:
    """Read the text of a resolv.conf; what is wrong in it is passed over, as the resolver library does."""
    servers: list[Server] = []
    limits = {"timeout": 5, "attempts": 2}
    rotate = False
    for line in text.split("\n"):
        words = line.partition("#")[0].partition(";")[0].split()
        if len(words) > 1 and words[0] == "nameserver" and len(servers) < MAX_SERVERS:
            try:
                servers.append(Server(str(ipaddress.ip_address(words[1]))))  # a link-local one keeps its %interface
            except ValueError:
                continue
        elif words and words[0] == "options":
            for option in words[1:]:
                name, _, value = option.partition(":")
                rotate = rotate or option == "rotate"
                if name in limits and _NUMBER.fullmatch(value):
                    limits[name] = int(value)
    timeout_s = float(max(1, min(limits["timeout"], MAX_TIMEOUT)))
    return Options(tuple(servers) or (LOCAL,), timeout_s, max(1, min(limits["attempts"], MAX_ATTEMPTS)), rotate)


class NameServers:
    """Call it for the present options."""

    def __init__(
        self, configured: Sequence[str], path: str = PATH, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._clock = path, clock
        self._options = Options(tuple(parse_server(each) for each in configured) or (LOCAL,))
        self._fixed = bool(configured)
        self._checked = -CHECK_S
        self._identity: tuple[int, int, int] | None = None

    def __call__(self) -> Options:
        """Give the servers and limits that hold now."""
        now = self._clock()
        if not self._fixed and now - self._checked >= CHECK_S:
            self._checked = now
            self._refresh()
        return self._options

    def _refresh(self) -> None:
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
        except OSError as error:
            if self._identity is not None or not isinstance(error, FileNotFoundError):
                log.warning(f"{self._path}: {error.strerror}; the name servers stay as they were")
            self._identity = None
            return
        self._identity = identity
        self._options = parse_resolv_conf(text)
