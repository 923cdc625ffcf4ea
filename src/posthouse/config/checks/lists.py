"""Checks of one list value: its words when it is a list of restrictions, and every table it names."""

from collections.abc import Iterator
from typing import Final

from posthouse.config.check_restrictions import CHECK_ADDRESS_MAP, check_restrictions, tables_of
from posthouse.config.check_tables import NOT_BUILT, check_file, check_table, tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import ERROR, WARNING, Kind, Problem
from posthouse.config.lists import split_tokens
from posthouse.config.parameter import NameList, Restrictions, Tables
from posthouse.config.settings import Settings

SAME_TABLE = Kind(
    "same-table-twice",
    WARNING,
    "A list names the same table twice.",
    "the second is asked in vain, whenever the first has no answer",
    "take one out",
)

# Parameters that decide who may send where: while one of them is not built, ignoring it would decide mail wrongly.
DECISIVE: Final = frozenset(
    {
        "content_filter", "local_recipient_maps", "mydestination", "mynetworks", "relay_domains",
        "relay_recipient_maps", "smtpd_client_restrictions", "smtpd_data_restrictions",
        "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions", "smtpd_helo_restrictions",
        "smtpd_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_sender_login_maps",
        "smtpd_sender_restrictions", "transport_maps", "virtual_alias_domains", "virtual_alias_maps",
        "virtual_mailbox_domains", "virtual_mailbox_maps",
    }
)  # fmt: skip

_CACHES: Final = ("_cache_database", "_cache_map", "address_verify_map")


def list_problems(context: Context, settings: Settings, row: NameList, value: tuple[str, ...]) -> Iterator[Problem]:
    """Check the words and the tables of a list."""
    if not isinstance(row, Restrictions):
        yield from _table_problems(context, row, value)
        if isinstance(row, Tables):
            yield from _repeated(value)
        return
    classes = frozenset(name.lower() for name in split_tokens(settings.text("smtpd_restriction_classes")))
    if row.name == "local_header_rewrite_clients":
        value = tuple(item for item in value if item.lower() != CHECK_ADDRESS_MAP)  # its table follows
    if not row.name.startswith("postscreen_"):  # a permit list of its own words
        yield from check_restrictions(value, classes, context.registry.restrictions)
    yield from _table_problems(context, row, tables_of(value))


def _table_problems(context: Context, row: NameList, value: tuple[str, ...]) -> Iterator[Problem]:
    if row.name.endswith(_CACHES):
        return  # the daemons make it
    items = value if isinstance(row, (Tables, Restrictions)) else tuple(item.lstrip("!") for item in value)
    for kind, name in tables_in(items):
        for problem in check_table(kind, name, context.registry.table_types, as_root=context.as_root):
            is_decisive = row.name in DECISIVE and problem.kind is NOT_BUILT
            yield problem._replace(severity=ERROR) if is_decisive else problem
    if not isinstance(row, (Tables, Restrictions)):
        for item in items:
            yield from check_file(item, item, as_root=context.as_root)


def _repeated(value: tuple[str, ...]) -> Iterator[Problem]:
    for item in dict.fromkeys(value):
        if value.count(item) > 1:
            yield SAME_TABLE.problem(f"{item} stands twice")
