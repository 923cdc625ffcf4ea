"""A finding: one mistake or peculiarity of a configuration, with its place, what follows from it, and what to do.

Each kind of finding has an identifier that stays: scripts and people name it. docs/checks.md lists them all.
"""

from enum import IntEnum
from typing import Final, NamedTuple


class Severity(IntEnum):
    """How bad. Errors stop the start; warnings and notes are logged once at start."""

    ERROR = 0
    WARNING = 1
    NOTE = 2

    @property
    def word(self) -> str:
        """The name that is shown: error, warning, note."""
        return self.name.lower()


ERROR, WARNING, NOTE = Severity


class Place(NamedTuple):
    """Where something is written. Line 0: the file as a whole."""

    file: str
    line: int = 0


class Finding(NamedTuple):
    """One finding."""

    id: str
    severity: Severity
    file: str
    line: int  # 0: not one line
    what: str
    consequence: str = ""
    fix: str = ""

    def __str__(self) -> str:
        """Show it on one line: place, severity, what; consequence; fix."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.severity.word}: {self.text}"

    @property
    def text(self) -> str:
        """Everything but the place and the severity."""
        return "; ".join(part for part in (self.what, self.consequence, self.fix) if part)


class Problem(NamedTuple):
    """A finding that does not know its place yet: what a check of one value or one table gives."""

    kind: "Kind"
    what: str
    consequence: str
    fix: str
    severity: Severity

    def at(self, place: Place, subject: str = "") -> Finding:
        """Make the finding; `subject` is whose value it is."""
        what = f"{subject}: {self.what}" if subject else self.what
        return Finding(self.kind.id, self.severity, place.file, place.line, what, self.consequence, self.fix)


class Kind:
    """A kind of finding: what docs/checks.md says about it, and what its findings say when they know nothing better."""

    __slots__ = ("consequence", "fix", "id", "meaning", "severity")

    def __init__(self, name: str, severity: Severity, meaning: str, consequence: str = "", fix: str = "") -> None:
        self.id = name
        self.severity = severity
        self.meaning = meaning
        self.consequence = consequence or ("start and reload are refused" if severity is Severity.ERROR else "")
        self.fix = fix
        assert name not in KINDS, f"two kinds of findings are called {name}"
        KINDS[name] = self

    def problem(
        self, what: str, fix: str | None = None, consequence: str | None = None, severity: Severity | None = None
    ) -> Problem:
        """Make a problem of this kind; what is not said is the kind's."""
        return Problem(
            self,
            what,
            self.consequence if consequence is None else consequence,
            self.fix if fix is None else fix,
            self.severity if severity is None else severity,
        )

    def at(
        self,
        place: Place,
        what: str,
        fix: str | None = None,
        consequence: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Make a finding of this kind."""
        return self.problem(what, fix, consequence, severity).at(place)


KINDS: Final[dict[str, Kind]] = {}  # every kind, by identifier, in the order of the modules that make them


def counted(findings: list[Finding]) -> str:
    """Say how many there are: "2 errors, 1 warning"; "nothing found"."""
    parts = []
    for severity in Severity:
        number = sum(finding.severity is severity for finding in findings)
        if number:
            parts.append(f"{number} {severity.word}{'s' if number > 1 else ''}")
    return ", ".join(parts) or "nothing found"
