"""Running a command as the user: content on its standard input, output kept for the log, killed when it takes too long.

A shell is used only where the command has characters that need one, as in Postfix; what comes from mail reaches the
command through the environment alone, filtered by the agent.
"""

import os
import selectors
import signal
import subprocess  # what this module is for; the words come from the administrator or the user himself
import time
from contextlib import suppress
from typing import IO, Final

from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import TRY_LATER, RunCommand

MAX_OUTPUT: Final = 1024  # bytes kept for log and notice; a command may write for ever, and memory is everybody's
PIPE_SIZE: Final = 64 * 1024  # bytes written or read at a time
SHELL_CHARACTERS: Final = frozenset("!$&*()[]{}\\|'\"`;<>?~\n=#^%")
PATH: Final = "/usr/bin:/bin"
CANNOT_RUN: Final = 75  # EX_TEMPFAIL: somebody must mend the alias, and the mail waits for that


def run(job: RunCommand, content: bytes) -> tuple[int, bytes]:
    """Run it; returns exit status (or minus the signal) and the start of its output. Raises Ending, OSError."""
    needs_shell = any(character in SHELL_CHARACTERS for character in job.command)
    words = ["/bin/sh", "-c", job.command] if needs_shell else job.command.split()
    if not words:
        return CANNOT_RUN, b"no command"
    try:
        return _run(words, job, content)
    except (FileNotFoundError, PermissionError) as error:
        if error.filename != words[0]:  # the directory, then, which may come back
            raise
        if isinstance(error, FileNotFoundError) and "/" not in words[0]:  # perhaps a word of the shell
            return _run(["/bin/sh", "-c", job.command], job, content)
        return CANNOT_RUN, f"{words[0]}: {error.strerror}".encode("utf-8", "surrogateescape")


def _run(words: list[str], job: RunCommand, content: bytes) -> tuple[int, bytes]:
    with subprocess.Popen(  # noqa: S603 - see the import
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=job.directory or "/",
        env={**job.environment, "PATH": PATH},
        start_new_session=True,
        close_fds=True,
        bufsize=0,
    ) as process:
        try:
            output = _converse(process, job.head + content, job.time_limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            # No further word from the pipe: somebody who left the session may hold it open for as long as he likes.
            raise Ending(TRY_LATER, f'Command time limit exceeded: "{job.command}"') from None
    return process.returncode, output


def _converse(process: subprocess.Popen[bytes], message: bytes, limit_s: float) -> bytes:
    """Write the message and read until the end; the start of what was read. Raises subprocess.TimeoutExpired."""
    assert process.stdin is not None, "opened as a pipe"
    assert process.stdout is not None, "opened as a pipe"
    deadline = time.monotonic() + limit_s
    output, unsent = b"", memoryview(message)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.get_map():
            if (left := deadline - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(process.args, limit_s)
            for key, _ in selector.select(left):
                if key.fileobj is process.stdin:
                    unsent = unsent[_write(process.stdin, unsent) :]
                    is_open = bool(unsent)
                else:
                    piece = os.read(process.stdout.fileno(), PIPE_SIZE)
                    output = (output + piece)[:MAX_OUTPUT]
                    is_open = bool(piece)
                if not is_open:
                    selector.unregister(key.fileobj)
                    with suppress(BrokenPipeError):
                        process.stdin.close() if key.fileobj is process.stdin else process.stdout.close()
    process.wait(max(0.0, deadline - time.monotonic()))
    return output


def _write(pipe: IO[bytes], data: memoryview) -> int:
    """Write what the pipe takes; a command that does not read has all it wants."""
    try:
        return os.write(pipe.fileno(), data[:PIPE_SIZE])
    except BrokenPipeError:
        return len(data)
