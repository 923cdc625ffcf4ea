"""What pickup(8) reads from main.cf beside the parameters it shares with others."""

from typing import Final

from posthouse.config.parameter import Integer, Size
from posthouse.config.parameters import AUTHORIZED_SUBMIT_USERS, MESSAGE_SIZE_LIMIT, MYORIGIN
from posthouse.ipc.origin import EXTERNAL_PARAMETERS

SUBMIT_FILES_PER_USER: Final = Integer(
    "submit_files_per_user", "1000", doc="How many files of one user pickup takes from maildrop in one run.", minimum=1
)
SUBMIT_BYTES_PER_USER: Final = Size(
    "submit_bytes_per_user",
    "104857600",
    doc="How many bytes of one user pickup takes from maildrop in one run; the rest waits for the next.",
    minimum=1,
)

PARAMETERS: Final = (
    AUTHORIZED_SUBMIT_USERS,
    MESSAGE_SIZE_LIMIT,
    MYORIGIN,
    SUBMIT_FILES_PER_USER,
    SUBMIT_BYTES_PER_USER,
    *EXTERNAL_PARAMETERS,
)
