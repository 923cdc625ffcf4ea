"""Checks that passwords are for nobody else's eyes: those of tables' own files, of SASL clients, and in main.cf."""

import os
import stat
from collections.abc import Iterator
from typing import Final

from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.findings import WARNING, Finding, Kind, Place
from posthouse.config.index_files import INDEX_SUFFIXES, index_path
from posthouse.config.main_cf import parse_main_cf
from posthouse.config.usage import TABLE_ATTRIBUTES
from posthouse.util.errors import ConfigError
from posthouse.util.files import read_regular

EXPOSED = Kind(
    "password-exposed",
    WARNING,
    "A file with a password in it can be read by every user.",
    "each of them can use it",
)
_WORDS: Final = ("password", "bind_pw")
_SASL: Final = ("smtp_sasl_password_maps", "lmtp_sasl_password_maps")
_MAX_BYTES: Final = 256 * 1024


def check_passwords(context: Context) -> Iterator[Finding]:
    """Look at each file once."""
    paths: dict[str, str] = {}
    for name in context.configuration.main.values:
        text = context.text(name)
        if ":" not in text:
            continue
        for kind, table in tables_in(context.items(name)):
            if table.startswith("/") and kind in TABLE_ATTRIBUTES:
                paths.setdefault(table, f"{kind}:{table}")
            elif table.startswith("/") and name in _SASL:
                paths.setdefault(table, f"{kind}:{table}")
                if kind in INDEX_SUFFIXES:
                    paths.setdefault(index_path(kind, table), f"{kind}:{table}")
    for path, shown in paths.items():
        is_table = shown.partition(":")[0] in TABLE_ATTRIBUTES
        if is_open_to_all(path) and (not is_table or _password_line(path)):
            place = Place(path, _password_line(path) if is_table else 0)
            yield EXPOSED.at(place, f"every user can read the passwords of {shown}", f"run: chmod o-r {path}")
    yield from _check_main(context)


def _check_main(context: Context) -> Iterator[Finding]:
    """Look for the attributes of tables that are defined in main.cf itself, the old way."""
    if not is_open_to_all(context.main_path):
        return
    for name, value in context.configuration.main.values.items():
        is_word = name.endswith(tuple(f"_{word}" for word in _WORDS))
        table = name.rpartition("_bind_pw")[0] or name.rpartition("_password")[0]
        if is_word and value and f":{table}" in " ".join(context.configuration.main.values.values()):
            fix = "move the table's settings to a file of their own, which only root can read"
            yield EXPOSED.at(context.place(name), f"every user can read {name}", fix)


def is_open_to_all(path: str) -> bool:
    """Tell whether every user can read a file; directories on the way count too."""
    try:
        if not os.stat(path).st_mode & stat.S_IROTH:
            return False
        while path != "/":
            path = os.path.dirname(path)
            if not os.stat(path).st_mode & stat.S_IXOTH:
                return False
    except OSError:
        return False
    return True


def _password_line(path: str) -> int:
    """Give the line of a file of settings that has a password; 0: none has, or it cannot be read."""
    try:
        settings = parse_main_cf(read_regular(path, _MAX_BYTES), path)
    except (OSError, ConfigError):
        return 0
    return next((each.line for each in settings.assignments if each.name in _WORDS and each.value), 0)
