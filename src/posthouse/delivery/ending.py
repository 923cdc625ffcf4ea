"""Ending: how an attempt to write or read a user's files ended, when not well."""

import errno
from typing import Final, Self

from posthouse.ipc.as_user import NO_SPACE, NOT_FOUND, OVER_QUOTA, REFUSED, TRY_LATER

_BY_ERRNO: Final = {
    errno.ENOENT: NOT_FOUND,
    errno.ENOTDIR: NOT_FOUND,
    errno.EISDIR: NOT_FOUND,  # a file of that name is not there
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: OVER_QUOTA,
    errno.EFBIG: OVER_QUOTA,
    errno.EACCES: TRY_LATER,  # a home directory that is not mounted looks like this
    errno.ELOOP: REFUSED,
}


class Ending(Exception):
    """kind: one of ipc.as_user's endings; text for the log and the sender."""

    def __init__(self, kind: int, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text

    @classmethod
    def of(cls, error: OSError) -> Self:
        """Say what a failed system call means. What is not known may go away: try later."""
        where = f" {error.filename}" if error.filename else ""
        return cls(_BY_ERRNO.get(error.errno or 0, TRY_LATER), f"cannot access{where}: {error.strerror}")
