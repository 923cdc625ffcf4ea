"""newaliases(1): build the alias tables that alias_database names, as `sendmail -bi` does."""

import sys
from typing import Final

from posthouse.commands import postalias
from posthouse.commands.table_text import StderrSink
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import ALIAS_DATABASE
from posthouse.util import log
from posthouse.util.errors import ConfigError

NAME: Final = "newaliases"
IGNORED: Final = ("-v", "-i", "-bi", "-I")  # what sendmail's callers add


def main(argv: list[str] | None = None) -> int:
    """Run; argv is the arguments without the program's name. Returns the exit status."""
    arguments = [argument for argument in (sys.argv[1:] if argv is None else argv) if argument not in IGNORED]
    log.LOG.open(NAME, StderrSink(NAME))
    directory: str | None = None
    if arguments[:1] == ["-C"] or arguments[:1] == ["-c"]:
        directory = arguments[1] if len(arguments) > 1 else None
        del arguments[:2]
    try:
        chosen = config_directory(directory)
        settings = load_settings(chosen, NAME)
        tables = [table for table in settings[ALIAS_DATABASE] if not table.startswith(("proxy:", "nis:", "ldap:"))]
    except ConfigError as error:
        log.fatal(str(error))
        return 1
    if arguments:
        log.fatal("usage: newaliases [-C config_dir]")
        return 64
    return postalias.main(["-c", chosen, "--", *tables]) if tables else 0
