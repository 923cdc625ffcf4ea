"""The child that became a recipient: reads jobs from its socket, works as that user, answers. Blocking on purpose.

runas(8) calls `serve` after the change of user; where there is no root the agent runs it in a thread, as itself. Jobs
that have come together are done together: all Maildir files are written, then made durable with as few syncs as the
file system allows (durable.py), and only then answered. A file and its name are on disk before a delivery counts
(Postfix omits the second sync).
"""

import contextlib
import os
import socket
import struct
import threading
from typing import Final

from posthouse.delivery import command, maildir, mbox, user_files
from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import (
    CHILD,
    NAME,
    OK,
    REFUSED,
    VERSION,
    Finished,
    ReadFile,
    RunCommand,
    ToChild,
    WriteMailbox,
    WriteMaildir,
)
from posthouse.ipc.record import Hello
from posthouse.ipc.runas_wire import JobKind
from posthouse.ipc.stream import MAX_FRAME, encode_frame
from posthouse.util.process import enter_domain

READ_SIZE: Final = 256 * 1024
MAX_DESCRIPTORS: Final = 16
MAX_DRAFTS: Final = 100  # files open at a time: many small jobs fit into one read
_LENGTH: Final = struct.Struct(">I")


def serve(descriptor: int, kind: int) -> None:
    """Work until the agent closes the socket. kind: what was asked of runas, and so all that is done (JobKind)."""
    if threading.current_thread() is threading.main_thread():  # a process of its own, and no thread of a daemon
        enter_domain("command" if JobKind.COMMAND in JobKind(kind) else "mailbox")
        os.umask(0o077)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # as every daemon (skeleton/child.py)
    with socket.socket(fileno=descriptor) as sock:
        sock.setblocking(True)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the agent went away: nobody to answer
            sock.sendall(encode_frame(Hello(NAME, VERSION)))
            Jobs(sock, JobKind(kind)).run()


class Jobs:
    """The stream of jobs of one agent."""

    def __init__(self, sock: socket.socket, kind: JobKind) -> None:
        self._socket = sock
        self._kind = kind
        self._buffer = b""
        self._descriptors: list[int] = []
        self._greeted = False

    def run(self) -> None:
        """Until end of file."""
        while True:
            data, descriptors, _flags, _address = socket.recv_fds(self._socket, READ_SIZE, MAX_DESCRIPTORS)
            if not data:
                return
            self._buffer += data
            self._descriptors += descriptors
            answers = self._work(self._take_jobs())
            if answers:
                self._socket.sendall(b"".join(map(encode_frame, answers)))

    def _take_jobs(self) -> list[tuple[ToChild, int]]:
        jobs: list[tuple[ToChild, int]] = []
        received, done = self._buffer, 0
        while len(received) - done >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, done)
            assert length <= MAX_FRAME, "the agent sent a frame beyond the limit"
            start, end = done + _LENGTH.size, done + _LENGTH.size + length
            if len(received) < end:
                break
            done = end
            if not self._greeted:
                self._greeted = True
                continue
            job = CHILD.decode(received[start:end])
            wants = not isinstance(job, ReadFile) and job.with_descriptor
            jobs.append((job, self._descriptors.pop(0) if wants else -1))
        self._buffer = received[done:]
        return jobs

    def _work(self, jobs: list[tuple[ToChild, int]]) -> list[Finished]:
        answers: list[Finished] = []
        drafts: list[tuple[int, maildir.Draft]] = []
        for job, descriptor in jobs:
            answer = _attempt(job, self._kind, _content_of(job, descriptor))
            if isinstance(answer, maildir.Draft):
                drafts.append((job.id, answer))
                if len(drafts) == MAX_DRAFTS:
                    answers += _deliver(drafts)
                    drafts = []
            else:
                answers.append(answer)
        return answers + _deliver(drafts)


def _content_of(job: ToChild, descriptor: int) -> bytes:
    """Content that came with the record, in memory or as a descriptor, which is closed."""
    if isinstance(job, ReadFile):
        return b""
    if descriptor < 0:
        return job.content
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def _attempt(job: ToChild, kind: JobKind, content: bytes) -> Finished | maildir.Draft:
    """Do one job, or the part of it that is not done for many together; what the file system says is an ending."""
    try:
        return _do(job, kind, content)
    except Ending as ending:
        return Finished(job.id, ending.kind, ending.text, b"", 0)
    except OSError as error:
        why = Ending.of(error)
        return Finished(job.id, why.kind, why.text, b"", 0)


def _do(job: ToChild, kind: JobKind, content: bytes) -> Finished | maildir.Draft:
    if "\0" in _target(job):  # a name that no system call takes
        raise Ending(REFUSED, "a NUL character in the name of a file or command")
    if (JobKind.COMMAND if isinstance(job, RunCommand) else JobKind.MAILBOX) not in kind:
        raise Ending(REFUSED, "not what this process was started for")
    if isinstance(job, WriteMaildir):
        return maildir.write(job.directory, job.host, job.head, content)
    if isinstance(job, WriteMailbox):
        mbox.append(job, content)
        return Finished(job.id, OK, "delivered to mailbox", b"", 0)
    if isinstance(job, ReadFile):
        return Finished(job.id, OK, "", user_files.read(job.path, job.size_limit), 0)
    status, output = command.run(job, content)
    return Finished(job.id, OK, "", output, status)


def _target(job: ToChild) -> str:
    if isinstance(job, WriteMaildir):
        return job.directory
    return job.command if isinstance(job, RunCommand) else job.path


def _deliver(drafts: list[tuple[int, maildir.Draft]]) -> list[Finished]:
    """Make all drafts durable together; what cannot be made durable is not delivered."""
    if not drafts:
        return []
    answers = []
    for (number, _), error in zip(drafts, maildir.deliver([draft for _, draft in drafts]), strict=True):
        ending = Ending(OK, "delivered to maildir") if error is None else Ending.of(error)
        answers.append(Finished(number, ending.kind, ending.text, b"", 0))
    return answers
