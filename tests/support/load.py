"""Load from programs nobody here wrote (smtp-source, swaks), and the sink that takes relayed mail (smtp-sink)."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support import net
from tests.support.peers import find_peer, peer_environment

LOAD_LIMIT_S: Final = 300


@dataclass(frozen=True, slots=True)
class Load:
    """What smtp-source is to send."""

    messages: int
    sessions: int = 1
    reuse: bool = False  # more than one message over a connection
    size_bytes: int = 4096
    sender: str = "sender@client.test"
    recipients: tuple[str, ...] = ("user@example.test",)  # the messages are shared out among them
    numbered: bool = False  # smtp-source puts a number of its own before each recipient
    subject: str = ""

    def commands(self, port: int) -> list[list[str]]:
        """One smtp-source for each recipient: it knows only one."""
        count = len(self.recipients)
        return [
            self._command(recipient, port, messages=self.messages // count, sessions=max(1, self.sessions // count))
            for recipient in self.recipients
        ]

    def _command(self, recipient: str, port: int, messages: int, sessions: int) -> list[str]:
        options = ["-4", "-l", str(self.size_bytes), "-m", str(messages), "-s", str(sessions)]
        options += ["-f", self.sender, "-t", recipient, "-M", "client.test"]
        options += ["-d"] if self.reuse else []
        options += ["-N"] if self.numbered else []
        options += ["-S", self.subject] if self.subject else []
        return [find_peer("smtp-source"), *options, f"{net.LOOPBACK}:{port}"]


def smtp_source(load: Load, port: int) -> float:
    """Send the load and return the seconds until the last message was answered. Raises on any refusal."""
    begin = time.monotonic()
    if load.sessions < len(load.recipients):  # fewer connections than recipients: one after the other
        for command in load.commands(port):
            _finish([_spawn(command)])
    else:
        _finish([_spawn(command) for command in load.commands(port)])
    return time.monotonic() - begin


def _spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=peer_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _finish(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        output, _ = process.communicate(timeout=LOAD_LIMIT_S)
        if process.returncode != 0:
            raise AssertionError(f"smtp-source ended with {process.returncode}: {output.decode(errors='replace')}")


def swaks(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run swaks against a loopback port; its transcript is the output."""
    command = [find_peer("swaks"), "--server", net.LOOPBACK, "--port", str(port), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=peer_environment())


class SmtpSink:
    """Postfix's smtp-sink: counts, and keeps what it got when asked to."""

    def __init__(self, *options: str, keep: bool = False) -> None:
        self.port = net.free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="sink-"))
        self.directory.chmod(0o777)  # it drops to nobody
        self._options = [*options, *(["-d", str(self.directory / "m.")] if keep else [])]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start and wait until it greets."""
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        address = f"{net.LOOPBACK}:{self.port}"
        command = [find_peer("smtp-sink"), *user, "-4", "-m", "1000", *self._options, address, "1000"]
        self._process = subprocess.Popen(command, env=peer_environment(), cwd=self.directory)
        net.wait_greeting(self.port, 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it and remove what it kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()

    def messages(self) -> list[bytes]:
        """Return what was kept, each message with the sink's X- lines before it."""
        return [path.read_bytes() for path in sorted(self.directory.iterdir())]

    def recipients(self) -> list[str]:
        """Return every recipient it was given, one entry for each time."""
        pattern = re.compile(rb"^X-Rcpt-Args: <?([^> \r\n]*)", re.MULTILINE)
        return [found.decode() for message in self.messages() for found in pattern.findall(message)]
