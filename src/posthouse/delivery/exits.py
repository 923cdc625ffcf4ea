"""What the end of a command means for a recipient (facts B11.10, B11.11; compared with Debian's local(8)).

Output that begins with a status such as "4.2.1" wins; then the exit status of sysexits.h; any other one bounces.
"""

import re
from typing import Final

from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, SENT, RecipientResult

# sysexits.h: RFC 3463 status and meaning.
SYSEXITS: Final = {
    64: ("5.3.0", "command line usage error"),
    65: ("5.6.0", "data format error"),
    66: ("5.3.0", "cannot open input"),
    67: ("5.1.1", "user unknown"),
    68: ("5.1.2", "host name unknown"),
    69: ("5.3.0", "service unavailable"),
    70: ("5.3.0", "internal software error"),
    71: ("4.3.0", "system resource problem"),
    72: ("5.3.0", "critical OS file missing"),
    73: ("5.2.0", "can't create user output file"),
    74: ("5.3.0", "input/output error"),
    75: ("4.3.0", "temporary failure"),
    76: ("5.5.0", "remote error in protocol"),
    77: ("5.7.0", "permission denied"),
    78: ("5.3.5", "local configuration error"),
}
EX_TEMPFAIL: Final = 75
_STATUS: Final = re.compile(r"([45]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+(.*)|$)", re.ASCII | re.DOTALL)


def result_of_command(rcpt: DeliverTo, command: str, status: int, output: bytes, relay: str) -> RecipientResult:
    """Say what became of the recipient. status: exit status, or minus the signal."""
    if status == 0:
        return RecipientResult(
            rcpt.rcpt_id, SENT, "2.0.0", f"delivered to command: {command}", relay, action="delivered"
        )
    said = " ".join(output.decode("utf-8", "replace").split())
    behind = f". Command output: {said}" if said else ""
    own = _STATUS.fullmatch(said) if status > 0 else None
    if status < 0:
        dsn, text = "4.3.0", f'Command died with signal {-status}: "{command}"{behind}'
    elif own is not None:
        dsn, text = own[1], own[2] or said
    elif status in SYSEXITS:
        dsn, meaning = SYSEXITS[status]
        text = meaning + behind
    else:
        dsn, text = "5.3.0", f'Command died with status {status}: "{command}"{behind}'
    return RecipientResult(rcpt.rcpt_id, DEFERRED if dsn.startswith("4") else BOUNCED, dsn, text, relay)
