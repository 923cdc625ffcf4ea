"""Feeds a parser without I/O in pieces."""

from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class _Parser(Protocol[T_co]):
    def receive(self, data: bytes) -> T_co | None: ...


def read_in_pieces(parser: _Parser[T_co], octets: bytes, size: int, error: type[Exception]) -> T_co | str | None:
    """Give what it makes of octets, in pieces of a size: the last outcome, or the reason in its error."""
    found = None
    try:
        for at in range(0, len(octets), size):
            found = parser.receive(octets[at : at + size])
    except error as why:
        return str(why)
    return found
