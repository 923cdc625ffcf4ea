"""The cases that lie beside the work tree: posthouse.api and the commands give what is wanted, with its log texts.

Each area is driven once, by its own runner in a process of its own; each file of cases is one test here.
"""

import csv
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

SHARED: Final = Path(__file__).resolve().parents[3] / "shared" / "vectors"
AREAS: Final = (
    "addrmap",
    "address",
    "config",
    "encoding",
    "hostname",
    "match",
    "milter",
    "mime",
    "postconf",
    "resolver",
    "tables",
    "tools",
)
LIMIT_S: Final = 300  # for one area
SHOWN: Final = 20  # differences that a failed test shows

pytestmark = pytest.mark.shared


def _rows() -> list[tuple[str, str]]:
    """Name area and test of each file of cases; nothing where there are none, which skips the test."""
    manifest = SHARED / "MANIFEST.tsv"
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["area"], row["test"]) for row in rows if row["area"] in AREAS]


@cache
def _results(area: str) -> dict[str, dict[str, Any]]:
    """Drive all cases of an area; give what became of each file."""
    runner = [sys.executable, str(SHARED / "run_vectors.py"), "--api", "posthouse.api", "--level", "logs"]
    commands = Path(sys.executable).parent
    summary = Path(os.environ.get("TMPDIR", "/tmp")) / f"vectors-{os.getpid()}-{area}.json"
    try:
        done = subprocess.run(
            [*runner, "--bin", str(commands), "--area", area, "--json", str(summary)],
            capture_output=True,
            text=True,
            env={**os.environ, "foo": "x"},  # what the cases of environ: expect to find
            timeout=LIMIT_S,
            check=False,
        )
        assert summary.is_file(), done.stdout + done.stderr
        return {result["test"]: result for result in json.loads(summary.read_text(encoding="utf-8"))["tests"]}
    finally:
        summary.unlink(missing_ok=True)


@pytest.mark.parametrize(("area", "test"), _rows())
def test_cases(area: str, test: str) -> None:
    """Every case, values and logs."""
    result = _results(area)[test]
    assert result["internal"] is None
    assert not result["missing_names"]
    differences = [
        f"{case['case']}: {case['what']}\n  want {case['want']}\n  got  {case['got']}"
        for case in result["differences"][:SHOWN]
    ]
    assert not differences, "\n" + "\n".join(differences)
    assert result["passed"] == result["total"] > 0


def test_every_area_that_is_built_is_driven() -> None:
    """An area that is misspelt here would be no test at all."""
    assert {area for area, _ in _rows()} == set(AREAS)
