"""posthouse queue backup: copy the queue to a new directory, while mail flows or not, and check the copy."""

import os
import sys
from dataclasses import asdict

from posthouse.commands.progress import Progress
from posthouse.commands.queue.place import JSON, Called, Place, become_owner, reachable, run, write_json
from posthouse.queue.directory import DIRECTORY_MODE
from posthouse.queue.sqlite.care import StoreError, back_up
from posthouse.util.files import sync_directory


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    return run("backup", words, (("json",), 1), _main)


def _main(called: Called) -> int:
    target = os.path.abspath(called.words[0])
    _make(target, called.place)
    become_owner(called.place)
    reachable(target, os.R_OK | os.W_OK | os.X_OK, called.place)
    with Progress() as progress:
        made = back_up(called.place.queue_directory, target, progress)
    numbers = made.numbers
    if JSON in called.options:
        write_json({"directory": target, "taken": made.taken, "numbers": asdict(numbers)})
        return 0
    sys.stdout.write(
        f"{target}: {sum(numbers.queues.values()):,} messages, {numbers.recipients:,} recipients, "
        f"{numbers.octets:,} octets of content; checked\n"
    )
    return 0


def _make(target: str, place: Place) -> None:
    """Make the directory, for the queue's owner, who may not be able to do it there. Raises StoreError, OSError."""
    try:
        os.mkdir(target, DIRECTORY_MODE)
    except FileExistsError:
        raise StoreError(f"{target} is there already; a backup overwrites nothing") from None
    if os.geteuid() == 0:
        os.chown(target, place.uid, place.gid)
    sync_directory(os.path.dirname(target))
