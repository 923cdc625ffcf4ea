"""postqueue(1): list the queue, ask for delivery attempts. mailq is `postqueue -p`.

Listings are streamed page by page: a million messages cost no memory here. Source: postqueue(1).
"""

import asyncio
import getopt
import json
import sys
import time
from typing import Final, TextIO

from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_UNAVAILABLE,
    EX_USAGE,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
)
from posthouse.ipc.showq import Flush, Listed

USAGE: Final = (
    "usage: postqueue [-c config_dir] -p | -j [--json] | -f | -s site | -i queue_id\n"
    "  -p  list the queue   -j  the same as JSON lines   -f  try all deferred mail now\n"
    "  -s  try mail for one site now   -i  try one message now\n"
)
HEADER: Final = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
LONG_HEADER: Final = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
FLAGS: Final = {"active": "*", "hold": "!"}


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    arguments = (sys.argv if argv is None else argv)[1:]
    try:
        options, rest = getopt.getopt(arguments, "c:fi:jps:v", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"postqueue: fatal: {error}\n{USAGE}")
        return EX_USAGE
    modes = [(name, value) for name, value in options if name in ("-f", "-i", "-j", "-p", "-s", "--json")]
    config_directory = next((value for name, value in options if name == "-c"), "")
    modes = [("-j", "") if name == "--json" else (name, value) for name, value in modes]
    if len(modes) > 1 and ("-j", "") in modes:
        modes = [("-j", "")]
    if rest or len(modes) != 1:
        sys.stderr.write(f"postqueue: fatal: specify one of -p, -j, -f, -s, -i\n{USAGE}")
        return EX_USAGE
    mode, value = modes[0]
    try:
        if mode in ("-p", "-j"):
            return asyncio.run(show(config_directory, as_json=mode == "-j", out=sys.stdout))
        return asyncio.run(flush(config_directory, site=value * (mode == "-s"), queue_id=value * (mode == "-i")))
    except QueueUnavailableError as error:
        sys.stderr.write(f"postqueue: fatal: {error}\n")
        return EX_UNAVAILABLE
    except RefusedError as error:
        sys.stderr.write(f"postqueue: fatal: {error}\n")
        return EX_NOPERM
    except BrokenPipeError:
        sys.stderr.close()
        return 0


async def flush(config_directory: str, *, site: str, queue_id: str) -> int:
    """Ask for a delivery attempt."""
    client = QueueClient(config_directory)
    await client.ask(Flush(client.next_id(), site, queue_id))
    await client.close()
    return 0


async def show(config_directory: str, *, as_json: bool, out: TextIO) -> int:
    """Print the queue."""
    client = QueueClient(config_directory)
    messages = size = 0
    async for message in client.listing():
        if as_json:
            out.write(format_json(message) + "\n")
            continue
        if not messages:
            out.write(LONG_HEADER + "\n" if len(message.queue_id) > 12 else HEADER + "\n")
        out.write(format_message(message))
        messages += 1
        size += message.size
    await client.close()
    if not as_json:
        out.write(format_total(messages, size))
    out.flush()
    return 0


def format_json(message: Listed) -> str:
    """One message as Postfix's JSON line."""
    recipients = []
    for rcpt in message.recipients:
        shown = {"address": rcpt.address}
        if rcpt.original and rcpt.original != rcpt.address:
            shown["orig_address"] = rcpt.original
        if rcpt.reason:
            shown["delay_reason"] = rcpt.reason
        recipients.append(shown)
    fields = {
        "queue_name": message.queue_name,
        "queue_id": message.queue_id,
        "arrival_time": int(message.arrival),
        "message_size": message.size,
        "forced_expire": message.forced_expire,
        "sender": message.sender or "MAILER-DAEMON",
        "recipients": recipients,
    }
    return json.dumps(fields, ensure_ascii=False)


def format_message(message: Listed) -> str:
    """One message in Sendmail's form: a line, then reasons in parentheses above the recipients they hold for."""
    flag = FLAGS.get(message.queue_name, "#" if message.forced_expire else " ")
    arrival = time.strftime("%a %b %e %H:%M:%S", time.localtime(message.arrival))
    width = 16 if len(message.queue_id) > 12 else 10
    lines = [f"{message.queue_id + flag:<{width + 1}} {message.size:8d} {arrival}  {message.sender or 'MAILER-DAEMON'}"]
    by_reason: dict[str, list[str]] = {}
    for rcpt in message.recipients:
        by_reason.setdefault(rcpt.reason, []).append(rcpt.address)
    for reason, addresses in by_reason.items():
        if reason:
            text = f"({reason})"
            lines.append(text.rjust(76) if len(text) < 76 else text)
        lines += [" " * (width + 31) + address for address in addresses]
    return "\n".join(lines) + "\n\n"


def format_total(messages: int, size: int) -> str:
    """The last line."""
    if not messages:
        return "Mail queue is empty\n"
    return f"-- {(size + 1023) // 1024} Kbytes in {messages} Request{'s' if messages > 1 else ''}.\n"
