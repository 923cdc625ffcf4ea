"""postalias(1): build and query alias tables from aliases(5) files. Options, output and messages are Postfix's."""

import sys
from typing import Final

from posthouse.commands.table_command import Command, run
from posthouse.commands.table_writer import SourceKind

COMMAND: Final = Command(
    name="postalias",
    options="c:d:fijnNopq:rsuvw",
    usage="usage: postalias [-fijnNoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    source=SourceKind.ALIASES,
    separator=":\t",
)


def main(argv: list[str] | None = None) -> int:
    """Run; argv is the arguments without the program's name. Returns the exit status."""
    return run(COMMAND, sys.argv[1:] if argv is None else argv)
