"""Runs something in a forked child behind walls, and tells how it went."""

import errno
import os
import signal
from collections.abc import Callable

from posthouse.confine.enforce import steps
from posthouse.confine.rules import Rules

CHILD_LIMIT_S = 20


def behind_walls(
    rules: Rules, attempt: Callable[[], object], *, only: tuple[str, ...] = (), newest_abi: int = 99
) -> str:
    """Give "ok: <result>", or the name of the error number ("EPERM") or of the exception; "signal 31" after a death.

    only: the names of the steps to take; no_new_privs always is.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(writer, lambda: _enforce(rules, only, newest_abi), attempt)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return said if code == 0 else f"signal {-code}" if code < 0 else f"exit {code}: {said}"


def _enforce(rules: Rules, only: tuple[str, ...], newest_abi: int) -> None:
    for name, step in steps(rules, newest_abi):
        if not only or name in ("no_new_privs", *only):
            step()


def _child(writer: int, enforce: Callable[[], None], attempt: Callable[[], object]) -> None:
    signal.alarm(CHILD_LIMIT_S)
    try:
        enforce()
        said = f"ok: {attempt()!r}"
    except OSError as error:
        said = errno.errorcode.get(error.errno or 0, str(error))
    except BaseException as error:  # noqa: BLE001 - whatever happened is what the test wants to see
        said = f"{type(error).__name__}: {error}"
    os.write(writer, said.encode())
    os._exit(0)
