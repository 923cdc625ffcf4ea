"""Records of fixed layout, for what root reads: each field has its place, its size and its check.

A Layout is made from the fields of a dataclass. Number: a code of struct(3) ("B" "H" "I" "?" "d"). Text: "64s", at
most 63 octets of UTF-8 without control characters. List of numbers: "16I", at most 16. With (code, check) the value
read is what check makes of it; a check refuses with ValueError, as an Enum does. Standard library only.
"""

import struct
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
Check = Callable[..., object]
Field = str | tuple[str, Check]
MAGIC_SIZE: Final = 4


class Layout(Generic[T]):
    """How one kind of record looks; `magic` (four octets) holds the kind and the version of its protocol."""

    def __init__(self, make: Callable[..., T], magic: bytes, **fields: Field) -> None:
        assert len(magic) == MAGIC_SIZE, "magic has four octets"
        self._make, self._magic = make, magic
        self._fields = [
            (name, *(field if isinstance(field, tuple) else (field, None))) for name, field in fields.items()
        ]
        # A list is its length and its places.
        codes = (f"B{code}" if _is_list(code) else code for _, code, _ in self._fields)
        self._struct = struct.Struct(f"!{MAGIC_SIZE}s" + "".join(codes))
        self.size = self._struct.size

    def pack(self, value: T) -> bytes:
        """Write a record. Raises ValueError: something does not fit into its field."""
        out: list[object] = [self._magic]
        for name, code, _ in self._fields:
            item = getattr(value, name)
            if isinstance(item, str):
                out.append(_text(name, item, _count(code)))
            elif _is_list(code):
                if len(item) > _count(code):
                    raise ValueError(f"{name}: more than {_count(code)}")
                out += (len(item), *item, *([0] * (_count(code) - len(item))))
            else:
                out.append(item)
        try:
            return self._struct.pack(*out)
        except struct.error as error:
            raise ValueError(f"number out of range: {error}") from None

    def unpack(self, record: bytes) -> T:
        """Read a record. Raises ValueError: not of this layout, or a check refuses a field."""
        if len(record) != self.size or not record.startswith(self._magic):
            raise ValueError("record of another size, kind or version")
        items = iter(self._struct.unpack(record)[1:])
        values: dict[str, object] = {}
        for name, code, check in self._fields:
            item: object = next(items)
            if isinstance(item, bytes):
                item = _read_text(name, item)
            elif _is_list(code):
                places = [next(items) for _ in range(_count(code))]
                item = _first(name, places, item)
            values[name] = check(item) if check is not None else item
        return self._make(**values)


def _is_list(code: str) -> bool:
    return len(code) > 1 and not code.endswith("s")


def _count(code: str) -> int:
    return int(code[:-1])


def _text(name: str, text: str, size: int) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) >= size or any(octet < 32 or octet == 127 for octet in data):
        raise ValueError(f"{name} is longer than {size - 1} octets, or has control characters: {text[:60]!r}")
    return data


def _read_text(name: str, data: bytes) -> str:
    data = data.rstrip(b"\0")
    if any(octet < 32 or octet == 127 for octet in data):
        raise ValueError(f"{name}: control characters")
    return data.decode("utf-8", "surrogateescape")


def _first(name: str, places: list[int], count: object) -> tuple[int, ...]:
    if not isinstance(count, int) or count > len(places):
        raise ValueError(f"{name}: impossible count")
    return tuple(places[:count])
