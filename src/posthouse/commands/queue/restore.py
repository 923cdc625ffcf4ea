"""posthouse queue restore: put a backup into an empty queue. What was delivered since it was made is sent again."""

import os
import sys
import time
from dataclasses import asdict

from posthouse.commands.progress import Progress
from posthouse.commands.queue.place import JSON, Called, become_owner, reachable, run, write_json
from posthouse.queue.sqlite.care import restore


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    return run("restore", words, (("json",), 1), _main)


def _main(called: Called) -> int:
    become_owner(called.place)
    source = reachable(called.words[0], os.R_OK | os.X_OK, called.place)
    with Progress() as progress:
        made = restore(called.place.queue_directory, source, progress)
    if JSON in called.options:
        write_json({"taken": made.taken, "numbers": asdict(made.numbers)})
        return 0
    taken = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(made.taken))
    sys.stdout.write(
        f"{sum(made.numbers.queues.values()):,} messages are as they were at {taken}\n"
        "what was delivered since then is delivered again; hold it with: postsuper -h ALL\n"
    )
    return 0
