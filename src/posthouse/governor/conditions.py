"""The conditions that are watched, and the values at which each becomes busy, strained and critical: data.

A condition of which there may be several (a mailbox file system each) has a key "condition:place".
"""

from typing import Final

from posthouse.governor.level import Thresholds

QUEUE_SPACE: Final = "queue_space"  # bytes free where the queue is
QUEUE_INODES: Final = "queue_inodes"  # files that can still be made there
MAILBOX_SPACE: Final = "mailbox_space"
MAILBOX_INODES: Final = "mailbox_inodes"
MEMORY: Final = "memory"  # bytes that can still be had
MEMORY_PRESSURE: Final = "memory_pressure"  # percent of the time in which everybody waits for memory
IO_PRESSURE: Final = "io_pressure"
DESCRIPTORS: Final = "descriptors"  # share in use, of the fullest process or of the system
PROCESSES: Final = "processes"  # share of the processes that may be there
LOOP_DELAY: Final = "loop_delay"  # seconds by which a daemon's event loop is late
QUEUE_AGE: Final = "queue_age"  # seconds that the oldest message has been in the active queue
SERVICES: Final = "services"  # seconds for which a daemon has failed to start, or has said nothing
CERTIFICATE: Final = "certificate"  # seconds until a certificate of ours expires

WORDS: Final = {
    QUEUE_SPACE: "queue disk",
    QUEUE_INODES: "files on the queue disk",
    MAILBOX_SPACE: "mailbox disk",
    MAILBOX_INODES: "files on the mailbox disk",
    MEMORY: "memory",
    MEMORY_PRESSURE: "memory pressure",
    IO_PRESSURE: "disk pressure",
    DESCRIPTORS: "file descriptors",
    PROCESSES: "processes",
    LOOP_DELAY: "event loop delay",
    QUEUE_AGE: "time in the active queue",
    SERVICES: "daemons",
    CERTIFICATE: "certificate",
}

MULTIPLE: Final = 1.5  # Postfix wants room for this many messages of message_size_limit
LARGE_DISK_SHARE: Final = 0.02
LARGE_DISK_MOST: Final = 1 << 30  # bytes; 2 % of a large disk is no cause for concern
INODE_SHARE: Final = 32  # one in so many is kept, within these bounds
INODES_LEAST: Final = 4
INODES_MOST: Final = 256
# Of memory: shares of the limit, and bytes where shares of a large memory mean nothing.
MEMORY_LEFT: Final = ((0.30, 512 << 20), (0.20, 256 << 20), (0.12, 128 << 20))
DAY_S: Final = 86400.0

FIXED: Final = {
    MEMORY_PRESSURE: Thresholds(5.0, 20.0, 50.0, onset_s=1.0),  # full avg10
    IO_PRESSURE: Thresholds(60.0, 90.0, onset_s=30.0),  # full avg60: syncing mail alone makes a disk look busy
    DESCRIPTORS: Thresholds(0.70, 0.85, 0.95),
    PROCESSES: Thresholds(0.70, 0.85, 0.95),
    LOOP_DELAY: Thresholds(0.25, 1.0, onset_s=3.0),
    QUEUE_AGE: Thresholds(3600.0, 4 * 3600.0, onset_s=5.0),
    SERVICES: Thresholds(1.0, 30.0),
    CERTIFICATE: Thresholds(14 * DAY_S, 3 * DAY_S, 0.0, less_is_worse=True),
}


def refusal_space(message_size_limit: int, queue_minfree: int) -> int:
    """Free bytes at and below which Postfix takes no mail (postconf(5) queue_minfree); 0: it always does."""
    return max(queue_minfree, int(MULTIPLE * message_size_limit))


def space(size: int, refusal: int) -> Thresholds:
    """For free bytes of a file system of `size` bytes where mail is refused at `refusal`."""
    early = min(LARGE_DISK_SHARE * size, LARGE_DISK_MOST)
    return Thresholds(max(4 * refusal, early), 2 * refusal, refusal, less_is_worse=True)


def inodes_kept(files: int) -> int:
    """Give the number of free files at and below which no mail is taken."""
    return min(max(files // INODE_SHARE, INODES_LEAST), INODES_MOST)


def inodes(files: int) -> Thresholds:
    """For free files of a file system that can have `files`."""
    kept = inodes_kept(files)
    return Thresholds(4 * kept, 2 * kept, kept, less_is_worse=True)


def memory(limit: int) -> Thresholds:
    """For the bytes of memory that can still be had, of `limit`."""
    busy, strained, critical = (min(share * limit, most) for share, most in MEMORY_LEFT)
    return Thresholds(busy, strained, critical, less_is_worse=True)


def reserve_size(wanted: int, disk_size: int) -> int:
    """Give the bytes that the reserve file takes: as configured, and no more than a sixteenth of the disk."""
    return min(wanted, disk_size // 16)


def reserve_inodes(files: int) -> int:
    """Give the number of files in the reserve; 0 where files are not counted."""
    return min(max(files // 64, 2), 16) if files else 0


def kind_of(key: str) -> tuple[str, str]:
    """Part "condition:place"."""
    condition, _, place = key.partition(":")
    return condition, place


def title(key: str) -> str:
    """Name a condition for people."""
    condition, place = kind_of(key)
    return f"{WORDS[condition]} ({place})" if place else WORDS[condition]
