"""What the records of all internal protocols are made of; never compiled (docs/adr/0014-native-build.md)."""

from typing import Final

import msgspec

replace: Final = msgspec.structs.replace  # a copy of a record with other values; nobody else need know msgspec


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=True):
    """Base of all records; each subclass names its tag."""


class Hello(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="hello"):
    """The first frame each way."""

    protocol: str
    version: int


class Request(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Base of a numbered request, and of its reply."""

    id: int


class PeerCredentials(msgspec.Struct, frozen=True):
    """Who is at the other end of a UNIX socket, as the kernel says (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int
