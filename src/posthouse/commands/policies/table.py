"""The table of docs/security.md: every process, and what it may do, as it is declared."""

from typing import Final

from posthouse.commands.policies import words
from posthouse.commands.policies.roots import PARTS, Part
from posthouse.commands.policies.system import System, daemons
from posthouse.skeleton.daemon import Daemon

BEGIN: Final = "<!-- begin: posthouse policies table (made by `make docs`) -->\n"
END: Final = "<!-- end: posthouse policies table -->\n"
_COLUMNS: Final = ("process", "user", "network", "reads", "writes", "connects to", "threads", "accounts")


def security_table(_system: System | None = None) -> str:
    """Give the table as Markdown. It names parameters and not their values, so no configuration matters."""
    rows = [_row(*_COLUMNS), _row(*("---" for _ in _COLUMNS))]
    rows += [_part(part) for part in PARTS]
    rows += [_daemon(daemon) for daemon in daemons()]
    return "".join(rows)


def replaced(document: str, table: str) -> str:
    """Put the table between the two marks. Raises ValueError: a mark is missing."""
    before, _, rest = document.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{BEGIN.strip()} and {END.strip()} must be in the document, in that order")
    return before + BEGIN + table + END + after


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _part(part: Part) -> str:
    user = f"**{part.user}**" if part.user == "root" else part.user
    return _row(
        part.name, user, part.network, part.reads, part.writes, part.sockets, words.yes(False), words.yes(False)
    )


def _daemon(daemon: Daemon) -> str:
    wanted = daemon.privileges
    return _row(
        daemon.name,
        wanted.user,
        words.network(daemon),
        words.reads(daemon),
        words.writes(daemon),
        words.sockets(daemon),
        words.threads(daemon),
        words.yes(wanted.accounts),
    )
