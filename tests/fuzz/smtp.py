"""make fuzz-smtp: throw conversations at both halves of SMTP, cut in any way, and at what smtpd makes of them.

  python -m tests.fuzz.smtp [--inputs N] [--seed N] [--workers N] [--block N] [--only NAME]

What must hold stands in smtp_server.py, smtp_arguments.py, smtp_conversation.py and smtp_client.py; what octets mean,
in smtp_reference.py. Blocks, seeds and the limit on time are those of tests/fuzz/root.py.
"""

import random
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

from tests.fuzz import root
from tests.fuzz.records import Target
from tests.fuzz.smtp_arguments import argument, check_one_meaning, check_valid
from tests.fuzz.smtp_client import check_client, check_reader
from tests.fuzz.smtp_conversation import Place, check_conversation
from tests.fuzz.smtp_inputs import SEED, mangled, server_stream, spoken
from tests.fuzz.smtp_server import check_session, check_work

INPUTS: Final = 1_000_000


def targets() -> Sequence[Target]:
    """Give all targets."""
    return [
        Target("session spoken", spoken, check_session, 30),
        Target("session mangled", mangled, check_session, 30),
        Target("session work", spoken, check_work, 1),
        Target("arguments valid", random_seed, check_valid, 10),
        Target("arguments mangled", argument, check_one_meaning, 10),
        Target("conversation spoken", spoken, check_conversation, 20),
        Target("conversation mangled", mangled, check_conversation, 20),
        Target("replies", server_stream, check_reader, 20),
        Target("client", random_seed, check_client, 20),
    ]


def random_seed(source: random.Random) -> bytes:
    """Give that from which all follows."""
    return source.randbytes(SEED)


def main(argv: list[str] | None = None) -> int:
    """Run; exit status 1 when something was found."""
    with tempfile.TemporaryDirectory() as directory:
        Place.base = directory
        return root.main(argv, targets(), INPUTS)


if __name__ == "__main__":
    sys.exit(main())
