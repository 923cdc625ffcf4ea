"""master's command line and surroundings. `postfix start` starts it; nobody else need.

  python -I -m posthouse.master -c DIR [-r DESCRIPTOR]

-r: a pipe on which the outcome of the start is told: "ok", or why the system does not run.
"""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Callable
from typing import Final

from posthouse.master import log
from posthouse.master.helpers import Launch
from posthouse.master.listen import LISTEN_FDS_START, Listeners, inherited_sockets, small_number
from posthouse.master.supervisor import Supervisor
from posthouse.util.process import close_others, name_process
from posthouse.util.select_loop import Loop

PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)
# What daemons get of the environment; PATH is for commands that are found by name.
KEPT: Final = ("TZ", "LANG", "MAIL_CONFIG", "MAIL_DEBUG", "MAIL_LOGTAG", "XDG_RUNTIME_DIR")
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


def main(argv: list[str], launch: Launch | None = None) -> int:
    """Run until stopped; returns the exit status."""
    config_directory, outcome = parse_arguments(argv)
    if os.getresuid()[0] != os.geteuid() or os.getresgid()[0] != os.getegid():
        sys.stderr.write("master: fatal: it must not be set-uid or set-gid\n")
        return 1
    environment = dict(os.environ)
    inherited = inherited_sockets(environment)
    os.umask(0o077)
    # Nothing of the caller stays but standard input, output, error and what was passed on purpose.
    keep = [*(sock.fileno() for sock in inherited), *([outcome] if outcome >= LISTEN_FDS_START else [])]
    close_others(keep)
    with contextlib.suppress(OSError):  # -r may name a closed one, or be missing
        os.set_inheritable(outcome, False)
    # Daemons that warm forks become ours when the process between dies.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    name_process("master")
    # Each process costs a descriptor, and one that cannot be had would be our end.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    launch = launch or Launch(environment=clean_environment(environment))
    loop = Loop()
    supervisor = Supervisor(loop, Listeners(inherited), config_directory, launch, _teller(outcome))
    supervisor.prepare()
    loop.run()
    supervisor.end()
    log.LOG.flush()
    return supervisor.exit_status


def parse_arguments(argv: list[str]) -> tuple[str, int]:
    """Give the configuration's directory, and the descriptor for the outcome of the start or -1."""
    options = dict(zip(argv[::2], argv[1::2], strict=False))
    return options.get("-c", "/etc/postfix"), small_number(options.get("-r", ""))


def clean_environment(environment: dict[str, str]) -> dict[str, str]:
    """Give what warm, and so every daemon, gets of it."""
    return {"LANG": "C.UTF-8", **{name: environment[name] for name in KEPT if name in environment}, "PATH": PATH}


def _teller(outcome: int) -> Callable[[str], None]:
    """Make the function that tells the outcome: to the pipe, or to standard error when there is none."""

    def tell(failure: str) -> None:
        if outcome < 0:
            sys.stderr.write(failure and f"postfix/master: fatal: {failure}\n")
            return
        with contextlib.suppress(OSError):
            os.write(outcome, failure.encode("utf-8", "replace")[:4000] or b"ok")
            os.close(outcome)

    return tell
