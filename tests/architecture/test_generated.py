"""What is generated from the daemons' declarations is what is committed, and the two tables of owners agree."""

import importlib

from posthouse.commands.orders.programs import PROGRAMS, is_built
from posthouse.commands.policies.table import BEGIN, END, replaced
from posthouse.ipc.orders_wire import Owner
from tools import generate

USERS = {Owner.INNER: "$mail_owner", Owner.NETWORK: "$network_owner", Owner.QUEUE: "$queue_owner"}


def test_generated_files_are_fresh() -> None:
    """Manual pages, units and the table in docs/security.md; `make docs` brings them up to date."""
    assert generate.stale(generate.generated()) == []


def test_a_stale_file_is_found() -> None:
    """A page that says something else, and one that is missing, are named."""
    files = generate.generated()
    files["docs/man/smtpd.8"] += "and more\n"
    files["docs/man/nosuchdaemon.8"] = ""
    removed = files.pop("docs/man/qmgr.8")
    assert removed
    assert sorted(generate.stale(files)) == ["docs/man/nosuchdaemon.8", "docs/man/qmgr.8", "docs/man/smtpd.8"]


def test_only_what_is_between_the_marks_is_replaced() -> None:
    """The rest of the document is its author's."""
    assert replaced(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}new\n{END}b\n"


def test_owners_are_those_that_the_daemons_declare() -> None:
    """commands/orders/programs.py says as whom master starts a daemon, the daemon says as whom it wants to run."""
    for name, program in PROGRAMS.items():
        if is_built(program.package):
            daemon = importlib.import_module(f"posthouse.daemons.{program.package}.daemon").DAEMON
            assert daemon.privileges.user == USERS[program.owner], name
