"""The two implementations of an instance: ours, and Debian's Postfix as peer and as the measure."""

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import pytest

from posthouse.commands.postfix.layout import set_permissions
from posthouse.config.load import load_settings
from tests.support.instance import Instance
from tests.support.peers import find_peer

T = TypeVar("T")
# POSTHOUSE_BIN: another installation's commands, e.g. var/native/bin
OURS: Final = Path(os.environ.get("POSTHOUSE_BIN") or Path(sys.executable).parent).absolute()


def is_native() -> bool:
    """Whether our commands run compiled modules (docs/adr/0014-native-build.md)."""
    return any((OURS.parent / "lib").glob("python*/site-packages/posthouse__mypyc.*.so"))


def beside_postfix(make: Callable[[type[Instance]], T]) -> tuple[T, T]:
    """Make one of something with Debian's Postfix and one with Posthouse, at the same time; skips without a Postfix."""
    if reason := Postfix.why_not():
        pytest.skip(reason)
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(make, (Postfix, Posthouse))
    return theirs, ours


class Posthouse(Instance):
    """The server of this work tree, from the virtual environment that runs the tests."""

    kind = "posthouse"

    def program(self, name: str) -> str:
        """Return the command that was installed beside the interpreter."""
        return str(OURS / name)

    def start(self) -> None:
        """As root, make the users and directories first, as an administrator does once."""
        if os.geteuid() == 0:
            set_permissions(load_settings(str(self.config_directory), "postfix"))  # `postfix set-permissions`
        super().start()


class Postfix(Instance):
    """Debian's Postfix. It runs as root only, and needs its users in the password file."""

    kind = "postfix"

    def prepare(self) -> None:
        """Make the data directory as the package's installation would."""
        if not self.data_directory.exists():
            self.data_directory.mkdir(mode=0o700)
            shutil.chown(self.data_directory, "postfix")

    def program(self, name: str) -> str:
        """Return Debian's command, never one of ours that stands earlier in the path."""
        return find_peer(name)

    @staticmethod
    def why_not() -> str:
        """Say why it cannot run here; empty when it can."""
        if os.geteuid() != 0:
            return "Postfix starts as root only"
        return "" if Path("/usr/sbin/postfix").exists() else "Debian's package postfix is not installed"
