"""Attempts at files: what others own, what all may read, what Landlock does not cover, /proc and devices.

Everything that could be changed by mistake lies in the scratch directory.
"""

import ctypes
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from posthouse.commands.confine.attempt import OR_ABSENT, OR_ELSEWHERE, Attempt, Scene, Wall, always
from posthouse.commands.confine.system import call
from posthouse.confine.rules import Rules

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
_TEMPORARY: Final = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
_AT_FDCWD: Final = -100
_F_SETOWN, _F_SETSIG, _F_SETLEASE, _F_NOTIFY = 8, 10, 1024, 1026
_TIOCSTI, _FIOSETOWN = 0x5412, 0x8901
FILES, REFER, USERS, NOT_ROOT = Wall.FILES, Wall.REFER, Wall.USERS, Wall.NOT_ROOT


def no_writing(rules: Rules) -> bool:
    """Whether the filter lets nothing be opened for writing."""
    return not (rules.writes or rules.appends or rules.executes)


def no_changes(rules: Rules) -> bool:
    """Whether the filter has no call that changes directories."""
    return not (rules.writes or rules.executes)


def no_chroot(rules: Rules) -> bool:
    """Whether the process never changed its root directory."""
    return not (rules.root_directory or rules.executes)


def at(name: str) -> Callable[[Scene], str]:
    """Make the function that gives a path of the scene."""
    return lambda scene: scene[name]


def fixed(path: str) -> Callable[[Scene], str]:
    """Make the function that gives this path."""
    return lambda _scene: path


def opens(path: Callable[[Scene], str], flags: int = _READ) -> Callable[[Scene], None]:
    """Make the act that opens a file, and closes it should that succeed."""
    return lambda scene: os.close(os.open(path(scene), flags, 0o600))


def reading(name: str, path: Callable[[Scene], str], *walls: Wall) -> Attempt:
    """Make the attempt to open something for reading."""
    return Attempt(f"read {name}", opens(path), (*walls, FILES), path=path, may=_may_read(path))


def writing(name: str, path: Callable[[Scene], str], *walls: Wall, flags: int = _WRITE) -> Attempt:
    """Make the attempt to open something for writing."""
    walls = (*walls, FILES)
    return Attempt(f"write {name}", opens(path, flags), walls, "openat", no_writing, _may_write(path), path, write=True)


def _may_read(path: Callable[[Scene], str]) -> Callable[[Scene], bool]:
    """Whether the rules cover a path that no other wall protects: then it may be read."""
    return lambda scene: scene.covers(path(scene)) and os.access(path(scene), os.R_OK)


def _may_write(path: Callable[[Scene], str]) -> Callable[[Scene], bool]:
    return lambda scene: path(scene) in scene.rules.appends or scene.covers(path(scene), write=True)


def filtered(name: str, number: str, act: Callable[[Scene], object], *walls: Wall) -> Attempt:
    """Make an attempt that the filter refuses to every daemon."""
    return Attempt(name, act, walls, number, always, refusals=OR_ABSENT)


# --- one after the other ---------------------------------------------------------------------------------------------


def _create(scene: Scene) -> None:
    path = f"{scene['outside']}/made-{os.getpid()}"
    os.close(os.open(path, _WRITE | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def _leave_mail(scene: Scene) -> None:
    path = f"{scene['maildrop']}/proof-{os.getpid()}"
    os.close(os.open(path, _WRITE | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def _remove(scene: Scene) -> None:
    os.unlink(scene["removable"])
    with suppress(OSError):
        os.close(os.open(scene["removable"], _WRITE | os.O_CREAT, 0o666))


def _make_directory(scene: Scene) -> None:
    path = f"{scene['outside']}/directory-{os.getpid()}"
    os.mkdir(path)
    os.rmdir(path)


def _remove_directory(scene: Scene) -> None:
    os.rmdir(scene["empty"])
    with suppress(OSError):
        os.mkdir(scene["empty"])


def _rename(scene: Scene) -> None:
    path = f"{scene['removable']}-{os.getpid()}"
    os.rename(scene["removable"], path)
    os.rename(path, scene["removable"])


def _link(scene: Scene) -> None:
    path = f"{scene['subdirectory']}/link-{os.getpid()}"
    os.link(scene["own"], path)
    os.unlink(path)


def _symlink(scene: Scene) -> None:
    path = f"{scene['outside']}/symlink-{os.getpid()}"
    os.symlink("/etc/shadow", path)
    os.unlink(path)


def _make_node(kind: int, device: int) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        path = f"{scene['outside']}/node-{os.getpid()}"
        os.mknod(path, 0o600 | kind, device)
        os.unlink(path)

    return act


def _bind_path(scene: Scene) -> None:
    path = f"{scene['outside']}/socket-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        os.unlink(path)


def _take_out(scene: Scene) -> None:
    """Carry a file out of where the process may write."""
    inside, outside = f"{scene.rules.writes[0]}/proof-{os.getpid()}", f"{scene['outside']}/out-{os.getpid()}"
    os.close(os.open(inside, _WRITE | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.rename(inside, outside)
        os.unlink(outside)
    finally:
        with suppress(OSError):
            os.unlink(inside)


def _link_in(scene: Scene) -> None:
    """Give somebody's file a name where the process may write."""
    inside = f"{scene.rules.writes[0]}/proof-link-{os.getpid()}"
    os.link(scene["own"], inside)
    os.unlink(inside)


def _changes_directory(scene: Scene) -> None:
    os.chdir(scene["outside"])
    os.chdir("/")


def _changes_directory_by_descriptor(scene: Scene) -> None:
    descriptor = os.open(scene["sources"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(descriptor)
        os.chdir("/")
    finally:
        os.close(descriptor)


def _by_path(name: str, place: str, *arguments: int | bytes | None) -> Callable[[Scene], int]:
    """Make the act of a call whose first argument is a path of the scene."""
    return lambda scene: call(name, os.fsencode(scene[place]), *arguments)


def _by_path_at(name: str, place: str, *arguments: int | bytes | None) -> Callable[[Scene], int]:
    return lambda scene: call(name, _AT_FDCWD, os.fsencode(scene[place]), *arguments)


def _open_how(scene: Scene) -> None:
    how = (ctypes.c_ulong * 3)(os.O_RDONLY)
    os.close(call("openat2", _AT_FDCWD, os.fsencode(scene["sources"]), ctypes.addressof(how), ctypes.sizeof(how)))


def _own_signals(number: int) -> Callable[[Scene], None]:
    """Let the kernel send another process signals in our name."""

    def act(scene: Scene) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            call("fcntl", ours.fileno(), number, scene.processes["victim"])

    return act


def _on_descriptor(name: str, *arguments: int) -> Callable[[Scene], None]:
    def act(_scene: Scene) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            call(name, ours.fileno(), *arguments)

    return act


def _process_file(process: str, name: str) -> Callable[[Scene], str]:
    return lambda scene: f"/proc/{scene.processes[process]}/{name}"


def _reads_link(process: str, name: str) -> Callable[[Scene], str]:
    return lambda scene: os.readlink(f"/proc/{scene.processes[process]}/{name}")


# --- the lists -------------------------------------------------------------------------------------------------------


def attempts() -> Iterator[Attempt]:
    """Give them all."""
    yield from _opening()
    yield from _changing()
    yield from _attributes()
    yield from _of_processes()
    yield from _descriptors()


def _opening() -> Iterator[Attempt]:
    yield reading("/etc/shadow", fixed("/etc/shadow"), NOT_ROOT)
    yield reading("a file of root's", at("root_file"), USERS)
    secret = at("secret_table")
    yield Attempt("read a table of root's again", opens(secret), (USERS,), applies=lambda s: s.rules.root_files)
    yield reading("a file that all may read", at("readable"))
    yield writing("a file that all may write", at("writable"))
    yield writing("a file of its own, elsewhere", at("own"))
    yield reading("main.cf", at("main_cf"))
    yield writing("main.cf", at("main_cf"), USERS)
    yield reading("the queue", at("queue_file"), USERS)
    yield writing("the queue", at("queue_file"), USERS)
    yield reading("the names in the queue", at("queue"), USERS)
    yield reading("the names in maildrop", at("maildrop"))
    yield reading("the names in data_directory", at("data"))
    yield reading("somebody's mailbox", at("mailbox"), USERS)
    yield reading("the mail log", at("maillog"))
    yield writing("into the mail log", at("maillog"), flags=_WRITE | os.O_APPEND)
    yield writing("its own program", at("program_text"))
    yield reading("the names in /", fixed("/"))
    yield reading("the names in /tmp", fixed("/tmp"))  # noqa: S108 - named, not used
    yield reading("the names in /root", fixed("/root"), NOT_ROOT)
    yield writing("a new file in /etc", fixed("/etc/posthouse-proof"), NOT_ROOT, flags=_WRITE | os.O_CREAT)
    yield writing("a new file in /dev/shm", lambda _: f"/dev/shm/proof-{os.getpid()}", flags=_WRITE | os.O_CREAT)  # noqa: S108
    yield writing("a file without a name", at("outside"), flags=_TEMPORARY)
    yield replace(reading("/dev/ptmx", fixed("/dev/ptmx")), applies=lambda _: os.path.exists("/dev/ptmx"))
    yield writing("/dev/null", fixed("/dev/null"))


def _changing() -> Iterator[Attempt]:
    def change(name: str, act: Callable[[Scene], object], number: str, *walls: Wall) -> Attempt:
        return Attempt(name, act, (*walls, FILES), number, no_changes, refusals=OR_ELSEWHERE)

    yield Attempt("make a file where all may", _create, (FILES,), "openat", no_writing)
    drop = at("maildrop")
    yield Attempt("leave mail in maildrop", _leave_mail, (FILES,), "openat", no_writing, _may_write(drop), drop)
    yield change("remove a file where all may", _remove, "unlink")
    yield change("make a directory", _make_directory, "mkdir")
    yield change("remove a directory", _remove_directory, "rmdir")
    yield change("rename a file", _rename, "rename")
    yield change("link a file to another directory", _link, "link")
    inside = lambda scene: bool(scene.rules.writes) and not scene.rules.executes  # noqa: E731
    yield Attempt("carry a file out of its directory", _take_out, (FILES,), refusals=OR_ELSEWHERE, applies=inside)
    yield Attempt("link a file into its directory", _link_in, (FILES,), refusals=OR_ELSEWHERE, applies=inside)
    for name, act, number in (
        ("make a symbolic link", _symlink, "symlink"),
        ("make a FIFO", _make_node(stat.S_IFIFO, 0), "mknodat"),
    ):
        yield Attempt(name, act, (FILES,), number, always)
    yield filtered("make a device", "mknodat", _make_node(stat.S_IFCHR, os.makedev(1, 3)), NOT_ROOT, FILES)
    yield Attempt("bind a UNIX socket", _bind_path, (FILES,), "bind", lambda rules: not rules.uses_network)
    yield filtered("truncate a file by its name", "truncate", _by_path("truncate", "writable", 0))
    yield filtered("open by openat2", "openat2", _open_how)


def _attributes() -> Iterator[Attempt]:
    """What Landlock has nothing on; the files are the process's own."""
    own = at("own")
    yield filtered("chmod", "chmod", lambda scene: os.chmod(own(scene), 0o644))
    yield filtered("chmod by fchmodat", "fchmodat", _by_path_at("fchmodat", "own", 0o644))
    yield filtered("chmod by fchmodat2", "fchmodat2", _by_path_at("fchmodat2", "own", 0o644, 0))
    yield filtered("chown", "chown", lambda scene: os.chown(own(scene), -1, scene.gid))
    yield filtered("chown by lchown", "lchown", _by_path("lchown", "own", -1, -1))
    yield filtered("set a file's time", "utimensat", lambda scene: os.utime(own(scene)))
    yield filtered("set an extended attribute", "setxattr", lambda scene: os.setxattr(own(scene), "user.proof", b"x"))
    yield filtered("remove an extended attribute", "removexattr", _by_path("removexattr", "own", b"user.proof"))
    yield filtered("set a file's flags", "file_setattr", _by_path_at("file_setattr", "own", None, 0, 0))
    yield Attempt("change directory", _changes_directory, (), "chdir", no_chroot)
    yield filtered("change directory by descriptor", "fchdir", _changes_directory_by_descriptor)
    yield Attempt("chroot", lambda scene: os.chroot(scene["outside"]), (NOT_ROOT,), "chroot", no_chroot)
    yield filtered("a handle of a file", "name_to_handle_at", _by_path_at("name_to_handle_at", "own", None, None, 0))
    act = lambda _scene: call("open_by_handle_at", -1, bytes(16), 0)  # noqa: E731
    yield filtered("open by handle", "open_by_handle_at", act)
    yield filtered("watch files (inotify)", "inotify_init1", lambda _: os.close(call("inotify_init1", 0)))
    yield filtered("watch files (fanotify)", "fanotify_init", lambda _: os.close(call("fanotify_init", 0, 0)))
    yield filtered("quotas", "quotactl", lambda _: call("quotactl", 0, None, 0, None))


def _of_processes() -> Iterator[Attempt]:
    yield reading("the names in /proc", fixed("/proc"))
    for name in ("maps", "mem", "environ"):
        yield reading(f"/proc/self/{name}", fixed(f"/proc/self/{name}"))
    for process, walls in (("victim", ()), ("other", (USERS,)), ("master", (USERS,))):
        who = {"victim": "a sibling", "other": "another daemon", "master": "master"}[process]
        for name in ("environ", "mem", "cmdline"):
            more = () if name == "cmdline" else walls
            yield reading(f"{name} of {who}", _process_file(process, name), *more)
        yield Attempt(f"follow cwd of {who}", _reads_link(process, "cwd"), (*walls, FILES))


def _descriptors() -> Iterator[Attempt]:
    yield filtered("signals to a sibling by fcntl", "fcntl", _own_signals(_F_SETOWN))
    yield filtered("another signal than SIGIO", "fcntl", _on_descriptor("fcntl", _F_SETSIG, 9))
    lease = filtered("a lease on a file", "fcntl", _on_descriptor("fcntl", _F_SETLEASE, 0))
    yield replace(lease, applies=lambda scene: no_changes(scene.rules))  # who writes may have one
    yield filtered("watch a directory (dnotify)", "fcntl", _on_descriptor("fcntl", _F_NOTIFY, 0))
    yield filtered("type into a terminal", "ioctl", _on_descriptor("ioctl", _TIOCSTI, 0))
    yield filtered("signals to a sibling by ioctl", "ioctl", _on_descriptor("ioctl", _FIOSETOWN, 0))
    yield filtered("send a file by sendfile", "sendfile", lambda _: call("sendfile", -1, -1, None, 0))
    yield filtered("splice", "splice", lambda _: call("splice", -1, None, -1, None, 0, 0))
