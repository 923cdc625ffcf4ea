"""Servers behind tables, for the contract of all network tables: start, stop, pause, and a table that asks them.

memcached, redis-server and slapd are Debian's; socketmap, tcp and HTTP servers are small_table_server.py. Each is a
process of its own, so that it can be ended and stopped as real ones are.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from tests.support import net
from tests.support.peers import find_peer, peer_environment

ENTRIES: Final = {
    "alpha": "one",
    "b c": "two words",
    "ünï@exämple.org": "drei",
    "percent%41@example.org": "100%",
    "user@example.org": "a user",
    **{f"key{number}": f"value{number}" for number in range(50)},
}
START_S: Final = 30.0


class Rig(ABC):
    """A server with ENTRIES; `with Rig(directory) as rig:` runs it."""

    kind: ClassVar[str]
    takes_blanks: ClassVar[bool] = True  # whether keys may have blanks in them

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = net.free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def why_not() -> str:
        """Say why it cannot run here; empty when it can."""
        return ""

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    @abstractmethod
    def command(self) -> list[str]:
        """Make what starts the server, in the foreground."""

    @abstractmethod
    def spec(self, timeout_s: int) -> str:
        """Write the table's settings and give its name."""

    def fill(self) -> None:
        """Put ENTRIES into the running server, where it did not read them from a file."""
        return

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        log = (self.directory / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=peer_environment()
            )
        deadline = time.monotonic() + START_S
        while not self._is_up():
            assert self._process.poll() is None, (self.directory / "server.log").read_text()
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.02)
        self.fill()

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Stop it: connections are taken by the kernel, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)  # all its threads

    def go_on(self) -> None:
        """Let it run again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _file(self, *lines: str) -> str:
        path = self.directory / f"{self.kind}.cf"
        path.write_text("".join(f"{line}\n" for line in lines))
        return f"{self.kind}:{path}"


class SmallRig(Rig):
    """One of small_table_server.py."""

    protocol: ClassVar[str]

    def command(self) -> list[str]:
        """Run it by this interpreter, without the project."""
        entries = self.directory / "entries.json"
        entries.write_text(json.dumps(ENTRIES))
        program = Path(__file__).with_name("small_table_server.py")
        return [sys.executable, "-I", str(program), self.protocol, str(self.port), str(entries)]


class SocketMapRig(SmallRig):
    """A socketmap server."""

    kind = protocol = "socketmap"

    def spec(self, timeout_s: int) -> str:
        """Give the name; its time limit is fixed."""
        return f"socketmap:inet:127.0.0.1:{self.port}:map"


class TcpRig(SmallRig):
    """A tcp_table server."""

    kind = protocol = "tcp"

    def spec(self, timeout_s: int) -> str:
        """Give the name; its time limit is fixed."""
        return f"tcp:127.0.0.1:{self.port}"


class HttpRig(SmallRig):
    """A server that answers in JSON."""

    kind = "http-json"
    protocol = "http"

    def spec(self, timeout_s: int) -> str:
        """Ask for /lookup/KEY."""
        url = f"url = http://127.0.0.1:{self.port}/lookup/%s"
        return self._file(url, "result = /value", f"timeout = {timeout_s}")


class MemcachedRig(Rig):
    """Debian's memcached."""

    kind = "memcache"
    takes_blanks = False

    @staticmethod
    def why_not() -> str:
        """Say whether it is here."""
        return "" if find_peer("memcached") else "Debian's package memcached is not installed"

    def command(self) -> list[str]:
        """Run it as nobody, where we are root."""
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [find_peer("memcached"), "-l", "127.0.0.1", "-p", str(self.port), *user]

    def fill(self) -> None:
        """Store what it can have as keys."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            for key, value in ENTRIES.items():
                name, data = key.encode(), value.encode()
                if b" " not in name:
                    sock.sendall(b"set %b 0 0 %d\r\n%b\r\n" % (name, len(data), data))
                    assert sock.recv(100) == b"STORED\r\n"

    def spec(self, timeout_s: int) -> str:
        """Ask it, once."""
        server = f"memcache = inet:127.0.0.1:{self.port}"
        return self._file(server, f"timeout = {timeout_s}", "max_try = 1")


class RedisRig(Rig):
    """Debian's redis-server."""

    kind = "redis"

    @staticmethod
    def why_not() -> str:
        """Say whether it is here."""
        return "" if find_peer("redis-server") else "Debian's package redis-server is not installed"

    def command(self) -> list[str]:
        """Run it without files."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.directory)]
        return [find_peer("redis-server"), *options, "--unixsocket", str(self.directory / "redis.sock")]

    def talk(self, *words: str | bytes) -> bytes:
        """Send one command; give the beginning of the reply."""
        data = b"*%d\r\n" % len(words)
        for word in words:
            octets = word.encode() if isinstance(word, str) else word
            data += b"$%d\r\n%b\r\n" % (len(octets), octets)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.sendall(data)
            return sock.recv(65536)

    def fill(self) -> None:
        """Store all in one command."""
        words = [word for entry in ENTRIES.items() for word in entry]
        assert self.talk("MSET", *words) == b"+OK\r\n"

    def spec(self, timeout_s: int) -> str:
        """Ask for the key."""
        return self._file(f"hosts = 127.0.0.1:{self.port}", "query = GET %s", f"timeout = {timeout_s}")


SLAPD: Final = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {directory}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit 500
{more}
database mdb
suffix "dc=example"
directory {directory}/db
rootdn "cn=admin,dc=example"
rootpw secret
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


class SlapdRig(Rig):
    """Debian's slapd: ENTRIES are people with cn (the key) and description (the value)."""

    kind = "ldap"
    more_config: ClassVar[str] = ""
    more_entries: ClassVar[str] = ""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.home = Path(tempfile.mkdtemp(prefix="slapd-"))  # pytest's directories are root's
        self.local_url = f"ldapi://{str(self.home / 'ldapi').replace('/', '%2F')}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it and remove its files."""
        super().__exit__(kind, error, traceback)
        shutil.rmtree(self.home, ignore_errors=True)

    @staticmethod
    def why_not() -> str:
        """Say whether it is here."""
        if not find_peer("slapd"):
            return "Debian's package slapd is not installed"
        return "" if os.path.isdir("/etc/ldap/schema") else "slapd's schemas are not in /etc/ldap"

    def command(self) -> list[str]:
        """Make the database, and run it in the foreground, as nobody where we are root."""
        config = self.home / "slapd.conf"
        if not config.exists():
            config.write_text(SLAPD.format(directory=self.home, more=self.more_config))
            (self.home / "db").mkdir()
            (self.home / "entries.ldif").write_text(_ldif() + self.more_entries)
            slapadd = [find_peer("slapadd"), "-f", str(config), "-l", str(self.home / "entries.ldif"), "-q"]
            done = subprocess.run(slapadd, check=False, timeout=60, capture_output=True)
            assert done.returncode == 0, done.stderr.decode()
            if os.geteuid() == 0:
                for path in (self.home, *self.home.rglob("*")):
                    shutil.chown(path, "nobody")
        user = ["-u", "nobody", "-g", "nogroup"] if os.geteuid() == 0 else []
        urls = f"ldap://127.0.0.1:{self.port}/ {self.local_url}"
        return [find_peer("slapd"), "-f", str(config), "-h", urls, "-d", "0", *user]

    def spec(self, timeout_s: int) -> str:
        """Search by cn."""
        return self.settings(f"timeout = {timeout_s}", "query_filter = (cn=%s)", "result_attribute = description")

    def settings(self, *lines: str) -> str:
        """Write settings for this server."""
        return self._file(
            f"server_host = ldap://127.0.0.1:{self.port}",
            "search_base = dc=example",
            "bind = no",
            "version = 3",
            *lines,
        )


def _ldif() -> str:
    """Write the entries: cn is the key, which may have any text in it."""
    parts = ["dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"]
    for number, (key, value) in enumerate(ENTRIES.items()):
        coded = base64.b64encode(key.encode()).decode()
        lines = (f"dn: uid=p{number},dc=example", "objectClass: inetOrgPerson", f"uid: p{number}", f"sn: {number}")
        parts.append("\n".join((*lines, f"cn:: {coded}", f"description: {value}", "")))
    return "\n".join(parts) + "\n"


RIGS: Final = (SocketMapRig, TcpRig, HttpRig, MemcachedRig, RedisRig, SlapdRig)
