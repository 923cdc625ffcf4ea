"""Sound configurations, one file each in sound/: nothing is found in them. A false alarm costs trust."""

from pathlib import Path

import pytest

from posthouse.commands.registry import registry
from tests.support.findings import found_in, lines_of, unpack, whole

CASES = sorted((Path(__file__).parent / "sound").glob("*.case"))
NAMES = [case.stem for case in CASES]
# What depends on how much of Postfix this release has.
OF_THE_RELEASE = {"chroot-not-used", "not-supported", "program-not-built", "restriction-not-built", "table-not-built"}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_nothing_is_found(case: Path, open_directory: Path) -> None:
    """No error, no warning, no note, with everything built."""
    unpack(case, open_directory)
    assert lines_of(found_in(open_directory, whole()), open_directory) == []


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_this_release_names_only_what_it_lacks(case: Path, open_directory: Path) -> None:
    """With the real registry."""
    unpack(case, open_directory)
    found = [finding for finding in found_in(open_directory, registry()) if finding.id not in OF_THE_RELEASE]
    assert lines_of(found, open_directory) == []


def test_there_are_enough() -> None:
    """The usual roles are among them."""
    assert len(CASES) > 10
    assert {"debian", "gateway", "internet-site", "null-client", "submission", "virtual-hosting"} <= set(NAMES)
