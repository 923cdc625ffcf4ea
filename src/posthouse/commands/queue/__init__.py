"""posthouse queue: verify the queue's store, repair it, copy it while mail flows, put a copy back.

Mail itself is looked at and changed with postqueue(1), postsuper(1) and postcat(1). What is on disk, and what each of
these commands does to it, is told in docs/queue.md.
"""

import os
import sys
from importlib import import_module
from typing import Final

USAGE: Final = """\
usage: posthouse queue COMMAND

  verify [-c DIR] [--json]             is everything in the queue as it should be? running or not; changes nothing
  repair [-c DIR] [--json] [--dry-run] put right what verify finds; the mail system must be stopped
  backup [-c DIR] [--json] DIRECTORY   copy the queue to a new directory, running or not
  restore [-c DIR] [--json] DIRECTORY  put a backup into an empty queue; the mail system must be stopped
"""
COMMANDS: Final = frozenset({"backup", "repair", "restore", "verify"})


def main(words: list[str]) -> int:
    """Run one of them; returns the exit status."""
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 64
    if words[0] not in COMMANDS:
        sys.stderr.write(f"posthouse queue: no such command: {words[0]}\n{USAGE}")
        return 64
    try:
        status = int(import_module(f"posthouse.commands.queue.{words[0]}").main(words[1:]))
        sys.stdout.flush()
    except BrokenPipeError:  # head(1) has seen enough; and there must be no second complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
