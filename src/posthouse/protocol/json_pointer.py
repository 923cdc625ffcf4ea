"""JSON Pointer: the place of a value in a JSON document. No I/O. Source: RFC 6901."""

import re
from collections.abc import Sequence
from typing import Final

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


class Missing(Exception):
    """The document has no value at that place."""


def parse_pointer(text: str) -> tuple[str, ...]:
    """Read a pointer as its parts. Raises ValueError: it is none."""
    if not text:
        return ()
    if not text.startswith("/"):
        raise ValueError(f'"{text}" is no JSON Pointer: it begins with a slash, or is empty')
    if _BAD_ESCAPE.search(text):
        raise ValueError(f'"{text}" is no JSON Pointer: "~" is written "~0", and "/" in a name "~1"')
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


def find(document: object, parts: Sequence[str]) -> object:
    """Give the value at a place. Raises Missing."""
    for part in parts:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and _INDEX.fullmatch(part) and int(part) < len(document):
            document = document[int(part)]
        else:
            raise Missing
    return document
