"""postmap(1): build and query lookup tables.

hash: and btree: tables are written in the format of lmdb: (NAME.lmdb): there is no Berkeley DB here. A NAME.db that
Postfix wrote is read while there is no NAME.lmdb. Options, output and messages are Postfix's, and --json is -j.
"""

import sys
from typing import Final

from posthouse.commands.table_command import Command, run
from posthouse.commands.table_writer import SourceKind

COMMAND: Final = Command(
    name="postmap",
    options="bc:d:fFhijmnNopq:rsuUvw",
    usage="usage: postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...",
    source=SourceKind.MAP,
    separator="\t",
)


def main(argv: list[str] | None = None) -> int:
    """Run; argv is the arguments without the program's name. Returns the exit status."""
    return run(COMMAND, sys.argv[1:] if argv is None else argv)
