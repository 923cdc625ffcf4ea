"""posthouse status: is it running, and how much mail is where."""

import asyncio
import getopt
import json
import sys

from posthouse.commands.queue_client import EX_UNAVAILABLE, QueueClient, QueueUnavailableError, RefusedError
from posthouse.ipc.showq import Count, Counts


def main(words: list[str]) -> int:
    """Run; 0 when it is running."""
    try:
        options, _ = getopt.getopt(words, "c:", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"posthouse status: {error}\n")
        return 64
    values = dict(options)
    try:
        is_running, counts = asyncio.run(count(values.get("-c", "")))
    except (QueueUnavailableError, RefusedError) as error:
        if "--json" in values:
            sys.stdout.write(json.dumps({"running": False, "reason": str(error)}) + "\n")
        else:
            sys.stdout.write(f"not running: {error}\n")
        return EX_UNAVAILABLE
    if "--json" in values:
        sys.stdout.write(json.dumps({"running": is_running, "queues": counts}) + "\n")
    else:
        sys.stdout.write("running\n" if is_running else "not running\n")
        for name, number in counts.items():
            sys.stdout.write(f"  {name:<10} {number:>9}\n")
    return 0 if is_running else EX_UNAVAILABLE


async def count(config_directory: str) -> tuple[bool, dict[str, int]]:
    """Ask the queue manager, or the store when nobody runs; whether somebody does, and the numbers by queue."""
    client = QueueClient(config_directory)
    answer = await client.ask(Count(client.next_id()))
    await client.close()
    assert isinstance(answer, Counts)
    return client.is_served, answer.counts
