"""The named points at which processes are killed: what a daemon does there, seen as a system call (support/kill_at.py).

Each point is taken twice: just before the call (which then is not made) and just after it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.support.all_ways import USER

# What goes on when a point is to be reached. LOAD: everything; RETRY: deferred mail goes out, nothing comes in, so that
# qmgr stores results only; PAUSE: a few messages, then nothing; DROPPED: files in maildrop; LISTING: postqueue -p;
# FORK: smtpd and virtual have just died, and must be made anew.
Traffic = Enum("Traffic", "LOAD RETRY PAUSE DROPPED LISTING FORK")
_SOCKET: Final = "^socket"
_SEND: Final = ("sendto", "sendmsg")
_FORK: Final = ("clone", "clone3", "fork")


@dataclass(frozen=True, slots=True)
class Point:
    """victim: the process's name; about: see kill_at; up_to: it is passed a random number of times before."""

    name: str
    victim: str
    calls: tuple[str, ...]
    about: str
    up_to: int = 1
    traffic: Traffic = Traffic.LOAD


POINTS: Final = (
    Point("smtpd hands content to cleanup", "smtpd", _SEND, _SOCKET, 30),
    Point("smtpd answers 250 to a message", "smtpd", _SEND, r"250 2\.0\.0 Ok", 5),
    Point("cleanup writes large content", "cleanup", ("write",), r"/posthouse/spool/", 5),
    Point("cleanup syncs large content", "cleanup", ("fdatasync",), r"/posthouse/spool/", 2),
    Point("cleanup speaks to qmgr or its client", "cleanup", _SEND, _SOCKET, 20),
    Point("qmgr syncs a spool file", "qmgr", ("fsync",), r"/posthouse/spool/#", 2),
    Point("qmgr names a spool file", "qmgr", ("linkat", "link"), r"/posthouse/spool", 2),
    Point("qmgr syncs the spool directory", "qmgr", ("fsync",), r"/posthouse/spool$", 2),
    Point("qmgr writes its log", "qmgr", ("pwrite64", "write"), r"\.sqlite-wal", 30),
    Point("qmgr syncs its log", "qmgr", ("fdatasync", "fsync"), r"\.sqlite-wal", 8),
    Point("qmgr writes results", "qmgr", ("pwrite64", "write"), r"\.sqlite-wal", 6, Traffic.RETRY),
    Point("qmgr syncs results", "qmgr", ("fdatasync", "fsync"), r"\.sqlite-wal", 2, Traffic.RETRY),
    Point("qmgr copies its log into the store", "qmgr", ("pwrite64", "write"), r"\.sqlite ", 3, Traffic.PAUSE),
    Point("qmgr syncs the store", "qmgr", ("fdatasync", "fsync"), r"\.sqlite$", 1, Traffic.PAUSE),
    Point("qmgr unlinks a spool file", "qmgr", ("unlinkat", "unlink"), r"/posthouse/spool/[0-9a-f]{24}$", 2),
    Point("qmgr speaks to an agent or cleanup", "qmgr", _SEND, _SOCKET, 40),
    Point("smtp sends DATA", "smtp", _SEND, r"DATA\r\n", 3),
    Point("smtp sends the final dot", "smtp", _SEND, r"\r\n\.\r\n$", 3),
    Point("smtp reads 250 to a message", "smtp", ("recvfrom",), r"^250 taken", 3),
    Point("smtp tells qmgr, or its host, something", "smtp", _SEND, _SOCKET, 20),
    Point("recipient's process opens a file in tmp/", "runas", ("openat", "open"), r"/tmp/[^/]+\.mail\.", 3),
    Point("recipient's process writes a file in tmp/", "runas", ("writev", "write"), r"/tmp/[^/]+\.mail\.", 3),
    Point("recipient's process brings it to disk", "runas", ("sync_file_range", "fsync"), r"/tmp/[^/]+\.mail\.", 3),
    Point("recipient's process moves it to new/", "runas", ("rename", "renameat"), r"/new/", 3),
    Point("recipient's process syncs new/", "runas", ("fsync",), r"/new$", 2),
    Point("recipient's process opens an mbox file", "runas", ("openat", "open"), rf"/(carol|file|{USER})$", 2),
    Point("recipient's process writes to it", "runas", ("write",), rf"/(carol|file|{USER}) From ", 2),
    Point("recipient's process syncs it", "runas", ("fsync",), rf"/(carol|file|{USER})$", 2),
    Point("recipient's process takes its lock away", "runas", ("unlink", "unlinkat"), r"\.lock$", 2),
    Point("recipient's process answers", "runas", _SEND, _SOCKET, 5),
    Point("virtual speaks", "virtual", _SEND, _SOCKET, 20),
    Point("local speaks", "local", _SEND, _SOCKET, 20),
    Point("bounce speaks", "bounce", _SEND, _SOCKET, 6),
    Point(
        "pickup opens a file in maildrop", "pickup", ("openat", "open"), r"maildrop/[0-9a-f]{32}", 2, Traffic.DROPPED
    ),
    Point("pickup unlinks a file in maildrop", "pickup", ("unlink", "unlinkat"), r"maildrop/", 2, Traffic.DROPPED),
    Point("pickup answers sendmail", "pickup", _SEND, r"250 2\.0\.0", 2),
    Point("showq speaks", "showq", _SEND, _SOCKET, 2, Traffic.LISTING),
    Point("postlogd writes the log", "postlogd", ("write", "writev"), "", 50),
    Point("warm forks a daemon", "warm", _FORK, "", 1, Traffic.FORK),
    Point("runas forks a recipient's process", "runas", _FORK, "", 1, Traffic.FORK),
    Point("master asks for a daemon", "master", _SEND, _SOCKET, 2, Traffic.FORK),
)
SHORT: Final = ("qmgr syncs its log", "recipient's process moves it to new/")
