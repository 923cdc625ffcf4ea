"""A finding: one mistake or peculiarity of a configuration, with its place, what follows from it, and what to do."""

from enum import IntEnum
from typing import NamedTuple


class Severity(IntEnum):
    """How bad. Errors stop the start; warnings and notes are logged once at start."""

    ERROR = 0
    WARNING = 1
    NOTE = 2


class Finding(NamedTuple):
    """One finding."""

    severity: Severity
    file: str
    line: int  # 0: not one line
    what: str
    consequence: str = ""
    fix: str = ""

    def __str__(self) -> str:
        """Show it on one line: place, severity, what; consequence; fix."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = "; ".join(part for part in (self.what, self.consequence, self.fix) if part)
        return f"{place}: {self.severity.name.lower()}: {parts}"

    @property
    def text(self) -> str:
        """Everything but the place and the severity."""
        return "; ".join(part for part in (self.what, self.consequence, self.fix) if part)
