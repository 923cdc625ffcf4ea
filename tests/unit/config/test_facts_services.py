"""master.cf against the list of Postfix's services that lies beside the work tree."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.commands.registry import registry
from posthouse.config import check_services
from posthouse.config.master_cf import TYPES, parse_service
from tests.conftest import SHARED

FACTS = Path(SHARED) / "facts" / "services.tsv"

pytestmark = pytest.mark.shared


def rows() -> Iterator[dict[str, str]]:
    """Give the services that master.cf can have."""
    with FACTS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["program"] != "master":
                yield row


def test_every_program_is_recognised() -> None:
    """Built or not: a name that Postfix has is no typing mistake."""
    programs = {row["program"].split()[0] for row in rows()}
    assert len(programs) > 25
    assert programs <= check_services.KNOWN_PROGRAMS
    assert registry().programs & programs


def test_every_type_is_read() -> None:
    """In each form that the list names."""
    for row in rows():
        kinds = [word for word in row["master_type"].replace("(", " ").replace(")", " ").split() if word in TYPES]
        assert kinds, row
        for kind in kinds:
            program = row["program"].split()[0]
            service, odd = parse_service(f"x {kind} {row['private'][0]} - - - - {program}".replace(" a ", " - "))
            assert (service.type, service.program, odd) == (kind, program, ())
