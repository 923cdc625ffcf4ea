"""What warm calls in place of skeleton.child when a daemon is proved: the same, with a start that attacks.

The daemon goes its whole way: warm's fork and change of user, run_child, the rules, the event loop, its own start. Then
the attempts are made in its process. A line of JSON before each and after each goes to the prover, so that it knows
which one a process died of; when all are made the process waits to be looked at.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Final, NoReturn

from posthouse.commands.confine.allowed import try_allowed
from posthouse.commands.confine.attempt import Outcome, Scene, make
from posthouse.commands.confine.attempts import all_attempts
from posthouse.skeleton import child
from posthouse.skeleton.confined import Handed
from posthouse.skeleton.daemon import Context, Service

SCENES: Final[dict[int, Scene]] = {}  # by the number of the request; the prover fills it before warm begins
_ATTEMPTS: Final = all_attempts()


def run_child(module: str, settings_fd: int, handed: Handed) -> NoReturn:
    """Do what skeleton.child.run_child does. The last of the sockets leads to the prover, who first names the scene."""
    report = socket.socket(fileno=handed.listen_fds.pop())
    scene = SCENES[int.from_bytes(report.recv(4))]
    daemon = sys.modules[module].DAEMON
    attacking = replace(daemon, start=partial(_start, daemon.start, report, scene))
    setattr(sys.modules[module], "DAEMON", attacking)  # noqa: B010 - for the type checker a module has no such name
    child.run_child(module, settings_fd, handed)


def _start(start: Callable[[Context], Service], report: socket.socket, scene: Scene, context: Context) -> Service:
    """Start the daemon's service, and attack as soon as the event loop runs: then the last right is given up."""
    service = start(context)
    scene.listener = next((sock for sock in context.listeners if sock.family == socket.AF_INET), None)
    context.loop.call_soon(_attack, report, scene)
    return service


def _attack(report: socket.socket, scene: Scene) -> None:
    for outcome in _outcomes(report, scene):
        _say(report, asdict(outcome) | {"answer": outcome.answer.name})
    _say(report, {"done": True})
    with contextlib.suppress(OSError):
        report.recv(1)
    os._exit(0)


def _outcomes(report: socket.socket, scene: Scene) -> Iterator[Outcome]:
    _say(report, {"begin": "what is allowed"})
    yield from try_allowed(scene)
    for attempt in _ATTEMPTS:
        _say(report, {"begin": attempt.name})
        yield make(attempt, scene)


def _say(report: socket.socket, what: dict[str, object]) -> None:
    report.sendall(json.dumps(what).encode() + b"\n")
