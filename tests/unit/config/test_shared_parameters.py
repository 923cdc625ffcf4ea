"""The facts about Postfix's parameters that lie beside the work tree: the catalog has all of them, and the same."""

from pathlib import Path
from typing import Final

import pytest

from posthouse.config import catalog

FACTS: Final = Path(__file__).resolve().parents[4] / "shared" / "facts" / "parameters.tsv"
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FACTS.is_file(), reason=f"the facts are not there: {FACTS}")]

OURS: Final = frozenset({"mail_owner", "mail_version"})  # docs/compatibility.md
# Of several that a build of Postfix may have.
CHOSEN: Final = {"default_cache_db_type": "lmdb", "default_database_type": "lmdb", "shlib_directory": "no"}
LOOSER: Final = {"lmtp_requiretls_policy": "string", "smtp_requiretls_policy": "string"}  # tables, and words as well
BELOW_ZERO: Final = "postscreen_dnsbl_allowlist_threshold"  # the facts' 0 is the C for "no limit"


def facts() -> list[dict[str, str]]:
    """Give one mapping for each parameter; patterns of names and functions are none."""
    if not FACTS.is_file():
        return []
    head, *lines = (line.split("\t") for line in FACTS.read_text(encoding="utf-8").splitlines())
    rows = [dict(zip(head, line, strict=False)) for line in lines]
    return [row for row in rows if not row["class"].startswith(("pattern:", "function-call"))]


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: fact["name"])
def test_the_catalog_has_what_the_facts_say(fact: dict[str, str]) -> None:
    """Class, release, default and limits, where the facts have a value and not words about one."""
    name = fact["name"]
    families = {entry.name: entry for entry in catalog.families().values()}
    entry = catalog.entries().get(name) or families[name]
    assert entry.since == fact["since"]
    if name != "compatibility_level":
        assert entry.kind == LOOSER.get(name, fact["class"])
    default = fact["default"].partition(" (")[0] if fact["default"].endswith(" dependent)") else fact["default"]
    if entry.status != "alias" and name not in OURS:  # an old name is empty, so that the new one counts
        assert entry.default == CHOSEN.get(name, "" if default.startswith("(") else default)
    if set(fact["range"]) <= set("0123456789.") and fact["range"] and name != BELOW_ZERO:
        assert entry.limits == fact["range"]


def test_the_facts_are_many() -> None:
    """Else the test above would show nothing."""
    assert len(facts()) > 900
