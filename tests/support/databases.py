"""PostgreSQL and MariaDB from Debian's packages, each in a directory of its own, as a user without rights.

They listen on a UNIX socket in that directory and on a loopback port. `freeze` stops every process of the server (it
hangs, and its sockets stay), `kill` ends it at once, `start` brings it up again on the same port.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.support import certificates, net
from tests.support.peers import UNPACKED, peer_environment

LIMIT_S: Final = 60
USER, PASSWORD, NAME = "mail", "se'cr\\et", "mailbase"
# key → values, in this order; None is NULL
ROWS: Final[Sequence[tuple[str, str | None]]] = (
    ("alpha", "one"),
    ('"b c"', "two words"),
    ("ünï@exämple.org", "drei"),
    ("o'brien@example.org", "quoted"),
    ("back\\slash@example.org", "escaped"),
    ("per%cent@example.org", "literal"),
    ("' or 'x'='x", "injected"),
    ("many@example.org", "a@one.test"),
    ("many@example.org", "b@two.test"),
    ("many@example.org", None),
    ("void@example.org", None),
    ("empty@example.org", ""),
    ("jane.doe@mail.example.org", "jane@box.test"),
)


class Database(ABC):
    """A server; `with` starts it with the table lookup(id, k, v) in it."""

    port: int
    directory: Path
    tls: certificates.Files

    def __init__(self) -> None:
        self.port = net.free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.directory.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self._account: Mapping[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def __enter__(self) -> Self:
        """Make the files, start, fill."""
        try:
            self.tls = self._certificates()
            self.create()
            self.start()
            self.sql(self.setup())
        except BaseException:
            self.remove()
            raise
        return self

    def _certificates(self) -> certificates.Files:
        """Make a certificate that the server's user can read."""
        files = certificates.make(self.directory)
        for path in files:
            path.chmod(0o644)
        files.key.chmod(0o600)
        if self._account:
            os.chown(files.key, self._account["user"], self._account["group"])
        return files

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.environment(),
            cwd=self.directory,
            **self._account,
        )
        log.close()
        deadline = time.monotonic() + LIMIT_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.directory / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def kill(self) -> None:
        """End every process at once, as a crash does."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(LIMIT_S)
            self._process = None

    def environment(self) -> Mapping[str, str]:
        """Give the environment of its programs.

        MariaDB removes every `#sql` file of its directory for temporary files when it starts: another server's, if
        both have /tmp.
        """
        return {**peer_environment(), "TMPDIR": str(self.directory)}

    def freeze(self) -> None:
        """Let it hang: connections are taken, and nothing is answered from the moment this returns."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # all its threads

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a program of the package as the server's user."""
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env=self.environment(),
            cwd=self.directory,
            **self._account,
        )
        assert done.returncode == 0, f"{command}: {done.stdout.decode()}{done.stderr.decode()}"
        output: str = done.stdout.decode()
        return output

    def _signal(self, number: int) -> None:
        if self._process is None:
            return
        mother = self._process.pid
        for pid in (mother, *_children(mother)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    @abstractmethod
    def create(self) -> None:
        """Make the files of an empty server."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Give the server's command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes queries."""

    @abstractmethod
    def sql(self, text: str) -> None:
        """Run statements as the administrator."""

    @abstractmethod
    def setup(self) -> str:
        """Give the statements that make user, table and rows."""


def _children(pid: int) -> list[int]:
    """Find the processes that a server has forked; PostgreSQL's are in sessions of their own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def _program(pattern: str) -> str:
    """Find a program by its place in the package: installed, or unpacked below var/peers."""
    for root in (Path("/"), UNPACKED):
        found = sorted(root.glob(pattern))
        if found:
            return str(found[-1])
    return ""


def _insert(quote: str) -> str:
    """Give the rows as SQL; quote doubles what must be doubled in '...'."""
    values = []
    for key, value in ROWS:
        texts = ["NULL" if text is None else "'" + "".join(c * (1 + (c in quote)) for c in text) + "'"
                 for text in (key, value)]  # fmt: skip
        values.append(f"({', '.join(texts)})")
    return f"INSERT INTO lookup (k, v) VALUES {', '.join(values)};\n"


class Postgres(Database):
    """PostgreSQL. Local connections need no password, others do."""

    @staticmethod
    def why_not() -> str:
        """Say why it cannot run here; empty when it can."""
        missing = "" if _program("usr/lib/postgresql/*/bin/initdb") else "PostgreSQL is not here: make peers"
        return missing or certificates.why_not()

    def create(self) -> None:
        """Run initdb."""
        initdb = _program("usr/lib/postgresql/*/bin/initdb")
        self.run(
            initdb, "-D", f"{self.directory}/data", "-U", "admin", "-E", "UTF8", "--locale=C", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions",
        )  # fmt: skip

    def command(self) -> Sequence[str]:
        """Give the server's command line; nothing need survive a crash of the machine."""
        return (
            _program("usr/lib/postgresql/*/bin/postgres"), "-D", f"{self.directory}/data", "-p", str(self.port),
            "-k", str(self.directory), "-h", "127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB",
            "-c", "ssl=on", "-c", f"ssl_cert_file={self.tls.cert}",
            "-c", f"ssl_key_file={self.tls.key}",
        )  # fmt: skip

    def answers(self) -> bool:
        """Ask pg_isready."""
        program = _program("usr/lib/postgresql/*/bin/pg_isready")
        where = ("-h", str(self.directory), "-p", str(self.port), "-q")
        return subprocess.run([program, *where], check=False, timeout=LIMIT_S, env=self.environment()).returncode == 0

    def sql(self, text: str) -> None:
        """Run psql."""
        program = _program("usr/lib/postgresql/*/bin/psql")
        where = ("-h", str(self.directory), "-p", str(self.port), "-U", "admin")
        database = NAME if "CREATE DATABASE" not in text else "postgres"
        self.run(program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, "-d", database, stdin=text)

    def setup(self) -> str:
        """Make user, database, table and rows."""
        password = PASSWORD.replace("'", "''")
        return (
            f"CREATE USER {USER} PASSWORD '{password}';\nCREATE DATABASE {NAME} OWNER {USER};\n"
            f"\\connect {NAME} {USER}\n"
            f"CREATE TABLE lookup (id serial, k text, v text);\n{_insert(chr(39))}"
        )


class MariaDb(Database):
    """MariaDB. root may connect by the socket without a password."""

    @staticmethod
    def why_not() -> str:
        """Say why it cannot run here; empty when it can."""
        missing = "" if _program("usr/sbin/mariadbd") else "MariaDB is not here: make peers"
        return missing or certificates.why_not()

    @property
    def socket(self) -> Path:
        """The UNIX socket."""
        return self.directory / "sock"

    def create(self) -> None:
        """Run mariadb-install-db."""
        program = _program("usr/bin/mariadb-install-db")
        base = str(Path(program).parent.parent)
        self.run(
            program, "--no-defaults", f"--basedir={base}", f"--datadir={self.directory}/data", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-log-file-size=4M",
        )  # fmt: skip

    def command(self) -> Sequence[str]:
        """Give the server's command line."""
        program = _program("usr/sbin/mariadbd")
        return (
            program, "--no-defaults", f"--basedir={Path(program).parent.parent}", f"--datadir={self.directory}/data",
            f"--socket={self.socket}", f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0",
            f"--pid-file={self.directory}/pid", "--character-set-server=utf8mb4", "--skip-log-bin",
            f"--ssl-cert={self.tls.cert}", f"--ssl-key={self.tls.key}",
        )  # fmt: skip

    def answers(self) -> bool:
        """Ask mariadb-admin."""
        program = _program("usr/bin/mariadb-admin")
        command = [program, "--no-defaults", f"--socket={self.socket}", "-u", "root", "ping"]
        done = subprocess.run(command, check=False, capture_output=True, timeout=LIMIT_S, env=self.environment())
        return done.returncode == 0

    def sql(self, text: str) -> None:
        """Run the client."""
        program = _program("usr/bin/mariadb")
        database = () if "CREATE DATABASE" in text else (NAME,)
        where = (f"--socket={self.socket}", "-u", "root", "--default-character-set=utf8mb4")
        self.run(program, "--no-defaults", *where, *database, stdin=text)

    def setup(self) -> str:
        """Make user, database, table and rows."""
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        return (
            f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4;\nUSE {NAME};\n"
            f"CREATE USER {USER}@'%' IDENTIFIED BY '{password}';\nGRANT ALL ON {NAME}.* TO {USER}@'%';\n"
            "CREATE TABLE lookup (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(100) COLLATE utf8mb4_bin, v TEXT);\n"
            f"{_insert(chr(39) + chr(92))}"
        )
