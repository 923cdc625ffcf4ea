"""Put a process's rules in force, for good. What the kernel lacks is left out and named.

Order: no_new_privs (the other two demand it), not dumpable (no ptrace(2), no core file, /proc/PID closed to others of
the same user), Landlock, filter of system calls. Before the first thread and before the event loop.
"""

from collections.abc import Callable
from typing import Final

from posthouse.confine import kernel, landlock, seccomp
from posthouse.confine.rules import Rules

NO_SECCOMP: Final = "seccomp: filters of system calls"


def missing_in_kernel(newest_abi: int = landlock.NEWEST_ABI) -> tuple[str, ...]:
    """Name what this kernel cannot enforce. newest_abi: use Landlock as if the kernel had no newer version."""
    return (*landlock.missing(usable_abi(newest_abi)), *(() if kernel.has_seccomp() else (NO_SECCOMP,)))


def usable_abi(newest_abi: int = landlock.NEWEST_ABI) -> int:
    """Give the version of Landlock to use; 0: none."""
    return min(kernel.landlock_abi(), newest_abi)


def enforce(rules: Rules, newest_abi: int = landlock.NEWEST_ABI) -> None:
    """Put the rules in force. Raises OSError: the kernel has the means and did not take them."""
    for _, step in steps(rules, newest_abi):
        step()


def steps(rules: Rules, newest_abi: int = landlock.NEWEST_ABI) -> list[tuple[str, Callable[[], None]]]:
    """Give what enforce() does, by name and in order, as far as this kernel can; a proof leaves one out."""
    found: list[tuple[str, Callable[[], None]]] = [
        ("no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)),
        ("dumpable", lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 0)),
    ]
    if (abi := usable_abi(newest_abi)) > 0:
        found.append(("landlock", lambda: landlock.restrict(rules, abi)))
    program = seccomp.make_filter(rules)
    if program is not None and kernel.has_seccomp():
        found.append(("seccomp", lambda: kernel.install_filter(program)))
    return found
