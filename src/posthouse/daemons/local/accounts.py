"""Accounts of this machine: by way of proxymap(8), which may look into /etc/passwd and its kin when we may not."""

import os
from dataclasses import dataclass

from posthouse.delivery.users import Identity
from posthouse.tables.maps import Maps
from posthouse.util.errors import TableError


@dataclass(frozen=True, slots=True)
class Account:
    """A user who can get mail."""

    name: str
    identity: Identity
    home: str
    shell: str


async def find_account(passwd: Maps, name: str) -> Account | None:
    """Find a user. Raises TableError: the accounts cannot be looked up now, or an entry is no entry."""
    line = await passwd.find(name)
    if line is None:
        return None
    fields = line.split(":")
    if len(fields) != 7 or not fields[2].isascii() or not fields[3].isascii():
        raise TableError(f"account {name}: malformed entry")
    try:
        uid, gid = int(fields[2]), int(fields[3])
    except ValueError as error:
        raise TableError(f"account {name}: malformed entry") from error
    return Account(fields[0], Identity(uid, gid, groups_of(fields[0], gid)), fields[5], fields[6])


def groups_of(name: str, gid: int) -> tuple[int, ...]:
    """All groups of a user, the first sixteen; the account's own where the group file cannot be read."""
    try:
        return tuple(os.getgrouplist(name, gid)[:16])
    except OSError:
        return (gid,)
