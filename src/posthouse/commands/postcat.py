"""postcat(1): show a message of the queue (-q and its queue ID), or a queue file that Postfix wrote.

Source: postcat(1). The default is all of it: envelope, header, body. -d, -o, -r, -s, -v are for files alone.
"""

import asyncio
import getopt
import json
import sys
import time
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_UNAVAILABLE,
    EX_USAGE,
    NotSuperuserError,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
)
from posthouse.commands.queue_file import QueueFileError, Shown, as_data
from posthouse.commands.queue_file import show as show_file
from posthouse.ipc.message import Envelope
from posthouse.ipc.showq import Fetch, Fetched, shown
from posthouse.util.errors import ConfigError

USAGE: Final = """\
usage: postcat [-c config_dir] [-b] [-e] [-h] [--json] -q queue_id ...
       postcat [-bdefhorv] [--json] [-s offset] file ...    files of Postfix's queue; without a name: standard input
"""
FAILED: Final = 1
PARTS: Final = frozenset({"-b", "-e", "-h"})


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, queue_ids = getopt.getopt((sys.argv if argv is None else argv)[1:], "bc:defhoqrs:v", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"postcat: fatal: {error}\n{USAGE}")
        return EX_USAGE
    names = {name for name, _ in options}
    if "-q" not in names:
        return _show_files(dict(options), queue_ids)
    if not queue_ids:
        sys.stderr.write(f"postcat: fatal: which message?\n{USAGE}")
        return EX_USAGE
    config_directory = next((value for name, value in options if name == "-c"), "")
    parts = names & PARTS or PARTS
    try:
        return asyncio.run(show(config_directory, queue_ids, parts, as_json="--json" in names))
    except (ConfigError, QueueUnavailableError) as error:
        sys.stderr.write(f"postcat: fatal: {error}\n")
        return EX_UNAVAILABLE
    except NotSuperuserError:
        sys.stderr.write(f"postcat: fatal: open queue file {shown(queue_ids[0])}: Permission denied\n")
        return 1
    except RefusedError as error:
        sys.stderr.write(f"postcat: fatal: {error}\n")
        return EX_NOPERM


def _show_files(given: dict[str, str], paths: list[str]) -> int:
    """Print files of Postfix's; 1 when one cannot be read."""
    start = given.get("-s", "0")
    if not (start.isascii() and start.isdigit()):
        sys.stderr.write(f"postcat: fatal: -s {start}: not a number\n{USAGE}")
        return EX_USAGE
    what = Shown(
        frozenset(given.keys() & PARTS or PARTS),
        offsets="-o" in given,
        types="-d" in given,
        name="-f" in given,
        verbose="-v" in given,
        raw={"-r", "-v"} <= given.keys(),  # alone it does nothing, as in Postfix
        start=int(start),
    )
    for path in paths or ["-"]:
        try:
            data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
            name = "(stdin)" if path == "-" else path
            if "--json" in given:
                sys.stdout.write(json.dumps(as_data(data, name), ensure_ascii=False) + "\n")
                continue
            for line in show_file(data, name, what):
                sys.stdout.buffer.write(line)
        except OSError as error:
            sys.stderr.write(f"postcat: fatal: open {path}: {error.strerror}\n")
            return FAILED
        except QueueFileError as error:
            sys.stdout.flush()
            sys.stderr.write(f"postcat: fatal: {path}: {error}\n")
            return FAILED
    return 0


async def show(config_directory: str, queue_ids: list[str], parts: AbstractSet[str], *, as_json: bool) -> int:
    """Print messages; 1 when one of them is not there."""
    client = QueueClient(config_directory, steering=True)
    status = 0
    for queue_id in queue_ids:
        fetched = await client.ask(Fetch(client.next_id(), queue_id))
        assert isinstance(fetched, Fetched)
        if fetched.error or fetched.envelope is None:
            sys.stderr.write(f"postcat: fatal: {fetched.error}\n")
            status = 1
            continue
        content = client.content_of(fetched)
        if fetched.next:
            await client.read_on(queue_id, fetched)
        if as_json:
            sys.stdout.write(format_json(fetched, content) + "\n")
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(format_text(fetched, fetched.envelope, content, parts))
    await client.close()
    return status


def format_text(fetched: Fetched, envelope: Envelope, content: bytes, parts: AbstractSet[str]) -> bytes:
    """The parts that are wanted, in postcat's sections."""
    end = content.find(b"\n\n")
    header, body = (content, b"") if end < 0 else (content[: end + 1], content[end + 1 :])
    pieces = []
    if "-e" in parts:
        pieces.append(_envelope_section(fetched, envelope))
    if "-e" in parts:
        pieces.append(f"*** MESSAGE CONTENTS {fetched.queue_name}/{envelope.queue_id} ***\n".encode())
    if "-h" in parts:
        pieces.append(header)
    if "-b" in parts:
        pieces.append(body)
    if "-e" in parts:
        pieces.append(f"*** MESSAGE FILE END {fetched.queue_name}/{envelope.queue_id} ***\n".encode())
    return b"".join(pieces)


def _envelope_section(fetched: Fetched, envelope: Envelope) -> bytes:
    lines = [
        f"*** ENVELOPE RECORDS {fetched.queue_name}/{envelope.queue_id} ***",
        f"message_size: {envelope.size}",
        f"message_arrival_time: {time.strftime('%a %b %e %H:%M:%S %Y', time.localtime(envelope.arrival))}",
        f"named_attribute: log_client_name={envelope.client.name}",
        f"named_attribute: log_client_address={envelope.client.address}",
        f"named_attribute: log_helo_name={envelope.client.helo}",
        f"named_attribute: log_protocol_name={envelope.client.protocol}",
        f"sender: {envelope.sender}",
    ]
    if envelope.filter:
        lines.insert(3, f"content_filter: {envelope.filter}")
    if envelope.redirect:
        lines.insert(3, f"redirect_to: {envelope.redirect}")
    for rcpt in fetched.recipients:
        if rcpt.original and rcpt.original != rcpt.address:
            lines.append(f"original_recipient: {rcpt.original}")
        lines.append(f"recipient: {rcpt.address}")
    lines += [f"done_recipient: {address}" for address in fetched.done]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def format_json(fetched: Fetched, content: bytes) -> str:
    """Everything as one JSON object; octets that are no UTF-8 are shown as U+FFFD."""
    envelope = fetched.envelope
    assert envelope is not None, "a fetched message has an envelope"
    fields = {
        "queue_name": fetched.queue_name,
        "queue_id": envelope.queue_id,
        "arrival_time": envelope.arrival,
        "message_size": envelope.size,
        "sender": envelope.sender,
        "content_filter": envelope.filter,
        "redirect_to": envelope.redirect,
        "recipients": [{"address": rcpt.address, "orig_address": rcpt.original} for rcpt in fetched.recipients],
        "done_recipients": fetched.done,
        "content": content.decode("utf-8", "replace"),
    }
    return json.dumps(fields, ensure_ascii=False)
