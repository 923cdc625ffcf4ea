"""posthouse explain: why. Where an address goes, what a client would hear, where a parameter's value comes from.

The answers come from the daemons' own code, run in this process on the configuration as it is; nothing is sent or
stored, and no daemon need run. explainer.py is where later work joins; docs/explain.md has the JSON.
"""

import os
import sys
from importlib import import_module
from typing import Final

USAGE: Final = """\
usage: posthouse explain COMMAND

  address RECIPIENT [--sender SENDER] [--dns]
                       how it is rewritten, its class, transport and next hop, and how it would be delivered
  delivery QUEUE_ID [--dns]
                       why a message is still in the queue, when it is tried again, where it would go now
  parameter NAME       the value in force, where it is set, what it may be, who reads it, who overrides it
  session --client IP --helo NAME --from SENDER --to RECIPIENT [--to ...]
          [--name NAME] [--reverse-name NAME] [--size N] [--sasl USER] [--service NAME] [--dns]
                       what a client would hear, and which restriction, table and key decided

  common options: -c DIR, --json
"""
COMMANDS: Final = frozenset({"address", "delivery", "parameter", "session"})


def main(words: list[str]) -> int:
    """Run one of them; returns the exit status."""
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 64
    if words[0] not in COMMANDS:
        sys.stderr.write(f"posthouse explain: no such command: {words[0]}\n{USAGE}")
        return 64
    try:
        status = int(import_module("posthouse.commands.explain.command").main(words[0], words[1:], USAGE))
        sys.stdout.flush()
    except BrokenPipeError:  # head(1) has seen enough; and there must be no second complaint at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
