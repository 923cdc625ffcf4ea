"""A place like a container's: one unprivileged user, no capability, and a root file system that nobody can write to.

Made with util-linux alone, by root: a mount namespace in which everything is read-only but one tmpfs, and commands that
enter it as that user with no_new_privs set. Whoever is outside sees its files below `root`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import pytest

LIMIT_S: Final = 60  # of one command
TOOLS: Final = ("unshare", "nsenter", "setpriv", "mount")
# $1: the directory that is writable; $2: who owns it, as options of the mount; $3: more mounts to make before.
_SETUP: Final = """\
set -e
eval "$3"
mount -t tmpfs -o "$2" state "$1"
# The innermost first: what is mounted below others stays reachable. /proc holds no files.
sed 's/^[^ ]* //; s/ .*//' /proc/self/mounts | sort -r | uniq | while read -r place; do
    case $place in "$1"|/proc|/proc/*) continue;; esac
    mount -o remount,bind,ro "$(printf '%b' "$place")"
done
echo ready
exec cat
"""


@dataclass(frozen=True, slots=True)
class Who:
    """A user by numbers alone: he needs no account."""

    uid: int = 64025
    gid: int = 64025


def why_not() -> str:
    """Say why there can be none here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root to make a mount namespace and become another user"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not here (util-linux)"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this machine lets nobody make a mount namespace"


def need_sandbox() -> None:
    """Skip the test where there can be none."""
    reason = why_not()
    if reason:
        pytest.skip(reason)


class Sandbox:
    """The place; `with Sandbox() as place:` makes it."""

    def __init__(self, state: Path | None = None, *, who: Who | None = None, mode: str = "", mounts: str = "") -> None:
        self._made = state is None
        self.state = state or Path(tempfile.mkdtemp(prefix="sandbox-"))
        self.who = who or Who()
        self._mode = mode or f"mode=0755,uid={self.who.uid},gid={self.who.gid}"
        self._mounts = mounts
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Make the namespace; a process holds it open."""
        argv = ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", _SETUP, "sandbox"]
        argv += [str(self.state), self._mode, self._mounts or ":"]
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        assert said == "ready\n", f"no sandbox: {said!r}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let it go; the tmpfs goes with the last process in it."""
        holder = self._held
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.close()
        holder.wait(20)
        holder.stdout.close()
        if self._made:
            self.state.rmdir()

    @property
    def _held(self) -> "subprocess.Popen[str]":
        assert self._holder is not None, "used before it was made"
        return self._holder

    @property
    def root(self) -> Path:
        """The file system as those inside see it."""
        return Path(f"/proc/{self._held.pid}/root")

    def path(self, inside: Path | str) -> Path:
        """Say where a path of the inside is for us."""
        return self.root / str(inside).lstrip("/")

    def writable_mounts(self) -> list[str]:
        """Name the mounts that can be written to, as the kernel tells it; /proc apart."""
        lines = Path(f"/proc/{self._held.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
        top = {
            fields[4]: fields[5].split(",") for fields in (line.split(" ") for line in lines)
        }  # the last covers others
        return [place for place, how in top.items() if "ro" not in how and not f"{place}/".startswith("/proc/")]

    def argv(self, *command: str, who: Who | None = None) -> list[str]:
        """Give the command line that runs a command inside; no process stands between, so the number stays."""
        who = who or self.who
        enter = ["nsenter", f"--mount=/proc/{self._held.pid}/ns/mnt", f"--wd=/proc/{self._held.pid}/root/", "--"]
        user = [f"--reuid={who.uid}", f"--regid={who.gid}", "--clear-groups", "--no-new-privs"]
        no_rights = [f"--{name}=-all" for name in ("inh-caps", "ambient-caps", "bounding-set")]
        return [*enter, "setpriv", *user, *no_rights, *command]

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None, stdin: str = "", who: Who | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command inside, whatever it exits with. who: another than the place's user."""
        return subprocess.run(
            self.argv(*command, who=who),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env=plain_environment(environment),
        )

    def popen(
        self, *command: str, output: IO[bytes], standard_output: int = -1, pass_fds: Sequence[int] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start a command inside. output: for standard error, and standard output unless that is given."""
        return subprocess.Popen(
            self.argv(*command),
            stdin=subprocess.DEVNULL,
            stdout=output if standard_output < 0 else standard_output,
            stderr=output,
            env=plain_environment(),
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the little environment that a container has."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", **(more or {})}
