"""What the orders process does as root: it reads main.cf and master.cf whole, and becomes somebody else for good.

Nothing is parsed here. One expression finds the name of mail_owner, whose rights are enough to read the rest.
"""

import os
import pwd
import re
from typing import Final, NamedTuple

from posthouse.util.fatal import Fatal
from posthouse.util.process import become

UNPRIVILEGED: Final = ("posthouse", "nobody")  # who parses when main.cf does not name mail_owner
_MAIL_OWNER: Final = re.compile(rb"^mail_owner[ \t]*=[ \t]*([a-z_][a-z0-9_-]{0,31})[ \t\r]*$", re.MULTILINE)


class Files(NamedTuple):
    """The two files as they were read; None: there is none."""

    directory: str
    main: bytes | None
    master: bytes | None


def read_files(directory: str) -> Files:
    """Read both. Raises Fatal: one is there and cannot be read, or there is no such directory."""
    if not os.path.isdir(directory):
        raise Fatal(f"{directory}: there is no such directory; name it with -c or MAIL_CONFIG")
    return Files(directory, _read(f"{directory}/main.cf"), _read(f"{directory}/master.cf"))


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Fatal(f"{path}: cannot read it: {error.strerror}") from None


def mail_owner(main_cf: bytes) -> list[str]:
    """Find the name that is given last, if there is any."""
    return [name.decode("ascii") for name in _MAIL_OWNER.findall(main_cf)[-1:]]


def give_root_up(files: Files) -> None:
    """Become mail_owner, or another user without rights, for good. Raises Fatal: there is none."""
    candidates = (*mail_owner(files.main or b""), *UNPRIVILEGED)
    for name in candidates:
        try:
            _, _, uid, gid, *_ = pwd.getpwnam(name)
        except KeyError:
            continue
        if uid and gid:
            become(uid, gid, [group for group in os.getgrouplist(name, gid) if group])  # as the daemons have them
            return
    raise Fatal(f"{files.directory}: none of the users {', '.join(candidates)} exists to read it")
