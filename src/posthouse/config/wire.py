"""Settings as bytes: what master puts into a sealed memfd for a daemon, and the daemon reads at start.

master (root) hands the bytes on without looking inside; only the daemon decodes them. The form is a row of
netstrings, "length:bytes,": a header, then for each entry its kind and fields. Decoding is strict and bounded.
Surrogate escapes survive: the texts are the bytes that stood in main.cf.
"""

from collections.abc import Iterator
from typing import Final

from posthouse.config.settings import Identity, Origin, Settings

HEADER: Final = "posthouse settings 1"
MAX_BYTES: Final = 16 << 20  # far above any main.cf; a broken sender cannot fill a daemon's memory
MAX_DIGITS: Final = 8  # of a length

_IDENTITY: Final = "i"  # service name, process name, configuration directory
_SETTING: Final = "s"  # name, text, file, line (file and line empty when unknown)
_FACT: Final = "f"  # name, text
_FIELDS: Final = {_IDENTITY: 3, _SETTING: 4, _FACT: 2}


class WireError(ValueError):
    """The bytes are not what `format_settings` makes."""


def format_settings(settings: Settings) -> bytes:
    """Give the settings as bytes."""
    identity = settings.identity
    rows = [(HEADER,), (_IDENTITY, identity.service_name, identity.process_name, identity.config_directory)]
    parts: list[tuple[str, ...]] = list(rows)
    for name, text in settings.explicit.items():
        origin = settings.origins.get(name)
        place = (origin.file, str(origin.line)) if origin else ("", "")
        parts.append((_SETTING, name, text, *place))
    parts += [(_FACT, name, text) for name, text in settings.facts.items()]
    return b"".join(_netstring(field) for row in parts for field in row)


def parse_settings(data: bytes) -> Settings:
    """Read the settings again. Raises WireError: the bytes are not what `format_settings` makes."""
    if len(data) > MAX_BYTES:
        raise WireError("settings are too large")
    fields = _read_fields(data)
    if next(fields, None) != HEADER:
        raise WireError("no settings, or of another version")
    identity: Identity | None = None
    explicit: dict[str, str] = {}
    facts: dict[str, str] = {}
    origins: dict[str, Origin] = {}
    for kind in fields:
        if kind not in _FIELDS:
            raise WireError("unknown entry")
        row = [field for _, field in zip(range(_FIELDS[kind]), fields, strict=False)]
        if len(row) != _FIELDS[kind]:
            raise WireError("the last entry is cut off")
        if kind == _IDENTITY:
            identity = Identity(*row)
        elif kind == _FACT:
            facts[row[0]] = row[1]
        else:
            explicit[row[0]] = row[1]
            if row[2]:
                origins[row[0]] = Origin(row[2], _number(row[3]))
    if identity is None:
        raise WireError("nobody is named whose settings these are")
    return Settings(explicit, identity, facts, origins)


def _netstring(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return b"%d:%b," % (len(data), data)


def _read_fields(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        colon = data.find(b":", at, at + MAX_DIGITS + 1)
        if colon < 0:
            raise WireError("a length is missing")
        end = colon + 1 + _number(data[at:colon].decode("latin-1"))
        if data[end : end + 1] != b",":
            raise WireError("a field is cut off")
        yield data[colon + 1 : end].decode("utf-8", "surrogateescape")
        at = end + 1


def _number(digits: str) -> int:
    if not digits or len(digits) > MAX_DIGITS or not digits.isascii() or not digits.isdecimal():
        raise WireError("a length is no number")
    return int(digits)
