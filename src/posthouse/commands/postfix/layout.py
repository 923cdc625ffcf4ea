"""The directories and users the mail system needs: what they must be, whether they are, and how they come to be so.

private/ and submit/ belong to root, so that no daemon can put its own socket in the place of another's. public/ is
open to all: programs of users reach showq, qmgr and postlogd there, and the daemons ask the kernel who it is (Postfix
uses set-gid programs instead; we have none). maildrop/ takes files from everybody, but shows none (mode 1733).
"""

import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse.config.parameters import (
    DATA_DIRECTORY,
    MAIL_OWNER,
    MAILLOG_FILE,
    MAILLOG_FILE_PERMISSIONS,
    MAILLOG_FILE_PREFIXES,
    NETWORK_OWNER,
    QUEUE_DIRECTORY,
    QUEUE_OWNER,
    SETGID_GROUP,
)
from posthouse.config.settings import Settings

_TOOL_DIRECTORIES: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


class LayoutError(Exception):
    """Something is missing or wrong that only the administrator can put right; the text says how."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory as it must be."""

    path: str
    mode: int
    uid: int
    gid: int


def layout(settings: Settings) -> list[Directory]:
    """List the directories, parents first. Raises LayoutError: a user is missing (as root)."""
    if os.geteuid() == 0:
        inner, queue = _account(settings, settings[MAIL_OWNER]), _account(settings, settings[QUEUE_OWNER])
        root, ids, queue_ids = (0, 0), (inner.pw_uid, inner.pw_gid), (queue.pw_uid, queue.pw_gid)
    else:
        root = ids = queue_ids = (os.geteuid(), os.getegid())
    spool = settings[QUEUE_DIRECTORY]
    return [
        Directory(spool, 0o755, *root),
        Directory(f"{spool}/pid", 0o755, *root),
        Directory(f"{spool}/private", 0o710, root[0], ids[1]),
        Directory(f"{spool}/public", 0o755, *root),
        Directory(f"{spool}/submit", 0o755, *root),
        Directory(f"{spool}/maildrop", 0o1733, *ids),
        Directory(f"{spool}/posthouse", 0o700, *queue_ids),
        Directory(settings[DATA_DIRECTORY], 0o700, *ids),
    ]


def prepare(settings: Settings) -> None:
    """Make what is missing below existing directories, and see that the rest is right. Raises LayoutError."""
    if not os.path.isdir(settings[QUEUE_DIRECTORY]) and os.geteuid() == 0:
        raise LayoutError(f"no queue directory {settings[QUEUE_DIRECTORY]}{_advice(settings)}")
    wrong: list[str] = []
    for directory in layout(settings):
        if not os.path.lexists(directory.path):
            _make(directory)
        wrong += problems_of(directory)
    if os.geteuid() == 0 and wrong:
        raise LayoutError("; ".join(wrong) + _advice(settings))
    if wrong and any(not os.access(directory.path, os.R_OK | os.W_OK | os.X_OK) for directory in layout(settings)):
        raise LayoutError("; ".join(wrong))


def problems_of(directory: Directory) -> Iterator[str]:
    """Say what is wrong with a directory; being stricter than needed for others is not wrong."""
    try:
        found = os.lstat(directory.path)
    except FileNotFoundError:
        yield f"no directory {directory.path}"
        return
    if not stat.S_ISDIR(found.st_mode):
        yield f"{directory.path} is no directory"
        return
    if found.st_uid != directory.uid:
        yield f"{directory.path} is owned by {_user(found.st_uid)} and should be by {_user(directory.uid)}"
    if directory.mode == 0o710 and found.st_gid != directory.gid:
        yield f"{directory.path} has group {_group(found.st_gid)} and should have {_group(directory.gid)}"
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~directory.mode & 0o022 or directory.mode & ~mode & 0o1711:
        yield f"{directory.path} has mode {mode:o} and should have {directory.mode:o}"


def prepare_maillog(settings: Settings) -> None:
    """Make maillog_file for postlogd, which is not root and could not make it itself. Raises LayoutError."""
    path = settings[MAILLOG_FILE]
    if not path or path == "/dev/stdout":
        return
    prefixes = settings[MAILLOG_FILE_PREFIXES]
    if not any(path.startswith(prefix) for prefix in prefixes):
        raise LayoutError(f"maillog_file {path} is not below maillog_file_prefixes ({' '.join(prefixes)})")
    permissions = settings[MAILLOG_FILE_PERMISSIONS]
    mode = int(permissions, 8) if re.fullmatch("0?[0-7]{3}", permissions) else 0o600
    if _is_right(settings, path, mode):
        return
    try:
        if os.geteuid() != 0:  # an empty volume is enough to start; root makes no directory where a user could
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode & 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise LayoutError(f"maillog_file {path} is no regular file, or has a second name")
            os.fchmod(descriptor, mode)
            if os.geteuid() == 0:
                inner = _account(settings, settings[MAIL_OWNER])
                os.fchown(descriptor, inner.pw_uid, -1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LayoutError(f"maillog_file {path}: {error.strerror}") from None


def _is_right(settings: Settings, path: str, mode: int) -> bool:
    """Tell whether the log is what it must be: then a start needs no right over other users' files."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    owner = _account(settings, settings[MAIL_OWNER]).pw_uid if os.geteuid() == 0 else os.geteuid()
    own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == owner
    return own and stat.S_IMODE(found.st_mode) == mode


def set_permissions(settings: Settings) -> list[str]:
    """Create users, directories, log and lock, set owners and modes; returns what was done. Raises LayoutError.

    Whoever starts the system afterwards needs no right to do any of this, so a unit can take those away.
    """
    done: list[str] = []
    if os.geteuid() == 0:
        done += _create_accounts(settings)
    for directory in layout(settings):
        if not os.path.lexists(directory.path):
            done.append(f"created {directory.path}")
        elif list(problems_of(directory)):
            done.append(f"corrected {directory.path}")
        _make(directory)
    prepare_maillog(settings)
    _make_lock(f"{settings[DATA_DIRECTORY]}/master.lock")
    return done


def _make_lock(path: str) -> None:
    """Make the file that master locks in a directory which is not its own (util/instance_lock.py)."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise LayoutError(f"{path}: {error.strerror}") from None


def _make(directory: Directory) -> None:
    """Make a directory, or set its owner and mode; never through a symbolic link."""
    try:
        os.makedirs(os.path.dirname(directory.path), mode=0o755, exist_ok=True)
        if not os.path.lexists(directory.path):
            os.mkdir(directory.path, 0o700)
        descriptor = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.geteuid() == 0:
                os.fchown(descriptor, directory.uid, directory.gid)
            os.fchmod(descriptor, directory.mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LayoutError(f"{directory.path}: {error.strerror}") from None


def _create_accounts(settings: Settings) -> Iterator[str]:
    group = settings[SETGID_GROUP]
    if not _exists(grp.getgrnam, group):
        _run("groupadd", "--system", group)
        yield f"created group {group}"
    for parameter in (MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER):
        name = settings[parameter]
        if not _exists(pwd.getpwnam, name):
            own = ["--gid", name] if _exists(grp.getgrnam, name) else ["--user-group"]
            home = ["--no-create-home", "--home-dir", settings[QUEUE_DIRECTORY], "--shell", "/usr/sbin/nologin"]
            _run("useradd", "--system", *own, *home, name)
            yield f"created user {name} ({parameter.name})"


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program, path=_TOOL_DIRECTORIES)
    if path is None:
        raise LayoutError(f"{program} is not installed; create the users by hand (docs/howto/install.md)")
    done = subprocess.run([path, *arguments], capture_output=True, check=False)  # noqa: S603 - a fixed program
    if done.returncode:
        raise LayoutError(f"{program}: {done.stderr.decode(errors='replace').strip()}")


def _exists(find: object, name: str) -> bool:
    try:
        find(name)  # type: ignore[operator]
    except KeyError:
        return False
    return True


def _account(settings: Settings, name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise LayoutError(f'there is no user "{name}"{_advice(settings)}') from None


def _advice(settings: Settings) -> str:
    return f"; to put it right run: postfix -c {settings.config_directory} set-permissions"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
