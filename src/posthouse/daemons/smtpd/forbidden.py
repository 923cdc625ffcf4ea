"""smtpd_forbidden_commands: which unknown words show that the client does not speak SMTP.

The session asks without waiting, so only tables that answer at once can be used here (Postfix's default is words and a
regexp: table).
"""

from collections.abc import Callable
from typing import Final

from posthouse.config.settings import Settings
from posthouse.daemons.smtpd.parameters import SMTPD_FORBIDDEN_COMMANDS
from posthouse.protocol.smtp.server import is_forbidden
from posthouse.tables.open import Opener
from posthouse.tables.table import LocalTable
from posthouse.util import log
from posthouse.util.errors import TableError

# The default in so many words: what protocol/smtp/server.py does by itself, without an engine for patterns in memory.
DEFAULT: Final = ("CONNECT", "GET", "POST", "regexp:{{/^[^A-Z]/ Bogus}}")


def forbidden_commands(settings: Settings) -> Callable[[str], bool]:
    """Make the test. Raises ConfigError."""
    items = settings[SMTPD_FORBIDDEN_COMMANDS]
    if items == DEFAULT:
        return is_forbidden
    words: set[str] = set()
    tables: list[LocalTable] = []
    opener = Opener(settings)
    for item in items:
        if ":" not in item:
            words.add(item.upper())
            continue
        table = opener.open(item)
        if not isinstance(table, LocalTable):
            raise settings.error(SMTPD_FORBIDDEN_COMMANDS.name, f"{item} does not answer at once; use a local table")
        tables.append(table)

    def is_listed(verb: str) -> bool:
        if verb in words:
            return True
        try:
            return any(table.get(verb) is not None for table in tables)
        except TableError as error:
            log.warning(f"smtpd_forbidden_commands: {error}")
            return False

    return is_listed
