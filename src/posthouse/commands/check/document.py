"""The tables of docs/checks.md, made from the kinds of findings: each says there what the program says."""

from typing import Final

from posthouse.config import check
from posthouse.config.findings import KINDS, Kind, Severity

TITLES: Final = {
    Severity.ERROR: "Errors: start and reload are refused",
    Severity.WARNING: "Warnings: mail is, or will be, handled in another way than was meant",
    Severity.NOTE: "Notes: good to know",
}


def tables() -> str:
    """Give a table for each severity, by identifier."""
    assert check.CHECKS, "all kinds are made where the checks are"
    parts = []
    for severity, title in TITLES.items():
        rows = [_row(kind) for _, kind in sorted(KINDS.items()) if kind.severity is severity]
        head = "| finding | what it means | if it is left | what to do |\n|---|---|---|---|\n"
        parts.append(f"\n## {title}\n\n{head}{''.join(rows)}")
    return "".join(parts) + "\n"


def _row(kind: Kind) -> str:
    cells = (f"`{kind.id}`", kind.meaning, kind.consequence, kind.fix or "as the finding says")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
