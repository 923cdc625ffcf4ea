"""Wrong configurations, one file each in wrong/: exactly the findings that stand there are found, word for word.

The name of a file begins with the identifier of the finding it is about, then perhaps "@" and which case of it. A case
that begins with "=== base" brings its files whole; the others are appended to a good main.cf.
"""

import os
from pathlib import Path

import pytest

from posthouse.config.findings import KINDS
from tests.support.findings import found_in, lines_of, unpack, whole

CASES = sorted((Path(__file__).parent / "wrong").glob("*.case"))
REGISTRY = whole()


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_exactly_these_findings(case: Path, open_directory: Path) -> None:
    """Identifier, file, line, severity, what, consequence and fix; nothing else is found."""
    directory = open_directory
    expected = unpack(case, directory)
    assert expected, "a wrong configuration with nothing to find"
    findings = found_in(directory, REGISTRY)
    found = lines_of(findings, directory)
    if os.environ.get("WRITE_CASES"):
        head = case.read_text(encoding="utf-8").partition("=== findings\n")[0]
        case.write_text(head + "=== findings\n" + "".join(line + "\n" for line in found), encoding="utf-8")
    assert found == expected
    assert all(finding.consequence and finding.fix for finding in findings), "each says what follows and what to do"
    assert f"[{case.stem.partition('@')[0]}]" in " ".join(found)


# Kinds whose findings depend on the user, the host or the release, with the test that shows each.
SHOWN_ELSEWHERE = {
    "file-owner": "test_check.py",
    "file-writable": "test_check.py",
    "not-supported": "test_check.py",
    "program-not-built": "test_check.py",
    "restriction-not-built": "test_check.py",
    "table-not-built": "test_check.py",
    "table-unreadable": "test_check.py",
    "without-effect": "test_check.py",
    "not-checked": "test_check.py",
    "certificate-expires-soon": "test_check_host.py",
    "privileged-port": "test_check_host.py",
}


def test_every_kind_of_finding_has_a_case() -> None:
    """A check without a wrong configuration that shows it may be one that never finds anything."""
    shown = {case.stem.partition("@")[0] for case in CASES}
    assert set(KINDS) - shown == set(SHOWN_ELSEWHERE)
    assert shown <= set(KINDS)
    for name, file in SHOWN_ELSEWHERE.items():
        assert name in (Path(__file__).parent / file).read_text(encoding="utf-8"), name
