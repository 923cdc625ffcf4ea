"""Entering a domain of AppArmor or SELinux, where one is loaded and our policy is in force ("posthouse policies").

A daemon is forked and not executed, so nothing but the process itself can change its domain, and only before
no_new_privs. Nothing happens where neither of the two is active, or where the process is not in a domain of ours: the
policy is not loaded, or somebody else's holds (a container's). Once the parent is in one of our domains a refused
change is an error, and the process must not go on. Standard library only: warm(8) and runas(8), which are root, use it.
Sources: aa_change_profile(2), aa_change_onexec(2), selinux(8), the kernel's security/apparmor/procattr.c.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

PREFIX: Final = "posthouse"
_APPARMOR_ENABLED: Final = "sys/module/apparmor/parameters/enabled"
_SELINUX: Final = "sys/fs/selinux/enforce"
_ATTRIBUTES: Final = "proc/thread-self/attr"


class DomainError(OSError):
    """Our policy is in force, and the kernel did not let this process into its domain."""


class _Module(NamedTuple):
    """What is active. `current` is the domain of this process as the kernel writes it."""

    kind: str  # "apparmor" or "selinux"
    directory: str
    current: str


def enter_domain(name: str, root: str = "/") -> str:
    """Change this process to the domain of a daemon or part, such as "smtpd"; returns it, "" when there is none.

    root: what /proc and /sys are below, for tests. Raises DomainError.
    """
    module = _active(root)
    if module is None:
        return ""
    wanted = _wanted(module, name)
    _write(module, "current", f"changeprofile {wanted}" if module.kind == "apparmor" else wanted)
    return wanted


@contextlib.contextmanager
def next_program(name: str, root: str = "/") -> Iterator[str]:
    """Let the programs that are started meanwhile begin in a domain. Raises DomainError."""
    module = _active(root)
    if module is None:
        yield ""
        return
    wanted = _wanted(module, name)
    _write(module, "exec", f"exec {wanted}" if module.kind == "apparmor" else wanted)
    try:
        yield wanted
    finally:
        # SELinux forgets on an empty write; AppArmor takes the domain that this process has.
        own = module.current.partition(" ")[0]
        _write(module, "exec", f"exec {own}" if module.kind == "apparmor" else "\n")


def _active(root: str) -> _Module | None:
    """Find the module that has this process in a domain of ours."""
    attributes = os.path.join(root, _ATTRIBUTES)
    if _read(os.path.join(root, _APPARMOR_ENABLED)).strip() == "Y":
        own = os.path.join(attributes, "apparmor")
        directory = own if os.path.isdir(own) else attributes  # kernels before 5.8 have the common one only
        current = _read(f"{directory}/current").strip()
        if current.partition(" ")[0].partition("-")[0] == PREFIX:  # "posthouse-warm (enforce)"
            return _Module("apparmor", directory, current)
    if os.path.exists(os.path.join(root, _SELINUX)):
        current = _read(f"{attributes}/current").strip().rstrip("\0")
        parts = current.split(":")
        if len(parts) >= 3 and parts[2].startswith(f"{PREFIX}_"):
            return _Module("selinux", attributes, current)
    return None


def _wanted(module: _Module, name: str) -> str:
    if module.kind == "apparmor":
        return f"{PREFIX}-{name.replace('_', '-')}"
    user, role, _, *level = module.current.split(":")
    return ":".join((user, role, f"{PREFIX}_{name.replace('-', '_')}_t", *level))


def _write(module: _Module, attribute: str, text: str) -> None:
    path = f"{module.directory}/{attribute}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)
    except OSError as error:
        why = f"{module.kind} does not let this process from {module.current} into {text.strip()}: {error.strerror}"
        raise DomainError(error.errno, why, path) from None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
