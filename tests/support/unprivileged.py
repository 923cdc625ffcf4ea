"""A system in a sandbox: its configuration, its processes, its log on standard output and in the file."""

import smtplib
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support import net, processes
from tests.support.instance import MASTER_CF, is_same_process
from tests.support.sandbox import Sandbox

START_LIMIT_S: Final = 30
STOP_LIMIT_S: Final = 40
MAIN_CF: Final = """\
compatibility_level = 3.11
myhostname = mail.example.test
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
disable_dns_lookups = yes
queue_directory = {state}/queue
data_directory = {state}/data
maillog_file = {state}/log/maillog
maillog_file_prefixes = {state}/log
maillog_stdout = yes
virtual_mailbox_domains = box.test
virtual_mailbox_maps = static:box/
virtual_mailbox_base = {state}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
transport_maps = inline:{{relay.test=smtp:[127.0.0.1]:{sink}}}
"""


@dataclass
class System:
    """One system; `started` runs it."""

    place: Sandbox
    installed: Path
    port: int = field(default_factory=net.free_port)
    config_directory: str = ""
    log_file: str = ""
    output: Path = Path()
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.config_directory = self.config_directory or f"{self.place.state}/etc"
        self.log_file = self.log_file or f"{self.place.state}/log/maillog"

    def configure(self, sink_port: int, main_more: str = "") -> None:
        """Write main.cf and master.cf, as the user inside, into the one directory."""
        who, state = self.place.who, self.place.state
        main = MAIN_CF.format(state=state, uid=who.uid, gid=who.gid, sink=sink_port) + main_more
        self.write("main.cf", main)
        self.write("master.cf", MASTER_CF.replace("{port}", str(self.port)))

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration directory, as the user inside."""
        done = self.place.run(
            "sh", "-c", 'mkdir -p "$1" && cat >"$1/$2"', "sh", self.config_directory, name, stdin=text
        )
        assert done.returncode == 0, done.stderr

    def argv(self, name: str, *arguments: str) -> list[str]:
        """Give the command line of one of the system's commands."""
        option = "-C" if name == "sendmail" else "-c"
        return [str(self.installed / "bin" / name), option, self.config_directory, *arguments]

    def command(self, name: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command inside, as the user."""
        return self.place.run(*self.argv(name, *arguments), stdin=stdin)

    @contextmanager
    def started(
        self, output: Path, prefix: Sequence[str] = (), pass_fds: Sequence[int] = (), *, standard_output: int = -1
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it in the foreground, and stop it at the end if the test has not done so.

        output: a file for what it prints; prefix: what starts it; standard_output: a descriptor in place of the file.
        """
        self.output = output
        with output.open("ab") as file:
            argv = [*prefix, *self.argv("postfix", "start-fg")]
            self.process = self.place.popen(*argv, output=file, standard_output=standard_output, pass_fds=pass_fds)
        try:
            yield self.process
        except BaseException:
            print(f"--- what it printed:\n{self.printed()[-12000:]}")
            raise
        finally:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(STOP_LIMIT_S)

    def wait_greeting(self, words: bytes = b"220") -> None:
        """Wait until it greets so. Raises AssertionError: it ended, or does not."""
        assert self.process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while not net.greeting(self.port, 5).startswith(words):
            assert self.process.poll() is None, f"it ended: {self.printed()}"
            assert time.monotonic() < deadline, f"no greeting: {self.printed()}"
            time.sleep(0.02)

    def printed(self) -> str:
        """Give what came on standard output and error."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def log(self) -> str:
        """Give the log file."""
        return self.place.path(self.log_file).read_text(encoding="utf-8", errors="replace")

    def wait_log(self, words: str, limit_s: float = 20) -> None:
        """Wait until the log file has these words."""
        deadline = time.monotonic() + limit_s
        while words not in self.log():
            assert time.monotonic() < deadline, f"nothing in the log has {words!r}:\n{self.log()[-4000:]}"
            time.sleep(0.05)

    def processes(self) -> list[processes.Process]:
        """Give its processes, master first."""
        assert self.process is not None
        return processes.tree(self.process.pid)

    def stop(self) -> int:
        """End it as a container is ended; gives the exit status, and sees that nobody is left."""
        assert self.process is not None
        everybody = self.processes()
        self.process.terminate()
        status = self.process.wait(STOP_LIMIT_S)
        deadline = time.monotonic() + 10
        while left := [one for one in everybody if is_same_process(one)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)
        return status


def send(port: int, *recipients: str, subject: str = "x") -> None:
    """Send one message over SMTP. Raises smtplib.SMTPException: it was not taken."""
    content = f"From: sender@client.test\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\n\r\nThe text.\r\n"
    with smtplib.SMTP(net.LOOPBACK, port, timeout=60) as client:
        client.sendmail("sender@client.test", list(recipients), content)


def kernel_status(pid: int) -> dict[str, str]:
    """Read /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
