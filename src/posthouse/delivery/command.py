"""Running a command as the user: content on its standard input, output kept for the log, killed when it takes too long.

A shell is used only where the command has characters that need one, as in Postfix; what comes from mail reaches the
command through the environment alone, filtered by the agent.
"""

import os
import signal
import subprocess  # what this module is for; the words come from the administrator or the user himself
from typing import Final

from posthouse.delivery.ending import Ending
from posthouse.ipc.as_user import TRY_LATER, RunCommand

MAX_OUTPUT: Final = 1024  # bytes kept for log and notice
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
    ) as process:
        try:
            output, _ = process.communicate(job.head + content, timeout=job.time_limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            # No further word from the pipe: somebody who left the session may hold it open for as long as he likes.
            raise Ending(TRY_LATER, f'Command time limit exceeded: "{job.command}"') from None
    return process.returncode, output[:MAX_OUTPUT]
