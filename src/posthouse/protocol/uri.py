"""The scheme of a URI (RFC 3986 3.1)."""

import re
from typing import Final

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)


def uri_scheme_length(text: str) -> int:
    """Give the length of a "scheme://" that `text` begins with; 0 when it begins with none."""
    found = _SCHEME.match(text)
    return found.end() if found else 0
