"""A mail server in a directory of its own, started for a test or a measurement.

Posthouse and Debian's Postfix are two implementations of one interface: same main.cf, same commands, same log lines.
So a test can talk to either, and the bench can run the same load against both.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support import net, processes

COMMAND_TIMEOUT_S: Final = 60
START_LIMIT_S: Final = 20  # a loaded machine, not an aim: the bench prints the real time
LOG_SETTLES_S: Final = 0.2  # longer than lines wait in postlogd(8)
DELIVERED: Final = b" status=sent "
REMOVED: Final = b": removed"

DEFAULT_MAIN: Final[Mapping[str, str]] = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.test",
    "mydomain": "example.test",
    "myorigin": "$mydomain",
    "mydestination": "$myhostname, $mydomain, localhost",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "disable_dns_lookups": "yes",
    "smtp_tls_security_level": "none",
    "smtpd_tls_security_level": "none",
    "biff": "no",
}

# The services of a stock master.cf, the first line's port apart.
MASTER_CF: Final = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
local     unix - n n - - local
virtual   unix - n n - - virtual
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class StartError(Exception):
    """The server did not start; the text is what it said."""


@dataclass(slots=True)
class Options:
    """What a test wants other than the defaults."""

    main: dict[str, str] = field(default_factory=dict)
    master: list[str] = field(default_factory=list)  # further lines of master.cf
    files: dict[str, str] = field(default_factory=dict)  # further files in the configuration directory
    master_cf: str = MASTER_CF


class Instance(ABC):
    """One server: directories, configuration, start, stop, queue and log."""

    kind: str

    def __init__(self, options: Options | None = None, directory: Path | None = None) -> None:
        # Not pytest's tmp_path: its parents are closed to other users, and a server's daemons are such users.
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"{self.kind}-"))
        self.directory.chmod(0o755)
        self.config_directory = self.directory / "etc"
        self.queue_directory = self.directory / "queue"
        self.data_directory = self.directory / "data"
        self.maillog = self.directory / "maillog"
        self.mail_directory = self.directory / "mail"
        self.port = net.free_port()
        self.options = options or Options()
        for path in (self.config_directory, self.queue_directory, self.mail_directory):
            path.mkdir(exist_ok=True)
        self.write_config()
        self.prepare()

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what this server needs before its first start."""

    # -- configuration ------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, str]:
        """Return main.cf as the test wants it, {directory} filled in."""
        own = {
            "queue_directory": str(self.queue_directory),
            "data_directory": str(self.data_directory),
            "maillog_file": str(self.maillog),
            "maillog_file_prefixes": str(self.directory),
        }
        merged = {**DEFAULT_MAIN, **own, **self.options.main}
        return {name: self.fill(value) for name, value in merged.items()}

    def fill(self, text: str) -> str:
        """Put this instance's directories where a test's configuration names them."""
        return text.replace("{directory}", str(self.directory)).replace("{mail}", str(self.mail_directory))

    def write_config(self) -> None:
        """Write main.cf, master.cf and what else the test brings."""
        lines = [f"{name} = {value}\n" for name, value in self.parameters().items()]
        (self.config_directory / "main.cf").write_text("".join(lines), encoding="utf-8")
        master = self.options.master_cf.replace("{port}", str(self.port))
        extra = "".join(f"{self.fill(line)}\n" for line in self.options.master)
        (self.config_directory / "master.cf").write_text(master + extra, encoding="utf-8")
        for name, text in self.options.files.items():
            (self.config_directory / name).write_text(self.fill(text), encoding="utf-8")

    # -- commands -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def program(self, name: str) -> str:
        """Return the path of a command such as "postfix" or "sendmail"."""

    def command(
        self, name: str, *arguments: str, stdin: bytes = b"", timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one of the server's commands for this instance, whatever it exits with."""
        option = "-C" if name == "sendmail" else "-c"
        argv = [self.program(name), option, str(self.config_directory), *arguments]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            # Files, not pipes: a daemon that keeps the descriptor would keep us waiting for the end of the pipe.
            done = subprocess.run(
                argv, input=stdin, stdout=output, stderr=errors, timeout=timeout_s, check=False, env=self.environment()
            )
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(argv, done.returncode, output.read(), errors.read())

    def environment(self) -> dict[str, str]:
        """Return the environment of every command: nothing of the tester's own mail settings."""
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.directory), "LANG": "C.UTF-8", "TZ": "UTC"}

    def start(self) -> None:
        """Start and return at once when the command does. Raises StartError."""
        done = self.command("postfix", "start")
        if done.returncode != 0:
            raise StartError((done.stdout + done.stderr).decode(errors="replace") + self.log())

    def start_and_greet(self) -> None:
        """Start and wait until the first client is greeted. Raises StartError."""
        self.start()
        try:
            net.wait_greeting(self.port, START_LIMIT_S)
        except TimeoutError as error:
            raise StartError(f"{error}\n{self.log()}") from error

    def stop(self) -> None:
        """Stop in the ordinary way; whatever is left after that is killed."""
        before = self.processes()
        if before:
            with contextlib.suppress(subprocess.TimeoutExpired):  # what is left is killed below, and a test sees that
                self.command("postfix", "stop", timeout_s=20)
        self._wait_gone(before)

    def _wait_gone(self, before: list[processes.Process]) -> None:
        deadline = time.monotonic() + 10
        while (left := [one for one in before if is_same_process(one)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            kill_quietly(process.pid)

    def destroy(self) -> None:
        """End master by its signal, which is what `postfix stop` sends, and remove everything."""
        before = self.processes()
        if before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.master_pid() or before[0].pid, signal.SIGTERM)
        self._wait_gone(before)
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- state --------------------------------------------------------------------------------------------------------

    def master_pid(self) -> int:
        """Return the master's process id; 0 when it does not run."""
        try:
            text = (self.queue_directory / "pid" / "master.pid").read_text(encoding="ascii").strip()
        except OSError:
            return 0
        if not re.fullmatch("[0-9]+", text) or processes.read_process(int(text)) is None:
            return 0
        return int(text)

    def running(self) -> bool:
        """Tell whether `postfix status` says so."""
        return self.command("postfix", "status").returncode == 0

    def processes(self) -> list[processes.Process]:
        """Every living process of this server."""
        pid = self.master_pid()
        return processes.tree(pid) if pid else []

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return processes.cpu_seconds(self.master_pid())

    def pss_bytes(self) -> int:
        """Proportional memory of all its processes."""
        return processes.pss_bytes(process.pid for process in self.processes())

    def queue(self) -> list[dict[str, object]]:
        """Return the messages in the queue, as `postqueue -j` tells them."""
        done = self.command("postqueue", "-j")
        if done.returncode != 0:
            raise RuntimeError(f"postqueue -j: {done.stderr.decode(errors='replace')}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_queue_empty(self, limit_s: float) -> None:
        """Wait until nothing is queued. Raises TimeoutError with what is."""
        deadline = time.monotonic() + limit_s
        pause_s = 0.1
        while messages := self.queue():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(messages)} messages still queued, the first: {messages[0]}\n{self.log()[-4000:]}"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 1.0)  # a listing costs as much as many deliveries

    def log(self) -> str:
        """Return the whole mail log, with what has happened until now: postlogd(8) waits a moment to sort lines."""
        time.sleep(LOG_SETTLES_S)
        return self._log_so_far()

    def _log_so_far(self) -> str:
        try:
            return self.maillog.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def wait_log(self, pattern: str, limit_s: float = 15) -> re.Match[str]:
        """Wait for a line of the log that matches. Raises TimeoutError with the log's end."""
        deadline = time.monotonic() + limit_s
        while True:
            found = re.search(pattern, self._log_so_far(), re.MULTILINE)
            if found:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing in the log matches {pattern!r}:\n{self.log()[-4000:]}")
            time.sleep(0.05)


def is_same_process(process: processes.Process) -> bool:
    """Tell whether a process that was seen still lives (and its number was not given to another)."""
    now = processes.read_process(process.pid)
    return now is not None and now.name == process.name and now.state != "Z"


def kill_quietly(pid: int) -> None:
    """Send SIGKILL; a process that is gone is fine."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def lines_of(text: str, words: Sequence[str]) -> list[str]:
    """Return the log lines that hold every one of the words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]
