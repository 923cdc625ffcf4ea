"""postlock(1): run a command while a mailbox file is locked the way local(8) locks it.

Exit status: the command's; 75 when the file cannot be locked. Source: postlock(1).
"""

import contextlib
import getopt
import os
import subprocess
import sys
from typing import Final

from posthouse.commands.queue_client import EX_TEMPFAIL
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters_lock import lock_patience
from posthouse.daemons.local.parameters import MAILBOX_DELIVERY_LOCK
from posthouse.delivery.ending import Ending
from posthouse.delivery.mailbox_lock import STYLES, Patience, hold_dotlock, lock_descriptor
from posthouse.util.errors import ConfigError

USAGE: Final = "usage: postlock [-c config_dir] [-l lock_style] [-v] folder command..."
ENDED_BADLY: Final = 1  # a signal ended the command, or there is no such program: as Postfix has it


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, words = getopt.getopt((sys.argv if argv is None else argv)[1:], "c:l:v")
    except getopt.GetoptError as error:
        return _fatal(f"{error.msg}\n{USAGE}")
    if len(words) < 2:
        return _fatal(USAGE)
    given = dict(options)
    try:
        settings = load_settings(config_directory(given.get("-c")), "postlock")
        styles = given.get("-l", "").replace(",", " ").split() or list(settings[MAILBOX_DELIVERY_LOCK])
        patience = Patience(*lock_patience(settings))
    except ConfigError as error:
        return _fatal(str(error))
    if unknown := [style for style in styles if style not in STYLES]:
        return _fatal(f'unknown mailbox_delivery_lock value "{unknown[0]}" in "{" ".join(styles)}"')
    return _run_locked(words[0], words[1:], styles, patience)


def _run_locked(path: str, command: list[str], styles: list[str], patience: Patience) -> int:
    with contextlib.ExitStack() as locks:
        try:
            if "dotlock" in styles:
                locks.enter_context(hold_dotlock(path, patience))
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            locks.callback(os.close, descriptor)
            lock_descriptor(descriptor, styles, patience)
        except OSError as error:
            return _fatal(f"open file {path}: {error.filename or path}: {error.strerror}")
        except Ending as error:
            return _fatal(f"open file {path}: {error.text}")
        try:
            status = subprocess.run(command, check=False).returncode  # noqa: S603 - what it is for
        except OSError as error:
            _fatal(f"execvp {command[0]}: {error.strerror}")
            return ENDED_BADLY
    return status if status >= 0 else ENDED_BADLY


def _fatal(text: str) -> int:
    sys.stderr.write(f"postlock: fatal: {text}\n")
    return EX_TEMPFAIL
