"""posthouse queue repair: put right what verify finds. The old store is kept in corrupt/ as it was."""

import sys
from typing import Final

from posthouse.commands.progress import Progress
from posthouse.commands.queue.place import JSON, Called, become_owner, run, write_json
from posthouse.commands.queue.verify import findings
from posthouse.queue.sqlite.care import Repaired, repair, told

DRY_RUN: Final = "--dry-run"


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    return run("repair", words, (("dry-run", "json"), 0), _main)


def _main(called: Called) -> int:
    become_owner(called.place)
    is_dry = DRY_RUN in called.options
    with Progress() as progress:
        result = repair(called.place.queue_directory, dry_run=is_dry, progress=progress)
    if JSON in called.options:
        write_json(_fields(result, is_dry=is_dry))
        return 0
    for line in _lines(result, is_dry=is_dry):
        sys.stdout.write(line + "\n")
    return 0


def _fields(result: Repaired, *, is_dry: bool) -> dict[str, object]:
    salvaged = result.salvaged
    return {
        "needed": result.is_needed,
        "changed": result.is_needed and not is_dry,
        "findings": [finding._asdict() for finding in result.before.findings],
        "files_without_message": result.orphans,
        "copied": None if salvaged is None else {"store": salvaged.generation, "messages": salvaged.messages},
        "old_store": "" if salvaged is None else salvaged.aside,
        "notes": [] if salvaged is None else told(salvaged),
    }


def _lines(result: Repaired, *, is_dry: bool) -> list[str]:
    lines = list(findings(result.before))
    if not result.is_needed:
        return [*lines, "nothing to repair"]
    if is_dry:
        if result.needs_copy:
            generation = result.before.generation
            lines.append(f"would copy what can be read of store {generation} to store {generation + 1}")
            lines.append(f"would keep the old one as corrupt/store-{generation}.sqlite")
        return [*lines, *(f"would delete {name}" for name in result.orphans), "nothing was changed"]
    if result.salvaged is not None:
        lines += told(result.salvaged)
        lines.append(f"the old store is {result.salvaged.aside}; delete it when you do not need it any more")
    return [*lines, *(f"deleted {name}" for name in result.orphans), "repaired"]
