"""Where an inet service of master.cf listens: addresses and ports of its first column.

The name is "port", "host:port" or "[address]:port"; without a host it means every address of inet_interfaces.
Ports are numbers, names of known_tcp_ports, or names of /etc/services (facts B01.21).
"""

import re
import socket
from typing import Final

from posthouse.config.lists import BLANKS
from posthouse.config.master_cf import Service
from posthouse.config.own_addresses import addresses_of, own_interfaces, parse_protocols
from posthouse.config.parameter import ConfigValueError
from posthouse.config.settings import Settings
from posthouse.util import log
from posthouse.util.errors import ConfigError

INET_PROTOCOLS: Final = "inet_protocols"
MAX_PORT: Final = 65535
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)


def split_endpoint(name: str) -> tuple[str, str]:
    """Split "host:port" into host ("" when there is none, without brackets) and port."""
    if name.startswith("["):
        host, bracket, rest = name[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ConfigValueError(f'"{name}" is no endpoint; write port, host:port or [address]:port')
        return host, rest[1:]
    host, _, port = name.rpartition(":")
    return host, port


def find_port(text: str, known: dict[str, int]) -> int:
    """Give the number of a port. Raises ConfigValueError: out of range, or no such name."""
    if _NUMBER.fullmatch(text):
        number = int(text[:6])
        if 0 < number <= MAX_PORT:
            return number
        raise ConfigValueError(f'port "{text}" is not between 1 and {MAX_PORT}')
    if text in known:
        return known[text]
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):  # ValueError: octets that no name has
        raise ConfigValueError(f'no port is known by the name "{text}"; write its number') from None


def service_addresses(service: Service, settings: Settings, path: str = "") -> tuple[tuple[str, int], ...]:
    """Give the (address, port) pairs at which an inet service listens. Raises ConfigError with file and line.

    inet_interfaces = all listens on the wildcard addresses, as Postfix does.
    """
    try:
        host, port_text = split_endpoint(service.name)
        port = find_port(port_text, parse_tcp_ports(settings.text("known_tcp_ports"), "known_tcp_ports"))
        versions = parse_protocols(settings.text(INET_PROTOCOLS))
        if host:
            found = [address for address in addresses_of(host) if address.version in versions]
        elif settings.text("inet_interfaces").strip().lower() == "all":
            wildcards = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (what "all" means)
            return tuple((wildcards[version], port) for version in sorted(versions))
        else:
            found = [item.address for item in own_interfaces(settings.text)]
    except ConfigValueError as error:
        if error.parameter == INET_PROTOCOLS:
            raise settings.error(error.parameter, str(error)) from None
        raise ConfigError(str(error), file=path, line=service.line) from None
    if not found:
        why = f'"{service.name}" has no address of the protocols in inet_protocols; change one of the two'
        raise ConfigError(why, file=path, line=service.line)
    return tuple((str(address), port) for address in dict.fromkeys(found))


def parse_tcp_ports(text: str, name: str = "known_tcp_ports") -> dict[str, int]:
    """Read "a = b = 25, c = 24" as port numbers by name. What is wrong is logged and left out."""
    ports, faults = read_tcp_ports(text)
    for fault in faults:
        log.warning(f"{name}: {fault}")
    return ports


def read_tcp_ports(text: str) -> tuple[dict[str, int], list[str]]:
    """Do the same, but give what is wrong as texts."""
    ports: dict[str, int] = {}
    told: list[str] = []
    for item in text.split(","):
        if not item.strip():
            continue
        *names, number = [part.strip() for part in item.split("=")]
        if not names:
            told.append(f'in "{item}" is not in "name = value" form')
            continue
        item_fault = _number_fault(number)
        faults = [item_fault] if item_fault else [fault for fault in map(_name_fault, names) if fault]
        if not item_fault:
            ports |= {service: int(number) for service in names if _name_fault(service) is None}
        told += [f'in "{item}": {fault}' for fault in dict.fromkeys(faults)]
    return ports, told


def _number_fault(number: str) -> str | None:
    if not number:
        return 'missing port value after "="'
    if any(blank in number for blank in BLANKS):
        return "whitespace in port number"
    if not _NUMBER.fullmatch(number):
        return "non-numerical service port"
    return None if 0 < int(number[:6]) <= MAX_PORT else "port number out of range"


def _name_fault(name: str) -> str | None:
    if not name:
        return 'missing service name before "="'
    if any(blank in name for blank in BLANKS):
        return "whitespace in service name"
    return "numerical service name" if _NUMBER.fullmatch(name) else None
