"""postsuper(1): what the superuser does to the queue: delete, hold, release, requeue, expire.

Without an option the queue is checked (-s), which our store does at every start by itself. Source: postsuper(1).
"""

import asyncio
import getopt
import sys
from typing import Final

from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_UNAVAILABLE,
    EX_USAGE,
    NotSuperuserError,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
    require_superuser,
)
from posthouse.config.load import config_directory as find_config_directory
from posthouse.config.load import load_settings
from posthouse.ipc import showq
from posthouse.ipc.showq import Steer, Steered
from posthouse.util.errors import ConfigError

OPERATIONS: Final = {
    "-d": (showq.DELETE, "Deleted"),
    "-h": (showq.HOLD, "Placed on hold"),
    "-H": (showq.RELEASE, "Released from hold"),
    "-r": (showq.REQUEUE, "Requeued"),
    "-e": (showq.EXPIRE, "Expired"),
    "-f": (showq.EXPIRE_RELEASE, "Expired"),
}
SINGLE: Final = {  # what is said of one message
    showq.DELETE: "removed",
    showq.HOLD: "placed on hold",
    showq.RELEASE: "released from hold",
    showq.REQUEUE: "requeued",
    showq.EXPIRE: "expired",
    showq.EXPIRE_RELEASE: "released from hold and expired",
}
QUEUE_NAMES: Final = ("hold", "incoming", "active", "deferred", "corrupt", "maildrop")
USAGE: Final = "usage: postsuper [-c config_dir] [-d|-e|-f|-h|-H|-r  queue_id|-|ALL] ... [-ps] [queue_name ...]\n"


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = (sys.argv if argv is None else argv)[1:]
    try:
        options, queues = getopt.getopt(arguments, "c:d:e:f:h:H:pr:sSv")
    except getopt.GetoptError as error:
        sys.stderr.write(f"postsuper: fatal: {error}\n{USAGE}")
        return EX_USAGE
    if unknown := [name for name in queues if name not in QUEUE_NAMES]:
        sys.stderr.write(f"postsuper: fatal: no such queue: {unknown[0]}; known are {', '.join(QUEUE_NAMES)}\n")
        return EX_USAGE
    config_directory = next((value for name, value in options if name == "-c"), "")
    work = [(*OPERATIONS[name], value) for name, value in options if name in OPERATIONS]
    if sum(value == "-" for *_, value in work) > 1:
        sys.stderr.write("postsuper: fatal: only one option may read queue IDs from standard input\n")
        return EX_USAGE
    try:
        return asyncio.run(steer(config_directory, work, queues))
    except (ConfigError, QueueUnavailableError) as error:
        sys.stderr.write(f"postsuper: fatal: {error}\n")
        return EX_UNAVAILABLE
    except NotSuperuserError:
        sys.stderr.write("postsuper: fatal: use of this command is reserved for the superuser\n")
        return 1
    except RefusedError as error:
        sys.stderr.write(f"postsuper: fatal: {error}\n")
        return EX_NOPERM


async def steer(config_directory: str, work: list[tuple[str, str, str]], queues: list[str]) -> int:
    """Carry out (operation, word for the report, queue ID or - or ALL) for the named queues, or all."""
    if not work:
        require_superuser(load_settings(find_config_directory(config_directory or None), "postsuper"))
        return 0
    client = QueueClient(config_directory, steering=True)
    for operation, word, target in work:
        ids = [line.strip() for line in sys.stdin if line.strip()] if target == "-" else [target]
        total = 0
        for queue_id in ids:
            for queue_name in queues or [""]:
                count = await _carry_out(client, operation, queue_id, queue_name)
                total += count
                if count and queue_id != "ALL":
                    sys.stderr.write(f"postsuper: {queue_id}: {SINGLE[operation]}\n")
        sys.stderr.write(f"postsuper: {word}: {total} message{'' if total == 1 else 's'}\n")
    await client.close()
    return 0


async def _carry_out(client: QueueClient, operation: str, queue_id: str, queue_name: str) -> int:
    """Ask until it is done; how many messages it concerned."""
    count = after = last = 0
    while True:
        answer = await client.ask(Steer(client.next_id(), operation, queue_id, queue_name, after, last))
        assert isinstance(answer, Steered)
        count, after, last = count + answer.count, answer.after, answer.last
        if not after:
            return count
