"""Folding of a list of addresses that is written anew: as many on a line as fit.

Sources: RFC 5322 2.2.3; facts B07.14; the tab in front of a line does not count, as with Debian's Postfix.
"""

from collections.abc import Sequence
from typing import Final

LINE: Final = 70  # characters at which a header that is written anew goes on in another line


def fold(head: bytes, pieces: Sequence[bytes]) -> bytes:
    """Join what may be on lines of its own; without a last line end. head: what the first line begins with."""
    lines = [head + pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) < LINE:
            lines[-1] += b" " + piece
        else:
            lines.append(piece)
    return b"\n\t".join(lines)
