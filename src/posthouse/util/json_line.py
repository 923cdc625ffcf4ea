"""One JSON object as one line of bytes."""

import json
from collections.abc import Mapping


def json_line(fields: Mapping[str, object]) -> bytes:
    """Encode without spaces and without a newline; characters that cannot be encoded are replaced."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
