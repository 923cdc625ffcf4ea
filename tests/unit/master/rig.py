"""A real master with fake daemons in a directory of its own; the test plays the clients and postlogd."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

FAKES: Final = Path(__file__).resolve().parent / "fakes"
LIMIT_S: Final = 20.0  # a loaded machine
OWNERS: Final = ((65534, 65534), (1, 1), (5, 60))  # any three users: nothing of theirs is touched


def wait_until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Poll until the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class Client:
    """A client of an echo service."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(LIMIT_S)
        self.file = sock.makefile("rb")
        words = self.file.readline().decode().split()
        self.pid, self.uid, self.greeting = (int(words[0]), int(words[1]), words[2]) if words else (0, 0, "")

    def echoes(self) -> bool:
        """Tell whether the session still works."""
        self.sock.sendall(b"ping\n")
        return self.file.readline() == b"ping\n"

    def crash(self) -> None:
        """Make the daemon fail."""
        self.sock.sendall(b"crash\n")
        self.file.read()

    def close(self) -> None:
        """Go."""
        self.file.close()
        self.sock.close()


class Rig:
    """See the module's docstring."""

    def __init__(self, *services: dict[str, object], as_root: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="master-"))
        self.directory.chmod(0o755)
        self.queue = self.directory / "queue"
        for name in ("queue/pid", "queue/private", "queue/public", "queue/submit", "data"):
            (self.directory / name).mkdir(parents=True)
        self.uid = None if as_root or os.geteuid() else OWNERS[0][0]
        self.owners = list(OWNERS) if os.geteuid() == 0 and as_root else []
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.bind(str(self.queue / "public" / "postlog"))
        self._log.setblocking(False)
        self.lines: list[str] = []
        for path in (self.directory, *self.directory.rglob("*")):
            if self.uid is not None:
                os.chown(path, self.uid, self.uid)
            if path.is_dir():
                path.chmod(0o755)
        (self.queue / "public" / "postlog").chmod(0o666)
        self.clients: list[Client] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.write(*services)

    def write(self, *services: dict[str, object], error: str = "") -> None:
        """Give the next orders."""
        main = {"queue_directory": str(self.queue), "maillog_file": "/var/none", "max_idle": "100s"}
        orders: dict[str, object] = {"main": main, "services": services, "owners": self.owners}
        (self.directory / "orders.json").write_text(json.dumps({"error": error} if error else orders))

    def start(self, descriptors: int = 0) -> str:
        """Start and wait for the outcome: "ok", or what went wrong. descriptors: master's soft limit; 0: ours."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def limit() -> None:
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))

        reader, writer = os.pipe()
        argv = [sys.executable, "-I", str(FAKES / "fake_master.py"), "-c", str(self.directory), "-r", str(writer)]
        self.process = subprocess.Popen(
            argv,
            pass_fds=[writer],
            user=self.uid,
            group=self.uid,
            extra_groups=None,
            preexec_fn=limit,  # noqa: PLW1509 - one system call
        )
        os.close(writer)
        with os.fdopen(reader, "rb") as outcome:
            return outcome.read().decode()

    @property
    def pid(self) -> int:
        """The process number of master."""
        assert self.process is not None, "start() first"
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Signal master."""
        os.kill(self.pid, number)

    def connect(self, name: str) -> Client:
        """Connect to a service: a name below private/, or a port."""
        if name.isdecimal():
            sock = socket.create_connection(("127.0.0.1", int(name)), LIMIT_S)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(LIMIT_S)
            sock.connect(str(self.queue / "private" / name))
        client = Client(sock)
        self.clients.append(client)
        return client

    def log(self) -> str:
        """Everything logged so far."""
        while True:
            try:
                self.lines += self._log.recv(1 << 18).decode().splitlines()
            except BlockingIOError:
                return "\n".join(self.lines)

    def wait_log(self, text: str) -> None:
        """Wait until the log has the text."""
        wait_until(lambda: text in self.log(), f"no {text!r} in the log:\n{self.log()}")

    def wait_end(self) -> int:
        """Wait for master's end; returns its exit status."""
        assert self.process is not None, "start() first"
        return self.process.wait(LIMIT_S)

    def named(self, name: str) -> list[int]:
        """Find master's children by name."""
        found = []
        for task in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                if Path(f"/proc/{task}/comm").read_text().strip() == name:
                    found.append(int(task))
            except OSError:
                continue
        return found

    def close(self) -> None:
        """End everything this rig started."""
        for client in self.clients:
            client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(LIMIT_S)
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
