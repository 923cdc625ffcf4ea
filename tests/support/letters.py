"""Messages that know what they have to look like, for tests that ask whether a message arrived whole.

Each has a token that occurs nowhere else and the hash of its body, both in its header.
"""

import hashlib
import random
import re
import secrets
from dataclasses import dataclass
from typing import Final

from tests.support.sender import TOKEN_PREFIX

SMALL, MEDIUM, SPOOLED = 2_000, 20_000, 100_000  # octets; qmgr keeps what is above 64 kB in files of their own
LARGE: Final = (1_000_000, 5_000_000)
_SIZES: Final = (SMALL, MEDIUM, SPOOLED, 0)
_WEIGHTS: Final = (70, 14, 12, 4)
_LINES: Final = b"".join(b"%070d\n" % number for number in range(LARGE[1] // 71 + 1))
_MARKS: Final = re.compile(rb"^X-Token: (\S+)\nX-Sum: ([0-9a-f]{64})$", re.MULTILINE)
_SEPARATOR: Final = re.compile(rb"(?:\A|(?<=\n\n))From ")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message. `content` has LF line ends, no line that begins with a dot or with From."""

    token: str
    recipients: tuple[str, ...]
    content: bytes

    def names(self) -> list[str]:
        """Return what the ledger calls it: one name for each recipient."""
        return [name(self.token, recipient) for recipient in self.recipients]


def name(token: str, recipient: str) -> str:
    """Return what the ledger calls a message to a recipient."""
    return f"{token}:{recipient}"


def write_letter(sender: str, recipients: tuple[str, ...], size: int) -> Letter:
    """Write a message of about that many octets."""
    token = TOKEN_PREFIX + secrets.token_hex(8)
    body = token.encode() + b"\n" + _LINES[: size // 71 * 71]
    total = hashlib.sha256(body).hexdigest()
    head = f"From: {sender}\nTo: {', '.join(recipients)}\nSubject: {token}\nX-Token: {token}\nX-Sum: {total}\n\n"
    return Letter(token, recipients, head.encode() + body)


def any_size(chance: random.Random) -> int:
    """Choose a size: most are small, some go through a file, a few are large."""
    return chance.choices(_SIZES, _WEIGHTS)[0] or chance.randint(*LARGE)


def read_letter(content: bytes) -> str:
    """Return the token of a message that has arrived. Raises AssertionError: it is not as it was written."""
    token = find_whole(content.replace(b"\r\n", b"\n"))
    assert token, f"a message that is not whole, {len(content)} octets: {content[:400]!r} ... {content[-100:]!r}"
    return token


def find_whole(content: bytes) -> str:
    """Return the token of a message with LF line ends; "" when it is not whole."""
    head, _, body = content.partition(b"\n\n")
    marks = _MARKS.search(head)
    if marks is None or hashlib.sha256(body).hexdigest().encode() != marks[2]:
        return ""
    return marks[1].decode()


def read_mbox(content: bytes) -> tuple[list[str], int]:
    """Return the tokens of the whole messages in an mbox file, as a mail reader finds them, and how many are not."""
    starts = [found.start() for found in _SEPARATOR.finditer(content)]
    assert not content or starts[:1] == [0], f"an mbox file that does not begin with a message: {content[:200]!r}"
    found = [
        find_whole(content[start:end].partition(b"\n")[2].removesuffix(b"\n"))
        for start, end in zip(starts, [*starts[1:], len(content)], strict=True)
    ]
    return [token for token in found if token], found.count("")
