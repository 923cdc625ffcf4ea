"""What the check of the configuration found, as the operator meets it at start: errors stop it, the rest is logged."""

from collections.abc import Iterator
from typing import Final

from posthouse.config.findings import Finding, Severity
from posthouse.util.errors import ConfigError

MAX_ERRORS: Final = 10  # shown at once; with more than these, the first ones are usually the cause
_NOT_BUILT: Final = " is not built yet"


def notes_of(findings: list[Finding]) -> list[str]:
    """Give what is to be logged once. Raises ConfigError with all errors, one a line."""
    errors = [_line(finding) for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise ConfigError("\n".join(errors[:MAX_ERRORS]))
    return list(_notes(findings))


def _notes(findings: list[Finding]) -> Iterator[str]:
    """Name everything that is not built on one line; services are named by who leaves them out."""
    unbuilt = [finding.what.removesuffix(_NOT_BUILT) for finding in findings if finding.what.endswith(_NOT_BUILT)]
    parameters = [name for name in dict.fromkeys(unbuilt) if "/" not in name]
    if parameters:
        yield f"parameters that are not built yet have no effect: {', '.join(parameters)}"
    for finding in findings:
        if not finding.what.endswith(_NOT_BUILT):
            yield _line(finding)


def _line(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return f"{place}: {finding.text}"
