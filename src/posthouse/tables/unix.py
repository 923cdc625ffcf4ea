"""unix:passwd.byname and unix:group.byname: the system's users and groups as tables.

Name service modules open files and sockets as they like, so a confined daemon asks proxymap(8) instead
(proxy:unix:passwd.byname). Source: postconf(5), local_recipient_maps.
"""

import time
from typing import Final

from posthouse.tables.file_table import Origin
from posthouse.tables.table import LocalTable
from posthouse.util.accounts import find_group, find_user
from posthouse.util.errors import ConfigError, TableError

UNSEEN_S: Final = 5.0  # seconds after which what was made of answers is made anew


class UnixTable(LocalTable):
    """Base: keys are names, in the case in which they are asked for after folding."""

    def poll(self) -> None:
        """Take for granted, every few seconds, that something has changed there: the name service does not say."""
        self.generation = int(time.monotonic() / UNSEEN_S)

    def _find(self, key: str) -> str | None:
        if "\0" in key:  # the C functions below would see another name
            return None
        try:
            return self._entry(key)
        except (KeyError, UnicodeEncodeError, ValueError):
            return None
        except OSError as error:  # the name service does not answer
            raise TableError(f"{self.name}: {error.strerror}") from None

    def _entry(self, key: str) -> str:
        raise NotImplementedError


class PasswdTable(UnixTable):
    """Users, in the form of a line of passwd(5)."""

    def _entry(self, key: str) -> str:
        user = find_user(key)
        numbers = f"{user.pw_uid}:{user.pw_gid}"
        return f"{user.pw_name}:{user.pw_passwd}:{numbers}:{user.pw_gecos}:{user.pw_dir}:{user.pw_shell}"


class GroupTable(UnixTable):
    """Groups, in the form of a line of group(5)."""

    def _entry(self, key: str) -> str:
        group = find_group(key)
        return ":".join((group.gr_name, group.gr_passwd or "", str(group.gr_gid), ",".join(group.gr_mem)))


TABLES = {"passwd.byname": PasswdTable, "group.byname": GroupTable}


def open_table(origin: Origin) -> UnixTable:
    """Open unix:name. Raises ConfigError: there is no such table."""
    table = TABLES.get(origin.name)
    if table is None:
        there_are = " and ".join(f"unix:{name}" for name in TABLES)
        raise ConfigError(f"unknown table: {origin.full_name}", remedy=f"there are {there_are}")
    return table(origin.full_name, origin.flags)
