"""posthouse queue verify: is everything in the queue as it should be? Exit status 0: yes, 1: no."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Final

from posthouse.commands.queue.place import EX_FOUND, Called, become_owner, run
from posthouse.queue.sqlite.care import Verified, verify

SHOWN: Final = 50  # findings of a kind; all are in --json
ADVICE: Final = {
    "store": "stop the mail system, and run: posthouse queue repair",
    "message": "stop the mail system, and run: posthouse queue repair",
    "spool": "left by a crash; deleted in the first quiet moment after a start, or by posthouse queue repair",
    "foreign": "nobody here reads or deletes it",
    "clock": "harmless, if the clock is right now",
}


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    return run("verify", words, (("json",), 0), _main)


def _main(called: Called) -> int:
    become_owner(called.place)
    began = time.monotonic()
    found = verify(called.place.queue_directory)
    took = time.monotonic() - began
    tell = partial(_as_json, found) if "--json" in called.options else partial(_lines, found, called)
    for line in tell(took):
        sys.stdout.write(line + "\n")
    return EX_FOUND if found.findings else 0


def _as_json(found: Verified, took: float) -> Iterator[str]:
    yield json.dumps(
        {
            "clean": not found.findings,
            "running": found.is_online,
            "store": found.generation,
            "seconds": round(took, 3),
            "numbers": asdict(found.numbers) if found.numbers is not None else None,
            "findings": [finding._asdict() for finding in found.findings],
        }
    )


def _lines(found: Verified, called: Called, took: float) -> Iterator[str]:
    state = "in use by the mail system" if found.is_online else "not in use"
    yield f"{called.place.queue_directory}/posthouse: store {found.generation}, {state}"
    if found.numbers is not None:
        for name, number in found.numbers.queues.items():
            yield f"  {name:<14} {number:>14,}"
        for name, number in (
            ("recipients", found.numbers.recipients),
            ("spool files", found.numbers.spool_files),
            ("content, octets", found.numbers.octets),
        ):
            yield f"  {name:<15}{number:>14,}"
    yield from findings(found)
    verdict = f"{len(found.findings)} findings" if found.findings else "clean"
    yield f"{verdict}; looked at everything in {took:.1f} s"


def findings(found: Verified) -> Iterator[str]:
    """Give the findings in lines, by kind, with what can be done."""
    for kind in dict.fromkeys(finding.kind for finding in found.findings):
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        yield f"{kind}: {len(of_kind)} ({ADVICE[kind]})"
        for finding in of_kind[:SHOWN]:
            yield f"  {finding}"
        if len(of_kind) > SHOWN:
            yield f"  and {len(of_kind) - SHOWN} more"
