"""How many lines a log has for one cause in one second. What differs between lines of one cause is cut out of them.

Each client's coming and going is a cause of its own.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r"^(\w+ +\d+ [\d:]+) \S+ ([^\[:]+)(?:\[\d+\])?: (.*)$")
# Queue IDs, addresses, host names with addresses, numbers: the same cause has others each time.
_VARIES: Final = re.compile(r"<[^>]*>|\[[^\]]*\]|\b[0-9A-Za-z]{10,}\b(?=:)|[0-9]+(?:\.[0-9]+)*")

_CLIENTS: Final = re.compile(r"\]: (?:connect|disconnect) from ")  # one for each client: a cause of its own


@dataclass(frozen=True, slots=True)
class Busiest:
    """The most that one cause had."""

    lines: int
    cause: str
    second: str


def busiest(log: str) -> Busiest:
    """Find it. A log without lines has none."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in log.splitlines():
        if _CLIENTS.search(line):
            continue
        found = _LINE.match(line)
        assert found is not None, f"no line of the mail log: {line[:200]!r}"
        second, program, text = found.groups()
        counted[second, f"{program}: {_VARIES.sub('*', text)[:120]}"] += 1
    if not counted:
        return Busiest(0, "", "")
    (second, cause), lines = counted.most_common(1)[0]
    return Busiest(lines, cause, second)
