"""The warm image: import every daemon once, freeze, then fork on request.

After SEAL it reads nothing but fixed-size records with descriptors from master. Between a fork and the change of user
only `_become` and `close_others` run, nothing of an imported package. It holds no configuration, key or table. It
ends when master is gone or has replaced it: end of file on the control socket.
"""

import ctypes
import gc
import importlib
import os
import signal
import socket
import struct
import sys
import traceback
from typing import Final, NamedTuple, NoReturn

from posthouse.ipc.warm_wire import ANSWER, MAX_REASON, REQUEST, Answer, Ask, Request, Said, close_all, receive_record
from posthouse.util.process import EX_OSERR, become, close_others, enter_domain, name_process

CONTROL_FD: Final = 3
PR_SET_KEEPCAPS: Final = 8  # prctl(2)
PR_CAPBSET_DROP: Final = 24
_CAPABILITY_VERSION: Final = struct.pack("=Ii", 0x20080522, 0)  # capset(2): version 3, this process
CAP_DAC_READ_SEARCH, CAP_SYS_CHROOT = 1 << 2, 1 << 18
_LIBC: Final = ctypes.CDLL(None)
# What the standard library would import later, by itself: codecs by name, asyncio's threads.
LATE_IMPORTS: Final = ("encodings.ascii", "encodings.idna", "encodings.latin_1", "concurrent.futures.thread")


class Names(NamedTuple):
    """The modules of the image, by name: they are warmed up here, and called only in a child."""

    daemons: str = "posthouse.daemons"  # package X is <daemons>.X.daemon
    child: str = "posthouse.skeleton.child"  # has run_child
    runas: str = "posthouse.runas.server"  # has serve_clients
    as_user: str = "posthouse.delivery.as_user"  # has serve


def run(descriptor: int, names: Names) -> NoReturn:
    """Serve master until it goes."""
    enter_domain("warm")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    name_process("warm")
    gc.disable()
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    try:
        _import(control, names)
        gc.collect()
        gc.freeze()
        control.send(ANSWER.pack(Answer(Said.READY)))
        while True:
            _serve_one(control, names)
    except (OSError, ValueError) as error:  # master is gone, or does not speak our records: no use in staying
        sys.stderr.write(f"warm: {error}\n")
    os._exit(0)


def _receive(control: socket.socket) -> tuple[Request, list[int]]:
    """Wait for a request; the process ends when master has closed the socket. Raises ValueError: no such record."""
    record, descriptors = receive_record(control, REQUEST.size + 1)
    if not record:
        os._exit(0)
    return REQUEST.unpack(record), descriptors


def _import(control: socket.socket, names: Names) -> None:
    """Import what every daemon needs at once, then what master names; exit when that fails."""
    module = names.child
    try:
        importlib.import_module(names.child)
        while (request := _receive(control)[0]).ask is Ask.IMPORT:
            module = f"{names.daemons}.{request.package}.daemon"
            importlib.import_module(module).DAEMON.load()
        for module in (*LATE_IMPORTS, names.runas, names.as_user):
            importlib.import_module(module)
    except BaseException as error:  # noqa: BLE001 - whatever a module does when it is imported, master must hear of it
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = traceback.format_exception_only(error)[-1].strip()
        reason = f"cannot import {module}: {what} ({where.filename}:{where.lineno})"
        _answer(control, Answer(Said.FAILED, reason=reason))
        while control.recv(1):  # a socket that is closed with something unread takes the answer with it
            pass
        os._exit(1)


def _serve_one(control: socket.socket, names: Names) -> None:
    """Take one request."""
    request, descriptors = _receive(control)
    try:
        _fork(control, request, descriptors, names)
    except OSError as error:
        _answer(control, Answer(Said.FAILED, request.number, reason=f"fork: {error}"))
    close_all(descriptors)


def _answer(control: socket.socket, answer: Answer) -> None:
    """Send an answer; a reason may be any text."""
    reason = "".join(character if " " <= character <= "~" else "?" for character in answer.reason)
    control.send(ANSWER.pack(answer._replace(reason=reason[: MAX_REASON - 1])))


def _fork(control: socket.socket, request: Request, descriptors: list[int], names: Names) -> None:
    """Fork twice, so that the process is master's child (master is the subreaper), and answers. Raises OSError."""
    between = os.fork()
    if between == 0:
        code = 1
        try:
            if os.fork() == 0:
                _answer(control, Answer(Said.FORKED, request.number, os.getpid()))
                _child(request, descriptors, names)
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(between, 0)[1]:
        raise OSError("the second fork failed")


def _child(request: Request, descriptors: list[int], names: Names) -> NoReturn:
    """Become the daemon. Nothing gets out of here."""
    try:
        close_others(descriptors)
        name_process(request.package or "runas")  # afterwards /proc/self is root's
        if request.become:
            _become(request)
        gc.enable()
        _call(request, descriptors, names)
    finally:
        traceback.print_exc()
        os._exit(70)  # EX_SOFTWARE: what was called does not return, so something was raised


def _call(request: Request, descriptors: list[int], names: Names) -> None:
    """Call the entry point that was imported before."""
    if request.ask is Ask.RUNAS:
        enter_domain("runas")
        sys.modules[names.runas].serve_clients(descriptors[0], sys.modules[names.as_user].serve)
    settings, status, *sockets = descriptors
    runas = sockets.pop(0) if request.runas_socket else -1
    child = sys.modules[names.child]
    handed = child.Handed(status, sockets, request.client_limit, runas, request.chroot, request.root_files)
    child.run_child(f"{names.daemons}.{request.package}.daemon", settings, handed)


def _become(identity: Request) -> None:
    """Change groups and user for good, and make sure that it is. No program run later can bring a capability."""
    capability = 0
    while _LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:  # until there is none of that number
        capability += 1
    kept = CAP_SYS_CHROOT * identity.chroot | CAP_DAC_READ_SEARCH * identity.root_files
    if kept:
        _LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    become(identity.uid, identity.gid, identity.groups)
    if kept and _LIBC.capset(_CAPABILITY_VERSION, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        os._exit(EX_OSERR)
