"""What cleanup(8) answers when a message is not taken: code, status, text. Source: facts (cleanup result codes)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reply that refuses a message."""

    code: int
    dsn: str
    text: str


class RefusedError(Exception):
    """This message is not taken. Carries the reply; the client still has the message."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


BAD_TRANSACTION: Final = Refusal(451, "4.3.0", "Error: internal protocol error")
NO_RECIPIENTS: Final = Refusal(550, "5.1.0", "Error: no recipients specified")
TOO_MANY_HOPS: Final = Refusal(554, "5.4.0", "Error: too many hops")
TOO_MANY_RECIPIENTS: Final = Refusal(552, "5.5.3", "Error: too many recipients")
TOO_BIG: Final = Refusal(552, "5.3.4", "Error: message file too big")
WRITE_ERROR: Final = Refusal(451, "4.3.0", "Error: queue file write error")
QUEUE_FULL: Final = Refusal(452, "4.3.1", "Error: insufficient system storage")
ALIAS_ERROR: Final = Refusal(451, "4.6.0", "Error: alias expansion error")
TRY_AGAIN: Final = Refusal(451, "4.3.0", "Error: queue file write error")
