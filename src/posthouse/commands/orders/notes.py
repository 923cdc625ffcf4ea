"""What the check of the configuration found, as the operator meets it at start: errors stop it, the rest is logged."""

from collections.abc import Iterator
from typing import Final

from posthouse.config.check_tables import NOT_CHECKED
from posthouse.config.checks.transports import LOW_PORT
from posthouse.config.checks.values import NO_EFFECT, NO_EFFECT_WORDS
from posthouse.config.findings import Finding, Severity
from posthouse.util.errors import ConfigError

MAX_ERRORS: Final = 10  # shown at once; with more than these, the first ones are usually the cause
# What the start itself will show: the daemons read such files as root; master binds the port, or has got its socket.
_ANSWERED: Final = (NOT_CHECKED.id, LOW_PORT.id)
_NOT_BUILT: Final = " is not built yet"


def notes_of(findings: list[Finding]) -> list[str]:
    """Give what is to be logged once. Raises ConfigError with all errors, one a line."""
    errors = [line_of(finding) for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError("\n".join(errors[:MAX_ERRORS]))
    return list(_notes(findings))


def _notes(findings: list[Finding]) -> Iterator[str]:
    """Name all parameters that do nothing on one line; services are named by who leaves them out."""
    unbuilt = [finding for finding in findings if finding.what.endswith(_NOT_BUILT) and "/" not in finding.what]
    yield from _on_one_line("parameters that are not built yet have no effect", unbuilt, _NOT_BUILT)
    needless = [finding for finding in findings if finding.id == NO_EFFECT.id]
    yield from _on_one_line("parameters that Posthouse has no use for", needless, NO_EFFECT_WORDS)
    for finding in findings:
        said = finding.id in (NO_EFFECT.id, *_ANSWERED) or finding.what.endswith(_NOT_BUILT)
        if not said:
            yield line_of(finding)


def _on_one_line(what: str, findings: list[Finding], end: str) -> Iterator[str]:
    """Name parameters with the places where they are set."""
    names = (f"{finding.what.partition(end)[0]} ({_place(finding)})" for finding in findings)
    if findings:
        yield f"{what}: {', '.join(dict.fromkeys(names))}"


def line_of(finding: Finding) -> str:
    """Write a finding on one line of the log."""
    return f"{_place(finding)}: {finding.text}"


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}" if finding.line else finding.file
