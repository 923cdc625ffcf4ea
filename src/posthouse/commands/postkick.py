"""postkick(1): send a trigger to a daemon's socket, such as "postkick public qmgr F" to try all deferred mail now.

Requests are letters, and each daemon knows its own: qmgr(8) W, I or A (look for mail), F or D (also what was deferred);
pickup(8) any. Nothing is answered. Exit status: 0, or 1 when nobody listens there. Source: postkick(1).
"""

import getopt
import os
import socket
import sys
from typing import Final

from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.util.errors import ConfigError

USAGE: Final = "usage: postkick [-c config_dir] [-v] class service request"
TIMEOUT_S: Final = 10.0
WORDS: Final = 3
FAILED: Final = 1


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, words = getopt.getopt((sys.argv if argv is None else argv)[1:], "c:v")
    except getopt.GetoptError as error:
        return _fatal(f"{error.msg}\n{USAGE}")
    if len(words) != WORDS:
        return _fatal(USAGE)
    kind, service, request = words
    try:
        queue = load_settings(config_directory(dict(options).get("-c")), "postkick")[QUEUE_DIRECTORY]
    except ConfigError as error:
        return _fatal(str(error))
    try:
        _send(os.path.join(queue, kind, service), os.fsencode(request))
    except OSError as error:
        sys.stderr.write(
            f"postkick: warning: connect to {kind}/{service}: {error.strerror or error}\n"
            f"postkick: warning: Cannot contact class {kind} service {service} - perhaps the mail system is down\n"
        )
        return FAILED
    return 0


def _send(path: str, request: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect(path)
        sock.sendall(request)


def _fatal(text: str) -> int:
    sys.stderr.write(f"postkick: fatal: {text}\n")
    return FAILED
