"""Records of fixed layout, for what root reads: each field has its place, its size and its check.

A record is a NamedTuple whose fields say how they are written: Annotated[type, code] or Annotated[type, code, check].
Number: a code of struct(3) ("B" "H" "I" "?"). Text: "64s", at most 63 octets of UTF-8 without control characters.
List of numbers: "16I", at most 16. The value read is what the check makes of it, of a list what it makes of each
item; a check refuses with ValueError, as an Enum does. Fields without a code are not on the wire and keep their
default. Standard library only.
"""

import struct
from collections.abc import Callable
from typing import Annotated, Final, Generic, TypeVar, get_type_hints

T = TypeVar("T")
MAGIC_SIZE: Final = 4
Byte = Annotated[int, "B"]
Short = Annotated[int, "H"]
Number = Annotated[int, "I"]
Flag = Annotated[bool, "?"]


def _as_it_is(value: T) -> T:
    return value


class Layout(Generic[T]):
    """How one kind of record looks; `magic` (four octets) holds the kind and the version of its protocol."""

    def __init__(self, make: Callable[..., T], magic: bytes, whole: Callable[[T], T] = _as_it_is) -> None:
        """whole: the check of the record as a whole."""
        assert len(magic) == MAGIC_SIZE, "magic has four octets"
        self._make, self._magic, self._whole = make, magic, whole
        self.fields: list[tuple[str, str, Callable[..., object]]] = []
        for name, hint in get_type_hints(make, include_extras=True).items():
            code, *check = getattr(hint, "__metadata__", ("",))
            if code:
                self.fields.append((name, code, check[0] if check else _as_it_is))
        # A list is its length and its places.
        codes = (f"B{code}" if _is_list(code) else code for _, code, _ in self.fields)
        self._struct = struct.Struct(f"!{MAGIC_SIZE}s" + "".join(codes))
        self.size = self._struct.size

    def pack(self, value: T) -> bytes:
        """Write a record. Raises ValueError: something does not fit into its field."""
        out: list[object] = [self._magic]
        for name, code, _ in self.fields:
            item = getattr(value, name)
            if isinstance(item, str):
                out.append(_text(name, item, _count(code)))
            elif _is_list(code):
                out += (len(item), *item, *([0] * (_count(code) - len(item))))
            else:
                out.append(item)
        try:
            return self._struct.pack(*out)
        except struct.error as error:
            raise ValueError(f"too many, or out of range: {error}") from None

    def unpack(self, record: bytes) -> T:
        """Read a record. Raises ValueError: not of this layout, not as `pack` writes it, or a check refuses a field."""
        if len(record) != self.size or not record.startswith(self._magic):
            raise ValueError("record of another size, kind or version")
        items = iter(self._struct.unpack(record)[1:])
        values: dict[str, object] = {}
        for name, code, check in self.fields:
            item = next(items)
            if _is_list(code):
                places = [next(items) for _ in range(_count(code))]
                values[name] = tuple(map(check, places[:item]))
            else:
                values[name] = check(_read_text(item) if isinstance(item, bytes) else item)
        value = self._make(**values)
        if self.pack(value) != record:  # an impossible count, something in unused places, 2 for "true"
            raise ValueError("record with something besides its fields")
        return self._whole(value)


def _is_list(code: str) -> bool:
    return len(code) > 1 and not code.endswith("s")


def _count(code: str) -> int:
    return int(code[:-1])


def _text(name: str, text: str, size: int) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if len(data) >= size or any(octet < 32 or octet == 127 for octet in data):
        raise ValueError(f"{name} is longer than {size - 1} octets, or has control characters: {text[:60]!r}")
    return data


def _read_text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
