"""The fuzz run of what reads tables and replies of servers: a sample of it is clean, and it finds what is wrong."""

from typing import Final
from unittest import mock

import pytest

from posthouse.commands import queue_file
from posthouse.protocol import memcached, socketmap
from posthouse.protocol.ldap import filter as ldap_filter
from posthouse.tables import expansion
from tests.fuzz import root, tables
from tests.support.fuzz_sample import run_sample

SAMPLE: Final = 20_000  # inputs; make fuzz-tables tries a million


def test_a_sample_is_clean() -> None:
    """The same program as `make fuzz-tables`."""
    run_sample("tables", SAMPLE)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (ldap_filter, "quote_value", lambda text: text, "ldap_texts"),
        (expansion.Template, "fill", lambda *_: "", "queries"),
        (socketmap.ReplyReader, "receive", lambda _self, data: len(data), "replies"),
        (memcached.ReplyReader, "receive", lambda _self, data: data[5], "replies"),
        (queue_file, "_target", lambda record: int(record.data), "files"),
        (tables, "entries", lambda text, _: iter([mock.Mock(key=text, value="", number=1)]), "sources"),
    ],
)
def test_it_finds_what_is_wrong(owner: object, name: str, broken: object, target: str) -> None:
    """A parser with a mistake in it does not get through."""
    chosen = [each for each in tables.targets() if each.name.startswith(target)]
    with mock.patch.object(owner, name, broken), pytest.raises(root.Finding, match=f"(?s){target}.*BLOCK=1"):
        root.run_block(chosen, 7, 1)
