"""host, host:port, [host], [host]:port: how main.cf names servers. Source: postconf(5), relayhost and its like."""

from typing import Final

from posthouse.protocol.domain import is_ipv4_address, is_ipv6_address
from posthouse.protocol.idn import is_valid_domain

_IPV6_PREFIX: Final = "ipv6:"


def split_host_port(text: str, default_port: str) -> tuple[str, str]:
    """Split into host and port, without brackets and without "IPv6:" in them. Raises ValueError: the reason."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError('missing "]"')
        if rest and not rest.startswith(":"):
            raise ValueError('garbage after "]"')
        port = rest[1:]
        if host[: len(_IPV6_PREFIX)].lower() == _IPV6_PREFIX:
            host = host[len(_IPV6_PREFIX) :]
            if not is_ipv6_address(host):
                raise ValueError("malformed IPv6 address")
    else:
        host, colon, port = text.rpartition(":")
        if not colon:
            host, port = text, ""
        if not host:
            raise ValueError("missing host information")
    if not _is_host(host):
        raise ValueError("valid hostname or network address required")
    if port[:1].isascii() and port[:1].isdigit() and not (port.isascii() and port.isdigit()):
        raise ValueError("garbage after numerical service")
    return host, port or default_port


def _is_host(text: str) -> bool:
    if text.startswith("["):
        return False
    return is_valid_domain(text) or is_ipv4_address(text) or is_ipv6_address(text)
