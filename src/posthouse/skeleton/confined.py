"""What happens between the change of user and the service: everything is looked at once more, then the walls go up.

What the standard library and libc would load later is loaded now: nothing can be read or mapped executable afterwards.
"""

import contextlib
import importlib
import os
import pwd
import socket
import time
import traceback
from dataclasses import replace
from typing import Final, NamedTuple

from posthouse.config.own_addresses import own_addresses
from posthouse.config.parameter import ConfigValueError
from posthouse.config.parameters import CONFINEMENT, LANDLOCK_NEWEST_ABI
from posthouse.config.settings import Settings
from posthouse.confine import enforce, kernel
from posthouse.confine.io_uring import deny_io_uring
from posthouse.confine.rules import Rules
from posthouse.ipc.own_users import own_uids
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import compute_rules, table_types
from posthouse.tables.open import BUILT, REMOTE, ask_proxymap_only
from posthouse.tables.watch import hold_files
from posthouse.util.errors import ConfigError, Fatal
from posthouse.util.successor import set_root_changed

_NEW_FILE_MODE: Final = 0o600
# In the warm image, which all share: nearly every system has these (regexp is in the default of smtpd).
for _kind in ("bdb", "cdb", "cidr", "fail", "inline", "lmdb", "memory", "pcre", "regexp", "static", "texthash", "unix"):
    importlib.import_module(f"posthouse.tables.{_kind}")


class Handed(NamedTuple):
    """What master and warm hand over.

    client_limit: 0 for none; runas_fd: -1 for none. chroot: the process has kept CAP_SYS_CHROOT, and makes
    queue_directory its root when the service is there. root_files: it has kept CAP_DAC_READ_SEARCH until then.
    """

    status_fd: int
    listen_fds: list[int]
    client_limit: int
    runas_fd: int
    chroot: bool
    root_files: bool


def confine(daemon: Daemon, settings: Settings, handed: Handed) -> None:
    """Put this process behind its walls, as main.cf says. Raises Fatal: they are required and not to be had."""
    if not daemon.privileges.remote_tables:
        ask_proxymap_only()
    if not (handed.chroot or handed.root_files):
        kernel.drop_capabilities()  # there is none; this is the second wall
    if settings[CONFINEMENT] == "off":
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        deny_io_uring()
        return
    rules = compute_rules(daemon, settings, has_runas=handed.runas_fd >= 0, chroot=handed.chroot)
    if handed.root_files:
        rules = replace(rules, root_files=True)
    load_everything(daemon, settings, rules)
    newest = settings[LANDLOCK_NEWEST_ABI]
    if settings[CONFINEMENT] == "require" and (missing := enforce.missing_in_kernel(newest)):
        raise Fatal(f"confinement = require, and this kernel lacks {'; '.join(missing)}")
    try:
        enforce.enforce(rules, newest)
    except OSError as error:
        raise Fatal(f"cannot confine this process: {error}; main.cf: confinement = off would run without") from error


def change_root(directory: str) -> None:
    """Make a directory the root of this process, and give the right to do so up. Raises Fatal.

    The tables are open by now. A change of one is still noticed, by the file and no more by its name; then the
    process asks for a successor.
    """
    try:
        hold_files()
        os.chroot(directory)
        os.chdir("/")
    except OSError as error:
        raise Fatal(f"cannot change the root directory to {directory}: {error}") from error
    set_root_changed()


def load_everything(daemon: Daemon, settings: Settings, rules: Rules) -> None:
    """Load what would be loaded later: modules of table types, account services, time zone, own addresses."""
    for kind in table_types(daemon, settings):
        if kind in BUILT:
            importlib.import_module(f"posthouse.tables.{BUILT[kind][0]}")
        elif kind in REMOTE:
            with contextlib.suppress(ConfigError):  # a library is missing: opening the table says so
                importlib.import_module(f"posthouse.tables.{REMOTE[kind]}")
    if daemon.privileges.remote_tables and rules.udp:
        load_resolver()
    time.tzset()
    own_uids(settings)
    if rules.accounts:
        with contextlib.suppress(KeyError):
            pwd.getpwuid(os.getuid())
            os.getgrouplist("root", 0)
    with contextlib.suppress(ConfigValueError):  # whoever needs them says so
        own_addresses(settings.text)
    for path in rules.writes:
        with contextlib.suppress(OSError):  # a rule needs something to stand on
            os.makedirs(path, mode=0o700, exist_ok=True)
    for path in rules.appends:
        with contextlib.suppress(OSError):  # the service tells what is wrong with its file
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _NEW_FILE_MODE))


def load_resolver() -> None:
    """Load what looks up names of hosts: libc's own way, which libraries of tables use."""
    importlib.import_module("encodings.idna")
    with contextlib.suppress(OSError):
        socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)


def denial(error: BaseException) -> str | None:
    """Say in one line which operation the kernel refused, when that is what an exception comes from."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PermissionError):
            *_, last = traceback.extract_tb(seen.__traceback__) or [None]
            where = f" in {last.name}, line {last.lineno} of {last.filename}: {last.line}" if last is not None else ""
            what = f" {seen.filename!r}" if seen.filename else ""
            return f"the kernel refused an operation ({seen.strerror}){what}{where}; see posthouse confine explain"
        seen = seen.__cause__ or seen.__context__
    return None
