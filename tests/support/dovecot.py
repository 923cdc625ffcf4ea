"""Dovecot's LMTP server, from Debian's package, in a directory of its own. Needs root: Dovecot changes users."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support import net

PROGRAM: Final = "/usr/sbin/dovecot"
LMTP: Final = "/usr/lib/dovecot/lmtp"
CONFIG: Final = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols = lmtp
auth_username_format = %n
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 1
mail_location = maildir:{directory}/mail/%n
ssl = no
postmaster_address = postmaster@box.test
hostname = dovecot.test
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {directory}/lmtp.sock {{
    mode = 0666
  }}
}}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
"""


def why_not() -> str:
    """Say why it cannot run here; empty when it can."""
    if os.geteuid() != 0:
        return "Dovecot starts as root only"
    return "" if Path(LMTP).exists() else "Debian's package dovecot-lmtpd is not installed"


class Dovecot:
    """The server; `with Dovecot(["alice"]) as dovecot:` runs it on dovecot.port and dovecot.socket."""

    def __init__(self, users: Sequence[str]) -> None:
        self.port = net.free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.directory.chmod(0o755)
        self.socket = self.directory / "lmtp.sock"
        nobody = pwd.getpwnam("nobody")
        for name in ("run", "mail"):
            (self.directory / name).mkdir()
        os.chown(self.directory / "mail", nobody.pw_uid, nobody.pw_gid)
        home = f"{nobody.pw_uid}:{nobody.pw_gid}::{self.directory}/mail"
        lines = "".join(f"{user}:{{PLAIN}}x:{home}/{user}::\n" for user in users)
        (self.directory / "users").write_text(lines)
        self._config = self.directory / "dovecot.conf"
        self._config.write_text(CONFIG.format(directory=self.directory, port=self.port))

    def __enter__(self) -> Self:
        """Start and wait until it greets."""
        subprocess.run([PROGRAM, "-c", str(self._config)], check=True, timeout=30)
        net.wait_greeting(self.port, 20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it and remove its files."""
        subprocess.run([PROGRAM, "-c", str(self._config), "stop"], check=False, timeout=30)
        shutil.rmtree(self.directory, ignore_errors=True)

    def messages(self, user: str, count: int, limit_s: float = 10) -> list[bytes]:
        """Wait until a user has so many messages and return them. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while len(found := sorted((self.directory / "mail" / user / "new").glob("*"))) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{user} has {len(found)} messages, not {count}")
            time.sleep(0.05)
        return [path.read_bytes() for path in found]
