"""The prover: has a warm process of its own fork each daemon the product's way, and hears what the kernel answered.

The daemons come from warm.image itself, with one name exchanged (inside.py in place of skeleton.child), on requests as
master sends them. `alter` is called once in the warm process, before it serves: a test takes a wall away there.
"""

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, Self

from posthouse.commands.confine import facts, inside
from posthouse.commands.confine.attempt import Answer, Outcome, Scene
from posthouse.commands.confine.scratch import Scratch
from posthouse.commands.confine.services import Served
from posthouse.config.parameters import CONFINEMENT, LANDLOCK_NEWEST_ABI, QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.config.wire import format_settings
from posthouse.confine import enforce, kernel
from posthouse.ipc.warm_wire import ANSWER, REQUEST, Ask, Request, Said, send_record
from posthouse.master.service import sealed
from posthouse.skeleton.rules import compute_rules
from posthouse.util.errors import Fatal
from posthouse.warm import image

PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2): processes that warm forks twice become ours, as they become master's
LIMIT_S: Final = 60.0  # for one daemon
LOG_S: Final = 1.0  # for what it said last to reach the log
WARM_LIMIT_S: Final = 60.0
CHILD: Final = "posthouse.commands.confine.inside"


def nothing() -> None:
    """Alter nothing."""


@dataclass(slots=True)
class Proof:
    """What came of one daemon."""

    program: str
    user: str
    executes: bool
    attempts: list[Outcome] = field(default_factory=list)
    allowed: list[Outcome] = field(default_factory=list)
    problem: str = ""  # why it came to no end

    @property
    def good(self) -> bool:
        """Whether nothing forbidden went through, and all that is allowed works."""
        return not self.problem and all(outcome.good for outcome in (*self.attempts, *self.allowed))

    @property
    def let_through(self) -> list[Outcome]:
        """What should have been refused."""
        return [outcome for outcome in self.attempts if outcome.answer is Answer.THROUGH]


class Prover:
    """A warm process, asked for daemons; a context manager."""

    def __init__(self, scratch: Scratch, wanted: list[Served], alter: Callable[[], None] = nothing) -> None:
        self._scratch, self._alter = scratch, alter
        self._wanted = [self._with_own_queue(each) for each in wanted]
        self._control, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._warm = 0

    def __enter__(self) -> Self:
        """Start warm. Raises Fatal: it cannot import a daemon."""
        kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
        inside.SCENES.clear()
        inside.SCENES.update(enumerate(map(self._scene, self._wanted)))
        self._warm = os.fork()
        if self._warm == 0:
            self._be_warm()
        self._theirs.close()
        for package in sorted({each.order.package for each in self._wanted}):
            self._control.send(REQUEST.pack(Request(Ask.IMPORT, package=package)))
        self._control.send(REQUEST.pack(Request(Ask.SEAL)))
        self._control.settimeout(WARM_LIMIT_S)
        answer = ANSWER.unpack(self._control.recv(ANSWER.size + 1))
        if answer.said is not Said.READY:
            raise Fatal(f"warm: {answer.reason}")
        return self

    def __exit__(self, *_details: object) -> None:
        """Let it go."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._warm, signal.SIGKILL)
        os.waitpid(self._warm, 0)
        kernel.prctl(PR_SET_CHILD_SUBREAPER, 0)

    def _be_warm(self) -> NoReturn:
        """Be as master starts warm: in /, with its umask and a small environment."""
        try:
            os.chdir("/")
            os.umask(0o077)
            for name in set(os.environ) - {"LANG", "TZ"}:
                del os.environ[name]
            self._control.close()
            self._alter()
            image.run(self._theirs.detach(), image.Names(child=CHILD))
        finally:
            os._exit(1)

    # --- one daemon --------------------------------------------------------------------------------------------------

    def prove(self) -> Iterator[Proof]:
        """Prove one daemon after the other."""
        for number, served in enumerate(self._wanted):
            yield self._prove(number, served)

    def _prove(self, number: int, served: Served) -> Proof:
        proof = Proof(served.program, served.rules.user, served.rules.executes)
        ours, theirs = socket.socketpair()
        status, their_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        runas, their_runas = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, status, their_status, runas, their_runas, self._scratch.listener(served.order) as listener:
            lent = [sealed(format_settings(served.settings)), their_status.fileno()]
            has_runas = bool(served.order.runas.kinds)
            lent += [their_runas.fileno()] if has_runas else []
            pid = self._fork(served, [*lent, listener.fileno(), theirs.fileno()], has_runas=has_runas)
            os.close(lent[0])
            theirs.close()
            ours.sendall(number.to_bytes(4))
            self._hear(proof, ours, pid, inside.SCENES[number])
            ours.close()
            self._bury(proof, pid)
        return proof

    def _fork(self, served: Served, descriptors: list[int], *, has_runas: bool) -> int:
        """Ask warm, as master does. Raises Fatal."""
        request = Request(Ask.FORK, package=served.order.package, client_limit=served.order.clients)
        request = request._replace(become=self._scratch.as_root, runas_socket=has_runas)
        request = request._replace(chroot=served.order.chroot, root_files=served.order.root_files)
        if self._scratch.as_root:
            request = request._replace(**self._scratch.identity(served.order.owner)._asdict())
        send_record(self._control, REQUEST.pack(request), descriptors)
        answer = ANSWER.unpack(self._control.recv(ANSWER.size + 1))
        if answer.said is not Said.FORKED:
            raise Fatal(f"warm: {answer.reason}")
        return answer.pid

    def _hear(self, proof: Proof, report: socket.socket, pid: int, scene: Scene) -> None:
        """Read what it reports, and look at it when it is done."""
        last = "its start"
        for line in _lines(report, LIMIT_S):
            if line is None:
                proof.problem = f'hangs at "{last}"'
                os.kill(pid, signal.SIGKILL)
                return
            if "done" in line:
                proof.attempts += facts.judge(facts.look(pid), scene)
                return
            if "begin" in line:
                last = line["begin"]
                continue
            outcome = Outcome(line["name"], Answer[line["answer"]], line["error"], tuple(line["walls"]))
            worked = outcome.answer in (Answer.WORKS, Answer.FAILS)
            (proof.allowed if worked else proof.attempts).append(outcome)
        proof.problem = f'ended at "{last}"'

    def _bury(self, proof: Proof, pid: int) -> None:
        """Wait for its end; say how it died where that was not asked for."""
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:  # without its walls it may have seen to its own burial
            code = 0
        if proof.problem:
            how = f"killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit status {code}"
            proof.problem += f", {how}{self._last_words(pid)}"

    def _last_words(self, pid: int) -> str:
        """Give what it logged last, after a colon; postlogd(8) waits a moment to sort lines."""
        until = time.monotonic() + LOG_S
        while time.monotonic() < until:
            if said := [line for line in self._scratch.log().splitlines() if f"[{pid}]: " in line]:
                return f": {said[-1].partition(']: ')[2]}"
            time.sleep(LOG_S / 20)
        return ""

    # --- the scene ---------------------------------------------------------------------------------------------------

    def _with_own_queue(self, served: Served) -> Served:
        """Give the second queue manager a queue of its own."""
        if served.order.package != "qmgr":
            return served
        settings = served.settings.overlaid({"queue_directory": self._scratch.second_queue()})
        rules = compute_rules(served.daemon, settings, has_runas=False)
        return served._replace(settings=settings, rules=replace(rules, user=served.rules.user))

    def _scene(self, served: Served) -> Scene:
        scratch, settings = self._scratch, served.settings
        identity = scratch.identity(served.order.owner)
        wanted = settings[CONFINEMENT] != "off"
        places = {**scratch.places, "own": f"{scratch.places['outside']}/own-{identity.uid}"}
        if served.order.package == "qmgr":
            queue = f"{settings[QUEUE_DIRECTORY]}/posthouse"
            places |= {"queue": queue, "queue_file": f"{queue}/{os.path.basename(places['queue_file'])}"}
        return Scene(
            rules=served.rules,
            as_root=scratch.as_root,
            landlock=_landlock(settings) if wanted else 0,
            seccomp=kernel.has_seccomp() and wanted,
            uid=identity.uid,
            gid=identity.gid,
            places=places,
            processes={
                "victim": scratch.victim(identity.uid),
                "other": scratch.another_daemon(identity.uid),
                "master": scratch.master,
            },
            ports=scratch.ports,
            abstract=scratch.abstract,
        )


def _landlock(settings: Settings) -> int:
    return enforce.usable_abi(settings[LANDLOCK_NEWEST_ABI])


def _lines(report: socket.socket, limit_s: float) -> Iterator[dict[str, Any] | None]:
    """Give each record as it comes; None at the end of time; nothing more at the end of file."""
    deadline, rest = time.monotonic() + limit_s, b""
    while True:
        *lines, rest = rest.split(b"\n")
        yield from map(json.loads, lines)
        if not select.select([report], [], [], max(0.0, deadline - time.monotonic()))[0]:
            yield None
            return
        try:
            piece = report.recv(1 << 16)
        except ConnectionResetError:
            return
        if not piece:
            return
        rest += piece
