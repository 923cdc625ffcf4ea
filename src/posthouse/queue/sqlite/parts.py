"""Messages that are not whole: what is missing of them, and where what is left goes.

A message that lost content or recipients goes to the corrupt queue: never tried, kept for the operator. Recipients and
content whose message is gone become files in `corrupt/`. Each has one line for the log, with what can be done.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, cast

import apsw

from posthouse.queue.directory import DIRECTORY_MODE, FILE_MODE, StoreDirectory, move
from posthouse.queue.spool import is_spool_name
from posthouse.queue.sqlite.schema import RECIPIENT_BITS, RECIPIENT_SPAN, S_CORRUPT, S_HOLD
from posthouse.queue.values import UNTOLD
from posthouse.util.files import sync_directory

SHOWN: Final = 5  # addresses in a log line

_OF: Final = f"r.key BETWEEN m.key * {RECIPIENT_SPAN} AND m.key * {RECIPIENT_SPAN} + {RECIPIENT_SPAN - 1}"
_COUNT: Final = f"(SELECT count(*) FROM recipient AS r WHERE {_OF})"
_LIVE: Final = f"m.state != {S_CORRUPT}"
_NO_CONTENT: Final = (
    f"SELECT key, queue_id, sender FROM message AS m WHERE {_LIVE} AND spool IS NULL "
    "AND key NOT IN (SELECT key FROM content)"
)
_WRONG_LENGTH: Final = (
    "SELECT m.key, queue_id, sender, length(data), size FROM message AS m JOIN content AS c ON c.key = m.key "
    f"WHERE {_LIVE} AND spool IS NULL AND length(data) != size"
)
_FEWER: Final = (
    f"SELECT key, queue_id, sender, recipient_count, {_COUNT} FROM message AS m "
    f"WHERE {_LIVE} AND recipient_count != {_COUNT}"
)
_STRANGE: Final = (
    "SELECT key, queue_id FROM message WHERE key IN "
    f"(SELECT key >> {RECIPIENT_BITS} FROM recipient WHERE state NOT BETWEEN 0 AND {UNTOLD} OR attempts < 0)"
)
_SPOOLED: Final = (
    "SELECT key, queue_id, state, sender, spool, size FROM message INDEXED BY message_spool "
    "WHERE spool > ? ORDER BY spool LIMIT ?"
)
_NO_MESSAGE: Final = "NOT IN (SELECT key FROM message)"
_LONE: Final = (
    f"SELECT key FROM content WHERE key {_NO_MESSAGE} UNION "
    f"SELECT DISTINCT key >> {RECIPIENT_BITS} FROM recipient WHERE key >> {RECIPIENT_BITS} {_NO_MESSAGE}"
)


class Lost(NamedTuple):
    """A message that is not whole. queue_id: empty when it is not known."""

    queue_id: str
    text: str  # what is missing, where the rest is, what to do

    def __str__(self) -> str:
        """One line for the log."""
        return f"{self.queue_id or 'a message'}: {self.text}"


def spool_problem(path: str, size: int) -> str:
    """Say what is wrong with a spool file that should have so many octets; empty: nothing."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "is not there"
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    return "" if found.st_size == size else f"has {found.st_size} octets and should have {size}"


def damaged_spool(
    connection: apsw.Connection, spool_path: str, after: str = "", limit: int = -1
) -> tuple[list[tuple[int, Lost]], str | None]:
    """Look at the next spool files by name; those that are missing or not as long as they should be, by message key.

    Returns the name to go on after as well; None: that was all.
    """
    found: list[tuple[int, Lost]] = []
    rows = connection.execute(_SPOOLED, (after, limit)).fetchall()
    for key, queue_id, state, sender, name, size in cast("list[tuple[int, str, int, str, str, int]]", rows):
        problem = spool_problem(os.path.join(spool_path, name), size)
        if problem and state != S_CORRUPT:
            found.append((key, _without_content(queue_id, sender, f"its content, spool file {name}, {problem}")))
    return found, cast("str", rows[-1][4]) if len(rows) == limit else None


def _without_content(queue_id: str, sender: str, what: str) -> Lost:
    who = f"ask <{_shown(sender)}> to send it again" if sender else "it is a notice"
    return Lost(queue_id, f"{what}; it is in the corrupt queue (postcat -q {queue_id}); {who}, then postsuper -d it")


def set_aside(connection: apsw.Connection, directory: StoreDirectory, old: int, doubtful: Iterable[int]) -> list[Lost]:
    """Put messages that are not whole into the corrupt queue, and lone rows into files. Raises OSError, apsw.Error."""
    found = dict(damaged_spool(connection, directory.spool_path)[0])
    for key, queue_id, sender in cast("list[tuple[int, str, str]]", connection.execute(_NO_CONTENT).fetchall()):
        found[key] = _without_content(queue_id, sender, "its content is lost")
    rows = connection.execute(_WRONG_LENGTH).fetchall()
    for key, queue_id, sender, length, size in cast("list[tuple[int, str, str, int, int]]", rows):
        found[key] = _without_content(queue_id, sender, f"its content has {length} octets and should have {size}")
    rows = connection.execute(_FEWER).fetchall()
    for key, queue_id, sender, count, left in cast("list[tuple[int, str, str, int, int]]", rows):
        found[key] = Lost(
            queue_id,
            f"{count - left} of {count} recipients are lost (left: {_recipients(connection, key)}), from "
            f"<{_shown(sender)}>; it is in the corrupt queue: tell the sender, then postsuper -r or -d it",
        )
    for key, queue_id in cast("list[tuple[int, str]]", connection.execute(_STRANGE).fetchall()):
        text = "what became of its recipients is lost; it is in the corrupt queue: see the mail log, then postsuper -r"
        found.setdefault(key, Lost(queue_id, f"{text} or -d it"))
    for key in doubtful:
        queue_id = connection.execute(f"SELECT queue_id FROM message AS m WHERE key = ? AND {_LIVE}", (key,)).get
        if queue_id is not None and key not in found:
            found[key] = Lost(
                cast("str", queue_id),
                "it is whole, but may have been delivered before; it is in the corrupt queue: "
                "look for its queue ID in the mail log, then postsuper -r or -d it",
            )
    with connection:
        connection.execute(f"UPDATE message SET state = {S_CORRUPT} WHERE state NOT BETWEEN 0 AND {S_CORRUPT}")
        connection.execute(f"UPDATE message SET due = NULL WHERE state >= {S_HOLD} AND due IS NOT NULL")
        connection.execute(
            "UPDATE recipient SET state = 0, attempts = max(attempts, 0) "
            f"WHERE state NOT BETWEEN 0 AND {UNTOLD} OR attempts < 0"
        )
        statement = f"UPDATE message SET state = {S_CORRUPT}, due = NULL WHERE key = ?"
        connection.executemany(statement, [(key,) for key in found])
    return [*found.values(), *_save_lone(connection, directory, old)]


def _save_lone(connection: apsw.Connection, directory: StoreDirectory, old: int) -> Iterator[Lost]:
    """Write what is left of messages without an envelope to files, and delete it from the store."""
    keys = [key for (key,) in cast("Iterable[tuple[int]]", connection.execute(_LONE))]
    if not keys:
        return
    path = _make_parts(directory, old)
    for key in keys:
        yield _save_one(connection, path, key)
    sync_directory(path)
    with connection:
        connection.execute(f"DELETE FROM content WHERE key {_NO_MESSAGE}")
        connection.execute(f"DELETE FROM recipient WHERE key >> {RECIPIENT_BITS} {_NO_MESSAGE}")


def _save_one(connection: apsw.Connection, path: str, key: int) -> Lost:
    name = os.path.join(path, str(key))
    content = connection.execute("SELECT data FROM content WHERE key = ?", (key,)).get
    left = "no content"
    if content is not None:
        _write(f"{name}.content", content if isinstance(content, bytes) else str(content).encode())
        left = f"content in {name}.content"
    addresses = [address for (address,) in connection.execute(*_addresses(key))]
    octets = [each if isinstance(each, bytes) else str(each).encode() for each in addresses]
    _write(f"{name}.recipients", b"".join(each + b"\n" for each in octets))
    return Lost(
        "",
        f"its envelope is lost; left are {len(octets)} recipients ({_recipients(connection, key)}) and {left}; "
        "if it was not delivered before, send it again with sendmail(1)",
    )


def save_lone_files(connection: apsw.Connection, directory: StoreDirectory, old: int) -> list[Lost]:
    """Move spool files whose message may be among those that are lost. Raises OSError, apsw.Error."""
    rows = connection.execute("SELECT spool FROM message WHERE spool IS NOT NULL")
    known = {name for (name,) in cast("Iterable[tuple[str]]", rows)}
    found: list[Lost] = []
    for name in sorted(os.listdir(directory.spool_path)):
        if name in known or not is_spool_name(name):
            continue
        target = os.path.join(_make_parts(directory, old), name)
        move(os.path.join(directory.spool_path, name), target)
        found.append(
            Lost(
                "",
                f"its envelope is lost, or it was delivered; content in {target}; if need be send it with sendmail(1)",
            )
        )
    if found:
        sync_directory(directory.spool_path)
        sync_directory(_make_parts(directory, old))
    return found


def _make_parts(directory: StoreDirectory, old: int) -> str:
    """Make the directory for what is left of messages."""
    directory.make_corrupt()
    path = os.path.join(directory.corrupt_path, f"parts-{old}")
    with suppress(FileExistsError):
        os.mkdir(path, DIRECTORY_MODE)
        sync_directory(directory.corrupt_path)
    return path


def _addresses(key: int) -> tuple[str, tuple[int, int]]:
    statement = "SELECT address FROM recipient WHERE key BETWEEN ? AND ? ORDER BY key"
    return statement, (key * RECIPIENT_SPAN, key * RECIPIENT_SPAN + RECIPIENT_SPAN - 1)


def _recipients(connection: apsw.Connection, key: int) -> str:
    found = [_shown(address) for (address,) in connection.execute(*_addresses(key))]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more if found else "none"


def _shown(text: object) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _write(path: str, octets: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with open(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(descriptor)
