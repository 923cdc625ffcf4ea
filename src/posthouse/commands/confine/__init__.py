"""posthouse confine: show the rules of each daemon, prove them on this kernel, explain what the kernel refused.

The proof trusts no declaration: in a scratch system it starts each daemon on the way that master and warm start it,
and from inside does what is forbidden. attempt.py says what an attempt is, attempts_*.py are the attempts.
"""

import os
import sys
from importlib import import_module
from typing import Final

USAGE: Final = """\
usage: posthouse confine COMMAND

  show [-c DIR] [--json] [DAEMON]        the rules in force
  prove [-c DIR] [--json] [DAEMON ...]   start each daemon in a scratch system, and try what is forbidden
  explain [-c DIR] [--json] [MESSAGE | -]
                                         what a denial in the log means, and which declaration would allow it
"""
COMMANDS: Final = frozenset({"show", "prove", "explain"})


def main(words: list[str]) -> int:
    """Run one of them; returns the exit status."""
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 64
    if words[0] not in COMMANDS:
        sys.stderr.write(f"posthouse confine: no such command: {words[0]}\n{USAGE}")
        return 64
    try:
        status = int(import_module(f"posthouse.commands.confine.{words[0]}").main(words[1:]))
        sys.stdout.flush()
    except BrokenPipeError:  # head(1) has seen enough; and there must be no second complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
