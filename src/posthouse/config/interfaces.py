"""The addresses of this host's network interfaces, asked of the Linux kernel (rtnetlink).

The standard library has no getifaddrs(3). Where netlink is not allowed the loopback addresses stand in.
Source: rtnetlink(7), RTM_GETADDR.
"""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_RTM_GETADDR: Final = 22
_RTM_NEWADDR: Final = 20
_DUMP_REQUEST: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_DONE: Final = 3
_NLMSG_ERROR: Final = 2
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_HEADER: Final = struct.Struct("=LHHLL")  # struct nlmsghdr
_IFADDRMSG: Final = struct.Struct("=BBBBL")
_ATTRIBUTE: Final = struct.Struct("=HH")
_BUFFER: Final = 1 << 16  # bytes; one netlink reply is at most 32 kB


class InterfaceAddress(NamedTuple):
    """One address of one interface."""

    interface: str
    address: Address
    prefix_length: int


LOOPBACK_ONLY: Final = (
    InterfaceAddress("lo", ipaddress.IPv4Address("127.0.0.1"), 8),
    InterfaceAddress("lo", ipaddress.IPv6Address("::1"), 128),
)


@cache
def interface_addresses() -> tuple[InterfaceAddress, ...]:
    """Ask the kernel for all addresses, loopback included. Once for a process: later it may be unable to."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(5)
            request = _HEADER.pack(_HEADER.size + _IFADDRMSG.size, _RTM_GETADDR, _DUMP_REQUEST, 1, 0)
            netlink.send(request + _IFADDRMSG.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
            found = tuple(_replies(netlink))
    except OSError:
        return LOOPBACK_ONLY
    return found or LOOPBACK_ONLY


def _replies(netlink: socket.socket) -> Iterator[InterfaceAddress]:
    while True:
        data = netlink.recv(_BUFFER)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
            if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < _HEADER.size:
                return
            if kind == _RTM_NEWADDR:
                yield from parse_address_message(data[at + _HEADER.size : at + length])
            at += (length + 3) & ~3
        if not data:
            return


def parse_address_message(message: bytes) -> Iterator[InterfaceAddress]:
    """Read one RTM_NEWADDR; nothing when it carries no address of a family we know."""
    family, prefix_length, _flags, _scope, index = _IFADDRMSG.unpack_from(message)
    attributes: dict[int, bytes] = {}
    at = _IFADDRMSG.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            break
        attributes[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    # On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL is ours.
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if packed is None or (family, len(packed)) not in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        return
    name = str(index)
    with contextlib.suppress(OSError):
        name = socket.if_indextoname(index)
    yield InterfaceAddress(name, ipaddress.ip_address(packed), prefix_length)
