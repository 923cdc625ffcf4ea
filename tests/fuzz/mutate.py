"""Inputs for decoders: octets of no meaning, and valid records that were damaged in many ways."""

import random
import struct
from collections.abc import Sequence
from typing import Final

from posthouse.ipc.fixed import Layout

EDGES: Final = (0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 2**31, 2**32 - 1)
TEXTS: Final = (
    b"",
    b".",
    b"..",
    b"/",
    b"/../",
    b"\0",
    b"a\0b",
    b"\n",
    b"\xff",
    b"\xc3\xa9",
    b"%",
    b"private/",
    b"A" * 70,
)
MAX_GARBAGE: Final = 3000  # octets


def garbage(source: random.Random, size: int) -> bytes:
    """Give octets that are random, or all alike."""
    if source.random() < 0.1:
        return bytes([source.randrange(256)]) * size
    return source.randbytes(size)


def damaged(source: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Give a valid input as it is, or cut, lengthened, with flipped bits, changed octets, or mixed with another."""
    data = bytearray(source.choice(seeds))
    kind = source.randrange(8)
    if kind == 0:
        return garbage(source, source.randrange(MAX_GARBAGE if source.random() < 0.1 else 64))
    if kind == 1:
        return bytes(data[: source.randrange(len(data) + 1)])
    if kind == 2:
        return bytes(data) + garbage(source, source.randrange(1, 40))
    if kind == 3 and data:
        for _ in range(source.randrange(1, 9)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    elif kind == 4 and data:
        for _ in range(source.randrange(1, 5)):
            data[source.randrange(len(data))] = source.randrange(256)
    elif kind == 5 and data:
        at = source.randrange(len(data))
        piece = source.choice(TEXTS)
        data[at : at + len(piece)] = piece
    elif kind == 6:
        other = source.choice(seeds)
        at = source.randrange(min(len(data), len(other)) + 1)
        return bytes(data[:at]) + other[at:]
    return bytes(data)


class Fields:
    """Changes one field of a record to what may just not be allowed there."""

    def __init__(self, layout: Layout[object]) -> None:
        self.size = layout.size
        self._places: list[tuple[int, str]] = []  # offset, code of struct(3)
        at = 4
        for _, code, _ in layout.fields:
            parts = [code] if code.endswith("s") or len(code) == 1 else ["B", *code[-1] * int(code[:-1])]
            for part in parts:
                self._places.append((at, part))
                at += struct.calcsize(f"!{part}")

    def change(self, source: random.Random, record: bytes) -> bytes:
        """Change one field, or a few."""
        data = bytearray(record)
        for _ in range(source.choice((1, 1, 1, 2, 5))):
            at, code = source.choice(self._places)
            size = struct.calcsize(f"!{code}")
            if code.endswith("s"):
                text = source.choice(TEXTS) if source.random() < 0.7 else garbage(source, source.randrange(size + 1))
                data[at : at + size] = text[:size].ljust(size, source.choice((b"\0", b"a")))
            else:
                number = source.choice(EDGES) if source.random() < 0.7 else source.getrandbits(32)
                data[at : at + size] = (number % (1 << 8 * size)).to_bytes(size)
        return bytes(data)
