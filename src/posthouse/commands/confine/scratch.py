"""A scratch system to attack: configuration, queue and log in a temporary directory, and master with all its daemons.

Beside it stands what attempts are aimed at: files that all may read and write, sockets that listen, and for each user
of the system a process that does nothing. Nothing of the real system is touched; its main.cf says which users there
are and how much confinement is wanted, no more.
"""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from typing import Final, NoReturn, Self

from posthouse.commands.confine.services import Served, served_by
from posthouse.commands.orders.programs import STOCK_MASTER_CF
from posthouse.commands.postfix import control
from posthouse.commands.postfix.layout import prepare, prepare_maillog
from posthouse.config.load import load_settings
from posthouse.config.settings import Settings
from posthouse.confine import kernel
from posthouse.ipc.orders_wire import Family, Identity, Orders, Owner, ServiceOrder
from posthouse.util.errors import Fatal
from posthouse.util.process import become

HOST: Final = "127.0.0.1"
PR_SET_PDEATHSIG: Final = 1  # prctl(2)
GREETING_LIMIT_S: Final = 20.0
# What is taken over from the configuration that is asked for.
TAKEN_OVER: Final = (
    "mail_owner", "network_owner", "queue_owner", "setgid_group", "confinement", "landlock_newest_abi"
)  # fmt: skip
NOBODY: Final = 65534
MAIN_CF: Final = """\
compatibility_level = 3.11
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file = {place}/log/mail.log
maillog_file_prefixes = {place}/log
myhostname = proof.example.test
mydestination = $myhostname
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
alias_maps = texthash:{place}/tables/aliases
alias_database =
transport_maps = texthash:{place}/tables/transport
virtual_alias_maps = texthash:{place}/tables/virtual
virtual_alias_domains = alias.example.test
virtual_mailbox_domains = box.example.test
virtual_mailbox_maps = texthash:{place}/tables/boxes
virtual_mailbox_base = {place}/mail
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
mail_spool_directory = {place}/mail
smtpd_client_restrictions = check_client_access cidr:{place}/tables/clients
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
"""
# A table that only root may read: who opens it keeps a right for that moment, and must have given it up.
ROOTS_TABLE: Final = "recipient_canonical_maps = texthash:{place}/tables/secret\n"
TABLES: Final = {"aliases": "", "transport": "", "virtual": "", "boxes": "", "clients": ""}


class Scratch:
    """The system and its surroundings; a context manager. Raises Fatal when it does not start."""

    def __init__(self, like: Settings | None = None) -> None:
        self.as_root = os.geteuid() == 0
        self.place = tempfile.mkdtemp(prefix="posthouse-proof-")
        self._like = like
        self._sockets: list[socket.socket] = []
        self._victims: dict[int, int] = {}  # by user id
        self._master = 0
        self.orders: Orders
        self.served: list[Served] = []
        self.places: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self.abstract = f"\0posthouse-proof-{os.getpid()}"

    def __enter__(self) -> Self:
        """Make everything, and start."""
        try:
            os.chmod(self.place, 0o755)  # noqa: S103 - the daemons are other users
            self._configure()
            self._set_targets()
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __getitem__(self, name: str) -> str:
        """Give the path of something that is attacked."""
        return self.places[name]

    def __exit__(self, *_details: object) -> None:
        """Stop, and remove everything."""
        self._end()

    # --- the system --------------------------------------------------------------------------------------------------

    def _configure(self) -> None:
        for name in ("etc", "queue", "log", "mail", "tables"):
            os.mkdir(path := f"{self.place}/{name}")
            os.chmod(path, 0o755)  # noqa: S103 - the daemons are other users
        nobody = NOBODY if self.as_root else os.geteuid()
        lines = [MAIN_CF.format(place=self.place, nobody=nobody)]
        if self.as_root:
            lines.append(ROOTS_TABLE.format(place=self.place))
        if self._like is not None:
            taken = ((name, self._like.raw(name)) for name in TAKEN_OVER if self._like.is_set(name))
            lines += [f"{name} = {text}\n" for name, text in taken]
        self.ports = {"smtp": _free_port(), "metrics": _free_port(), "free": _free_port()}
        master = STOCK_MASTER_CF.decode().replace("smtp       inet", f"{HOST}:{self.ports['smtp']} inet", 1)
        master += f"{HOST}:{self.ports['metrics']} inet n - n - - metrics\n"  # not in a stock file
        self.write("etc/main.cf", "".join(lines))
        self.write("etc/master.cf", master)
        for name, text in TABLES.items():
            self.write(f"tables/{name}", text)
        self.places["secret_table"] = self.write("tables/secret", "", 0o600)

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        """Write a file below the place; returns its path."""
        path = f"{self.place}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        return path

    @property
    def settings(self) -> Settings:
        """The scratch system's main.cf."""
        return load_settings(f"{self.place}/etc", "posthouse")

    def _start(self) -> None:
        settings = self.settings
        prepare(settings)
        prepare_maillog(settings)
        orders = control.check_orders(settings)
        if isinstance(orders, str):
            raise Fatal(f"the scratch system's configuration is refused: {orders}")
        self.orders = orders
        self.served = served_by(list(orders.services), as_root=self.as_root)
        failure = control.start_daemon(settings)
        if failure:
            raise Fatal(f"the scratch system does not start: {failure}")
        self._master = control.running(settings)
        self._wait_greeting()
        self._find_queue_file()
        for identity in self.identities:
            self._add_victim(identity)

    def _wait_greeting(self) -> None:
        """A client is greeted: then master, warm, qmgr and smtpd are at work."""
        deadline = time.monotonic() + GREETING_LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.ports["smtp"]), 5) as sock:
                if sock.recv(4) == b"220 ":
                    return
            time.sleep(0.02)
        raise Fatal(f"the scratch system does not greet its first client:\n{self.log()[-2000:]}")

    def _find_queue_file(self) -> None:
        """The store is made by the first queue manager, which is there before anything is served."""
        queue, deadline = f"{self.place}/queue/posthouse", time.monotonic() + GREETING_LIMIT_S
        while not (found := [entry.path for entry in os.scandir(queue) if entry.is_file()]):
            if time.monotonic() > deadline:
                raise Fatal(f"the scratch system made no queue:\n{self.log()[-2000:]}")
            time.sleep(0.02)
        self.places["queue_file"] = min(found)

    def second_queue(self) -> str:
        """Make another queue for a second queue manager: the first one holds its own locked. The sockets are shared."""
        path = f"{self.place}/second"
        if not os.path.isdir(path):
            os.mkdir(path, 0o755)
            prepare(self.settings.overlaid({"queue_directory": path}))
            for name in ("private", "public"):
                os.rmdir(f"{path}/{name}")
                os.symlink(f"{self.place}/queue/{name}", f"{path}/{name}")
        return path

    def listener(self, order: ServiceOrder) -> socket.socket:
        """Make a socket as master would hand it to this service; nobody connects to it."""
        family = order.addresses[0].family
        if family in (Family.INET, Family.INET6):
            return self._open(socket.AF_INET, socket.SOCK_STREAM, (HOST, 0))
        kind = socket.SOCK_DGRAM if family is Family.UNIX_DATAGRAM else socket.SOCK_STREAM
        return self._open(socket.AF_UNIX, kind, f"{self.place}/listen-{len(self._sockets)}")

    def log(self) -> str:
        """Give the scratch system's log."""
        with contextlib.suppress(OSError), open(f"{self.place}/log/mail.log", encoding="utf-8") as file:
            return file.read()
        return ""

    @property
    def master(self) -> int:
        """The number of master's process."""
        return self._master

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The users of the system; one, without root."""
        return self.orders.settings.owners or (Identity(os.geteuid(), os.getegid()),)

    def identity(self, owner: Owner) -> Identity:
        """Give the user of a daemon."""
        return self.identities[owner] if self.as_root else self.identities[0]

    def victim(self, uid: int) -> int:
        """Give the process of this user that does nothing."""
        return self._victims[uid]

    def another_daemon(self, uid: int) -> int:
        """Give a daemon of another user, where there are several."""
        for child in _children(self._master):
            with contextlib.suppress(OSError):
                owner = os.stat(f"/proc/{child}").st_uid
                if owner not in (0, uid) or not self.as_root:
                    return child
        return self._master

    # --- what is attacked ------------------------------------------------------------------------------------------

    def _set_targets(self) -> None:
        place = self.place
        outside = f"{place}/outside"
        for path, mode in ((outside, 0o777), (f"{outside}/empty", 0o777), (f"{outside}/sub", 0o777)):
            os.mkdir(path)
            os.chmod(path, mode)
        self.places |= {
            "outside": outside,
            "empty": f"{outside}/empty",
            "subdirectory": f"{outside}/sub",
            "readable": self.write("outside/readable", "text\n"),
            "writable": self.write("outside/writable", "text\n", 0o666),
            "removable": self.write("outside/removable", "", 0o666),
            "program": self.write("outside/program", "no program\n", 0o755),
            "root_file": self.write("root-file", "secret\n", 0o600),
            "mailbox": self.write("mail/somebody", "From x\n", 0o600),
            "main_cf": f"{place}/etc/main.cf",
            "maillog": f"{place}/log/mail.log",
            "queue": f"{place}/queue/posthouse",
            "maildrop": f"{place}/queue/maildrop",
            "data": f"{place}/data",
            "sources": os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
            "program_text": os.path.abspath(__file__),
            "root_socket": f"{place}/root-socket",
            "open_socket": f"{outside}/open-socket",
        }
        if self.as_root:
            os.chown(self.places["mailbox"], NOBODY, NOBODY)
        self._listen()

    def _listen(self) -> None:
        """Open the sockets that nobody may reach; all of them listen, so a connection that is let through succeeds."""
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.ports["tcp"] = self._open(socket.AF_INET, stream, (HOST, 0)).getsockname()[1]
        self.ports["udp"] = self._open(socket.AF_INET, datagram, (HOST, 0)).getsockname()[1]
        self._open(socket.AF_UNIX, stream, self.abstract)
        self._open(socket.AF_UNIX, datagram, f"{self.abstract}-datagram")
        self._open(socket.AF_UNIX, stream, self.places["root_socket"])
        os.chmod(self.places["root_socket"], 0o600)
        self._open(socket.AF_UNIX, stream, self.places["open_socket"])
        os.chmod(self.places["open_socket"], 0o666)  # noqa: S103 - all may use it

    def _open(self, family: int, kind: int, address: tuple[str, int] | str) -> socket.socket:
        sock = socket.socket(family, kind)
        self._sockets.append(sock)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(1000)
        return sock

    def _add_victim(self, identity: Identity) -> None:
        own = self.write(f"outside/own-{identity.uid}", "")
        if self.as_root:
            os.chown(own, identity.uid, identity.gid)
        if identity.uid in self._victims:
            return
        pid = os.fork()
        if pid == 0:
            _be_victim(identity if self.as_root else None)
        self._victims[identity.uid] = pid

    def _end(self) -> None:
        if self._master > 0:
            with contextlib.suppress(OSError):
                control.send(self._master, signal.SIGQUIT)  # nothing is in its queue that could be lost
            control.wait_end(self.settings, self._master)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._master, 0)
        for pid in self._victims.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for sock in self._sockets:
            sock.close()
        shutil.rmtree(self.place, ignore_errors=True)


def _be_victim(identity: Identity | None) -> NoReturn:
    """Wait for the end, which comes with that of the process that made this one."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if identity is not None:
            become(identity.uid, identity.gid, identity.groups)
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # the weakest sibling that there could be
        while True:
            signal.pause()
    finally:
        os._exit(1)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def _children(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(name) == pid]


def _parent(pid: str) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return 0
