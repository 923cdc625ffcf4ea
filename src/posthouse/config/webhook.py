"""Webhook: the URL of something that is told by HTTP. Plain HTTP: the other end is on this host or network."""

import re
from typing import Final, NamedTuple

from posthouse.config.parameter import ConfigValueError, Parameter

_URL: Final = re.compile(
    r"http://(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?", re.ASCII
)


class Endpoint(NamedTuple):
    """Where to post. host: a name or an address, without brackets; path begins with "/"."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host: field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


class Webhook(Parameter[Endpoint | None]):
    """An http:// URL, or nothing."""

    def parse(self, text: str) -> Endpoint | None:
        """Take the URL apart."""
        if not text:
            return None
        match = _URL.fullmatch(text)
        port = int(match["port"] or 80) if match else 0
        if match is None or not 0 < port < 65536:
            raise ConfigValueError(f'"{text}" is not http://host:port/path')
        return Endpoint(match["host"].strip("[]"), port, match["path"] or "/")
