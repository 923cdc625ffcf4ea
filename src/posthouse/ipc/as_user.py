"""What a delivery agent asks of its child that became the recipient: write a mailbox, read a file, run a command.

The child is the user for good; it believes what the agent says, and the agent believes nothing of what comes back but
its shape. Large content comes as a descriptor with the record. Both ends' records.
"""

from typing import Final

from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "as_user"
VERSION: Final = 1

# How a request ended.
OK, NOT_FOUND, REFUSED, NO_SPACE, OVER_QUOTA, TRY_LATER = 0, 1, 2, 3, 4, 5


class WriteMaildir(Request, frozen=True, tag=1):
    """Add a message to a Maildir (made when it is not there). head: header lines put before content."""

    directory: str
    host: str
    head: bytes
    content: bytes
    with_descriptor: bool


class WriteMailbox(Request, frozen=True, tag=2):
    """Append a message to an mbox file. size_limit: of the file (0: none).

    patience: how often a lock is tried for, seconds between two tries, age in seconds of a lock file that is nobody's.
    """

    path: str
    from_line: bytes
    head: bytes
    content: bytes
    with_descriptor: bool
    size_limit: int
    locks: list[str]  # of "fcntl", "flock", "dotlock"
    strict_owner: bool
    patience: tuple[int, float, float] = (20, 1.0, 500.0)


class ReadFile(Request, frozen=True, tag=3):
    """Read a .forward or an :include: file: a regular file, owned by the user or root, not writable by the world."""

    path: str
    size_limit: int


class RunCommand(Request, frozen=True, tag=4):
    """Run a command with content on its standard input."""

    command: str
    directory: str
    environment: dict[str, str]
    head: bytes
    content: bytes
    with_descriptor: bool
    time_limit_s: float


class Finished(Request, frozen=True, tag=11):
    """How it ended: OK …, text for the log; data of ReadFile, output and exit status of RunCommand."""

    ending: int
    text: str
    data: bytes
    status: int  # exit status, or minus the signal


ToChild = WriteMaildir | WriteMailbox | ReadFile | RunCommand
CHILD: Final[Protocol[ToChild]] = Protocol(NAME, VERSION, ToChild)
AGENT: Final[Protocol[Finished]] = Protocol(NAME, VERSION, Finished)
