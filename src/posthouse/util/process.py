"""What a process does to its own surroundings on Linux."""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Sequence
from typing import Final

EX_OSERR: Final = 71  # sysexits(3)
MAX_DESCRIPTOR: Final = 65536
# What the kernel says of a process in a domain of ours: "posthouse-dns (enforce)", "user:role:posthouse_dns_t:level".
_OUR_DOMAIN: Final = re.compile(r"posthouse\b(?!:)|(?P<user>[^:]+:[^:]+:)posthouse_\w+(?P<level>[^\0\n]*)")


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor but standard input, output, error and those given."""
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, MAX_DESCRIPTOR)


def become(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Change groups and user for good, and make sure of it: a process that cannot ends here."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        os._exit(EX_OSERR)


def name_process(name: str) -> None:
    """Let ps(1) and top(1) show which daemon this is (proc(5): at most 15 octets)."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as comm:
        comm.write(name.encode("ascii")[:15])


def enter_domain(name: str, path: str = "/proc/thread-self/attr/current") -> str:
    """Change this process to the domain of a daemon or part, such as "smtpd"; returns what was written.

    Nothing happens, and "" comes back, where neither AppArmor nor SELinux is active, or where this process is in no
    domain of ours: "posthouse policies" is not loaded, or somebody else's holds (a container's). From a domain of ours
    a refused change is an error, and the process must not go on. Only before no_new_privs, and with one thread.
    Raises OSError: it is refused, or it cannot be told where this process is.
    Sources: proc(5), aa_change_profile(2), setcon(3).
    """
    # attr/current belongs to the one of the two that is active: no kernel runs both. One whose lsm= has bpf before
    # apparmor answers EINVAL, as if there were none; then master's profile, without setuid, ends every start.
    try:
        with open(path, encoding="latin-1") as current:
            ours = _OUR_DOMAIN.match(current.read())
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise
        return ""
    if ours is None:
        return ""
    user, level = ours.group("user", "level")
    wanted = f"{user}posthouse_{name.replace('-', '_')}_t{level}" if user else f"changeprofile posthouse-{name}"
    with open(path, "wb", buffering=0) as attribute:  # one write, as the kernel wants it
        attribute.write(wanted.encode("latin-1"))
    return wanted
