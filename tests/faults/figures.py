"""What the tests of the fault suite measured, kept from the last whole run and shown in docs/reliability.md.

  python -m tests.faults.figures [--write]

Prints the table; with --write it replaces the one in docs/reliability.md. One row is one promise: what was done, what
came of it.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
KEPT: Final = ROOT / "var" / "faults"
DOCUMENT: Final = ROOT / "docs" / "reliability.md"
PLACE: Final = re.compile(r"(?<=<!-- figures of the last whole run -->\n).*?(?=<!-- end of the figures -->)", re.DOTALL)


class Figures:
    """Call it with what was done and what came of it; short texts, Markdown allowed, no bar."""

    def __init__(self, nodeid: str, *, keep: bool) -> None:
        self._name = re.sub(r"[^A-Za-z0-9]+", "-", nodeid.removeprefix("tests/faults/")).strip("-")
        self._test = nodeid.removeprefix("tests/faults/").partition("[")[0]
        self._keep = keep
        self._rows: list[tuple[str, str]] = []

    def __call__(self, done: str, outcome: str) -> None:
        """Print a row, and keep it in a whole run."""
        assert "|" not in done + outcome, "the table has columns"
        print(f"{done}: {outcome}")
        self._rows.append((done, outcome))
        if self._keep:
            KEPT.mkdir(parents=True, exist_ok=True)
            row = {"test": self._test, "rows": self._rows, "day": time.strftime("%Y-%m-%d")}
            (KEPT / f"{self._name}.json").write_text(json.dumps(row), encoding="utf-8")


def table() -> str:
    """Lay out what is kept."""
    lines = ["| done | came of it | test | day |", "|---|---|---|---|"]
    for path in sorted(KEPT.glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        lines += [f"| {done} | {outcome} | `{kept['test']}` | {kept['day']} |" for done, outcome in kept["rows"]]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Print, or write."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.figures")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    if not parser.parse_args(argv).write:
        sys.stdout.write(table())
        return 0
    text = DOCUMENT.read_text(encoding="utf-8")
    if not PLACE.search(text):
        sys.stderr.write(f"{DOCUMENT}: no place for the figures\n")
        return 1
    DOCUMENT.write_text(PLACE.sub(table(), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
