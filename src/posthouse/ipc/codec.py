"""Records as octets (msgpack), also when their text is not UTF-8.

Addresses, header text and table data may hold octets that are no UTF-8; in `str` they are surrogate escapes, which
msgpack cannot write. Such a record, and only such a one, is written in another way: an octet that begins no msgpack
value, then the fields with each odd text as an extension value. Decoding is as strict as for all others.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

ESCAPED: Final = 0xC1  # "never used" in the msgpack specification
_TEXT: Final = 1  # extension type: octets of a text that is not UTF-8

R = TypeVar("R")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_plain: Final = msgspec.msgpack.Decoder().decode


class RecordError(ValueError):
    """The octets are no record of the type that was wanted."""


def encode(record: msgspec.Struct) -> bytes:
    """One record."""
    try:
        return _encode(record)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(record, builtin_types=(bytes,))
        return bytes([ESCAPED]) + _encode(_escaped(plain))


class Decoder(Generic[R]):
    """Reads records of one type, or of several types with tags. Fields that are missing get their defaults."""

    def __init__(self, wanted: Any) -> None:  # noqa: ANN401 - a union type is no type[R]
        self._wanted = wanted
        self._decode: Callable[[bytes | memoryview], R] = msgspec.msgpack.Decoder(wanted, strict=True).decode

    def decode(self, octets: bytes | memoryview) -> R:
        """Read one record. Raises RecordError."""
        try:
            return self._decode(octets)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if octets and octets[0] == ESCAPED:  # which the first attempt cannot have got past
                return self._decode_escaped(octets)
            raise RecordError(str(error)) from error

    def _decode_escaped(self, octets: bytes | memoryview) -> R:
        try:
            record: R = msgspec.convert(_unescaped(_decode_plain(octets[1:])), self._wanted, strict=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(str(error)) from error
        return record


def _escaped(value: object) -> object:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return msgspec.msgpack.Ext(_TEXT, value.encode("utf-8", "surrogateescape"))
        return value
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    return value


def _unescaped(value: object) -> object:
    if isinstance(value, msgspec.msgpack.Ext) and value.code == _TEXT:
        return bytes(value.data).decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_unescaped(item) for item in value]
    if isinstance(value, dict):
        return {name: _unescaped(item) for name, item in value.items()}
    return value
