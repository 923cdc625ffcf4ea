"""What a daemon process and master(8) tell each other: fixed records on one SOCK_SEQPACKET pair per process.

The process says how busy it is; master says when to go. The socket itself tells who speaks (each process has its own,
made before the fork), so a record carries neither process number nor generation that could be forged. End of file
on the process's end means that master is gone: it finishes its sessions and exits. Both ends are here.
"""

from enum import IntEnum
from typing import Annotated, Final, NamedTuple

from posthouse.ipc.fixed import Layout, Number

# How a process stands. READY: set up and accepting, sent once, before the first accept. BUSY: uses nearly a CPU,
# still accepting, another process would help. IDLE: has time again. RETIRING: accepts no more and exits when
# its sessions end. FULL: no room for one more, accepts again later.
State = IntEnum("State", "READY BUSY IDLE RETIRING FULL")

# master to process, one byte a record
RETIRE: Final = b"R"  # accept nothing more, finish the sessions in their own time, exit 0
STOP: Final = b"S"  # accept nothing more, finish only what is in progress (seconds), exit 0
STRESS_ON: Final = b"+"  # new sessions use the settings with stress=yes
STRESS_OFF: Final = b"-"


class Status(NamedTuple):
    """One report of a process."""

    state: Annotated[State, "B", State]
    clients: Number  # sessions it serves now


STATUS: Final = Layout(Status, b"PSt1")
