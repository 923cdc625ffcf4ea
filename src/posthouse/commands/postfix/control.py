"""Starting master, and finding, signalling and waiting for the one that runs."""

import contextlib
import errno
import fcntl
import glob
import os
import signal
import sys
import time
from typing import Final, NoReturn

from posthouse.config.parameters import DATA_DIRECTORY, QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.ipc.orders_wire import Orders, OrdersFailed, WireError, read_orders

STOP_LIMIT_S: Final = 6.0  # Postfix's script waits 5 s; master itself ends within that
_POLL_S: Final = 0.02
_MODULE: Final = (sys.executable, "-I", "-B", "-m")  # as master/helpers.py
# What reaches master and the daemons of the caller's environment (facts B02.12); systemd's for sockets it passes.
_ENVIRONMENT: Final = ("TZ", "LANG", "MAIL_CONFIG", "MAIL_DEBUG", "MAIL_LOGTAG", "XDG_RUNTIME_DIR")
_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def running(settings: Settings) -> int:
    """Give the process number of the master that holds the lock, ours or Postfix's; 0: none runs."""
    for path in (f"{settings[QUEUE_DIRECTORY]}/pid/master.pid", f"{settings[DATA_DIRECTORY]}/master.lock"):
        if _is_locked(path):
            return _number_in(f"{settings[QUEUE_DIRECTORY]}/pid/master.pid") or -1
    return 0


def is_ours(settings: Settings) -> bool:
    """Tell whether we may look after this mail system: others cannot even see whether it runs."""
    directory = settings[QUEUE_DIRECTORY]
    return os.geteuid() == 0 or not os.path.exists(directory) or os.access(directory, os.W_OK)


def forget_throttled(settings: Settings) -> None:
    """Remove what the last master left for governor(8) about services that did not start: this is another attempt."""
    for mark in glob.glob(f"{glob.escape(settings[QUEUE_DIRECTORY])}/pid/throttled.*"):
        with contextlib.suppress(OSError):
            os.rmdir(mark)


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _number_in(path: str) -> int:
    try:
        with open(path, "rb") as file:
            text = file.read(64).strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() and len(text) < 10 else 0  # octets: ASCII digits only


def start_daemon(settings: Settings) -> str:
    """Start master in the background; returns "" when it serves, or the reason why it does not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.chdir("/")
        os.set_inheritable(writer, True)
        _exec_master(settings, "-r", str(writer))
    os.close(writer)
    outcome = _read_all(reader).decode("utf-8", "replace")
    if outcome == "ok":
        return ""
    return outcome or "master ended without saying why; see the log"


def start_foreground(settings: Settings) -> NoReturn:
    """Become master; the log and standard output stay."""
    os.chdir("/")
    _exec_master(settings)


def _exec_master(settings: Settings, *more: str) -> NoReturn:
    kept = {name: os.environ[name] for name in (*_ENVIRONMENT, *_SYSTEMD) if name in os.environ}
    argv = [*_MODULE, "posthouse.master", "-c", settings.config_directory, *more]
    os.execve(argv[0], argv, {"PATH": os.defpath, **kept})  # noqa: S606 - no shell is wanted


def check_orders(settings: Settings) -> Orders | str:
    """Do what master will do to read its orders; returns them, or the error."""
    reader, writer = os.pipe()
    argv = [*_MODULE, "posthouse.commands.orders", "-c", settings.config_directory]
    os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 3)])
    os.close(writer)
    try:
        return read_orders(_read_all(reader), as_root=os.geteuid() == 0)
    except (OrdersFailed, WireError) as error:
        return str(error)


def send(pid: int, number: signal.Signals) -> None:
    """Signal master. Raises OSError."""
    os.kill(pid, number)


def wait_end(settings: Settings, pid: int) -> None:
    """Wait until master has ended; after STOP_LIMIT_S kill it and its group, as Postfix's script does."""
    deadline = time.monotonic() + STOP_LIMIT_S
    while running(settings) == pid:
        if time.monotonic() > deadline:
            try:
                if os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            deadline += 1.0
        time.sleep(_POLL_S)


def _read_all(descriptor: int) -> bytes:
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces)
