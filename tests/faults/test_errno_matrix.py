"""The errno matrix: every kind of system call fails with every error, in every daemon that makes it; no mail is lost.

strace(1) answers the first to fifth such call of each thread with the error, while mail of every kind is sent: in each
daemon at its work, and in each one that is started anew. What was answered 250 arrives, whole; a daemon that fails says
why, or is replaced; none spins; a file whose sync failed is never synced again to be called written.
POSTHOUSE_SEED chooses other runs.
"""

import os
import random
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support import assorted
from tests.support.amount import Amount
from tests.support.assorted import Assorted
from tests.support.errno_matrix import Matrix, Row, Survey, choose
from tests.support.injection import CALLS, ERRORS
from tests.support.peers import find_peer
from tests.support.recording_sink import RecordingSink

SEED: Final = int(os.environ.get("POSTHOUSE_SEED", "20261122"))
GROUP: Final = 50  # runs between two accounts
MAIN: Final = {"service_throttle_time": "1s", "max_idle": "3600s"}


@pytest.mark.root
def test_errno_matrix(posthouse: Start, amount: Amount, figures: Figures, tmp_path: Path) -> None:
    """See the module's docstring."""
    if not find_peer("strace"):
        pytest.skip("strace is not here: make peers")
    print(f"seed {SEED}")
    with RecordingSink(assorted.refuse_gone) as sink:
        server = assorted.start(posthouse, sink, **MAIN)
        matrix = Matrix(server, Assorted(server, sink), tmp_path)
        made = matrix.survey()
        runs = choose(made, amount(30, 1100), random.Random(SEED), short=not amount.whole)
        for number, (target, fault, sets) in enumerate(runs, 1):
            matrix.run(target, fault, sets)
            if number % GROUP == 0 or number == len(runs):
                matrix.account()
    _tell(matrix, made, figures)
    assert {"open", "write", "fsync", "fdatasync", "rename", "accept", "fork"} <= {kind for _, kind in made}
    assert not matrix.wrong, "\n".join(matrix.wrong)


def _tell(matrix: Matrix, made: Survey, figures: Figures) -> None:
    every = sum(matrix.rows.values(), Row())
    for (name, kind), row in sorted(matrix.rows.items()):
        print(f"{name:28} {kind:10} {row}")
    figures(
        f"errno matrix: {every.runs} runs, {len(CALLS)} kinds of system calls, {len(ERRORS)} errors, 1st to 5th call, "
        f"in {len({name for name, _ in matrix.rows})} processes at work or starting",
        f"{len(matrix.load.ledger.acknowledged)} messages answered 250: none lost, none short, {matrix.doubles} twice; "
        f"{matrix.dropped} notices found a full mailbox and ended there; "
        f"{every}",
    )
    for kind in CALLS:
        rows = {name: row for (name, call), row in matrix.rows.items() if call == kind}
        figures(f"`{kind}` fails in {', '.join(sorted(rows)) or 'nothing'}", str(sum(rows.values(), Row())))
    working = {target.name for target, _ in made if not target.name.endswith(" starting")}
    for kind in CALLS:
        absent = sorted(working - {target.name for target, call in made if call == kind})
        print(f"{kind} is not made, on files, by {', '.join(absent)}")
