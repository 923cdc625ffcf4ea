"""postqueue(1): list the queue, ask for delivery attempts. mailq is `postqueue -p`.

Listings are streamed page by page: a million messages cost no memory here. Source: postqueue(1).
"""

import asyncio
import getopt
import json
import sys
import time
from typing import BinaryIO, Final, NamedTuple

from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_UNAVAILABLE,
    EX_USAGE,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
)
from posthouse.ipc.showq import Flush, Listed
from posthouse.util.errors import ConfigError

USAGE: Final = (
    "usage: postqueue [-c config_dir] -p | -j [--json] | -f | -s site | -i queue_id\n"
    "  -p  list the queue   -j  the same as JSON lines   -f  try all deferred mail now\n"
    "  -s  try mail for one site now   -i  try one message now\n"
)


class Columns(NamedTuple):
    """How a listing looks (compared with Debian's)."""

    header: str
    line: str
    indent: int  # of recipients


SHORT_ID: Final = 12  # characters; longer IDs are long ones
SHORT: Final = Columns(
    "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n", "{:<11} {:7d} {}  {}", 41
)
LONG: Final = Columns(
    "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n", "{:<17} {:8d} {} {}", 47
)
REASON_END: Final = 78  # column
CLEAN: Final = dict.fromkeys((*range(32), *range(127, 160)), "?")  # what would drive a terminal
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
            return asyncio.run(show(config_directory, as_json=mode == "-j", out=sys.stdout.buffer))
        return asyncio.run(flush(config_directory, site=value * (mode == "-s"), queue_id=value * (mode == "-i")))
    except (ConfigError, QueueUnavailableError) as error:
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


async def show(config_directory: str, *, as_json: bool, out: BinaryIO) -> int:
    """Print the queue."""
    client = QueueClient(config_directory)
    messages = size = 0
    async for message in client.listing():
        if as_json:
            out.write(_octets(format_json(message) + "\n"))
            continue
        if not messages:
            out.write(_octets(LONG.header if is_long(message) else SHORT.header))
        out.write(_octets(format_message(message)))
        messages += 1
        size += message.size
    await client.close()
    if not as_json:
        out.write(_octets(format_total(messages, size)))
    out.flush()
    return 0


def _octets(text: str) -> bytes:
    """Encode, whatever the locale; what is no UTF-8 in an address or a reason is shown as "?"."""
    return text.encode("utf-8", "replace")


def is_long(message: Listed) -> bool:
    """Whether its queue ID is a long one, which needs wider columns."""
    return len(message.queue_id) > SHORT_ID


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
    """One message in Sendmail's form: a line, then each recipient, with the reason above where it changes."""
    columns = LONG if is_long(message) else SHORT
    flag = FLAGS.get(message.queue_name, "#" if message.forced_expire else "")
    arrival = time.strftime("%a %b %e %H:%M:%S", time.localtime(message.arrival))
    name, sender = message.queue_id + flag, message.sender or "MAILER-DAEMON"
    lines = [columns.line.format(name, message.size, arrival, sender)]
    shown = ""
    for rcpt in sorted(message.recipients, key=lambda rcpt: bool(rcpt.reason)):  # those without a reason first
        if rcpt.reason != shown:
            shown = rcpt.reason
            lines.append(f"({shown})".rjust(REASON_END))
        lines.append(" " * columns.indent + rcpt.address)
    return "\n".join(line if line.isprintable() else line.translate(CLEAN) for line in lines) + "\n\n"


def format_total(messages: int, size: int) -> str:
    """The last line."""
    if not messages:
        return "Mail queue is empty\n"
    return f"-- {size // 1024} Kbytes in {messages} Request{'s' if messages > 1 else ''}.\n"
