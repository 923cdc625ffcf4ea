"""What content costs in cleanup: processor time of its processes alone, for each message, beside Postfix's.

Text as people send it, not one letter repeated: patterns are slow where they nearly match. Ten connections of
smtp-source, used again.
"""

import random
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import table
from tests.support import net
from tests.support.instance import Instance, Options
from tests.support.load import LOAD_LIMIT_S
from tests.support.peers import find_peer, peer_environment
from tests.support.servers import Postfix, Posthouse

SERVERS: Final[dict[str, type[Instance]]] = {"postfix": Postfix, "posthouse": Posthouse}
SESSIONS: Final = 10
PATTERNS: Final = 100
SMALL: Final = 4096  # octets
LARGE: Final = 10_000_000
NANOSECONDS: Final = 1_000_000  # in a millisecond
_MAIN: Final = {
    "default_transport": "discard:",
    "mydestination": "",
    "message_size_limit": "20000000",
    "max_idle": "1000s",
    "max_use": "1000000",  # so that no process ends, and takes its time with it
}


@dataclass(frozen=True, slots=True)
class Case:
    """One row. checks: the type of the tables with patterns, "" for none. bar: milliseconds."""

    name: str
    size: int
    messages: int
    checks: str = ""
    bar: float | None = None


CASES: Final = (
    Case("4 kB", SMALL, 2000, bar=0.15),
    Case("10 MB", LARGE, 20, bar=30.0),
    Case("4 kB, pcre: checks", SMALL, 500, "pcre"),
    Case("4 kB, regexp: checks", SMALL, 500, "regexp"),
    Case("1 MB, pcre: checks", LARGE // 10, 20, "pcre"),
)


def words(seed: int, number: int) -> list[str]:
    """Make words: the same for each run."""
    letters = random.Random(seed)
    return ["".join(letters.choices("etaoinshrdlucmfwyp", k=letters.randint(2, 9))) for _ in range(number)]


def message(size: int) -> bytes:
    """Write a letter with an ordinary header, of about so many octets."""
    key = "\n\t".join("".join(random.Random(n).choices("ABCDefghij0123456789+/", k=64)) for n in range(4))
    head = (
        "Received: from mail.client.test (mail.client.test [192.0.2.1])\n\tby relay.client.test with ESMTPS id 4XyZ12\n"
        f"DKIM-Signature: v=1; a=rsa-sha256; d=client.test; s=key;\n\tb={key}\n"
        "From: A Sender <sender@client.test>\nTo: The Recipient <user@far.test>\nSubject: Re: what we said yesterday\n"
        "Date: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <20261123100000.1234@client.test>\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\nX-Mailer: nothing special 1.2\n\n"
    )
    text = words(1, 2000)
    lines, octets, place = [head], len(head), 0
    while octets < size:
        line = " ".join(text[(place + n) % len(text)] for n in range(11)) + "\n"
        lines.append(line)
        octets, place = octets + len(line), place + 7
    return "".join(lines).encode()


def patterns() -> tuple[str, str]:
    """Write a table for headers and one for bodies; none of the patterns matches."""
    some = [word for word in words(2, 3 * PATTERNS) if len(word) > 4]
    header = [
        f"/^Subject:.*{one}[[:space:]]+(now|today)/ REJECT\n"
        if n % 2
        else f"/^(From|Reply-To):.*@{one}[.]test/ REJECT\n"
        for n, one in enumerate(some[:PATTERNS])
    ]
    body = [
        f"/{one} (pills|loans?)/ REJECT\n" if n % 2 else f"/https?:[^ ]*{one}[0-9]*[.]test/ REJECT\n"
        for n, one in enumerate(some[:PATTERNS])
    ]
    return "".join(header), "".join(body)


def options(checks: str) -> Options:
    """The configuration for both servers."""
    if not checks:
        return Options(main=dict(_MAIN))
    header, body = patterns()
    tables = {"header_checks": f"{checks}:{{directory}}/etc/header", "body_checks": f"{checks}:{{directory}}/etc/body"}
    return Options(main={**_MAIN, **tables}, files={"header": header, "body": body})


def send_all(port: int, content: bytes, number: int) -> None:
    """Send a message so many times with smtp-source. Raises CalledProcessError: one was not taken."""
    with tempfile.NamedTemporaryFile(suffix=".eml") as file:
        file.write(content)
        file.flush()
        how_many = ["-d", "-s", str(min(SESSIONS, number)), "-m", str(number), "-F", file.name]
        whom = ["-f", "sender@client.test", "-t", "user@far.test", "-M", "client.test"]
        command = [find_peer("smtp-source"), "-4", *how_many, *whom, f"{net.LOOPBACK}:{port}"]
        subprocess.run(command, env=peer_environment(), check=True, timeout=LOAD_LIMIT_S)


def cleanup_ms(instance: Instance) -> float:
    """Read the processor time of all cleanup processes."""
    total = 0
    for process in instance.processes():
        if process.name == "cleanup":
            for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
                total += int(task.read_text(encoding="ascii").split()[0])
    return total / NANOSECONDS


def one_run(instance: Instance, case: Case, content: bytes) -> float:
    """Send the case's messages; give milliseconds of cleanup for each."""
    before = cleanup_ms(instance)
    send_all(instance.port, content, case.messages)
    used = (cleanup_ms(instance) - before) / case.messages
    instance.wait_queue_empty(120)
    return used


def run_checks(names: Sequence[str], cases: Sequence[Case], rounds: int) -> dict[str, dict[str, float]]:
    """Measure cases of one configuration on all servers, in turn; give medians by case and server."""
    found: dict[str, dict[str, list[float]]] = {case.name: {name: [] for name in names} for case in cases}
    instances = {name: SERVERS[name](options(cases[0].checks)) for name in names}
    try:
        for instance in instances.values():
            instance.start_and_greet()
            send_all(instance.port, message(SMALL), 50)
        for case in cases:
            content = message(case.size)
            for _ in range(rounds):
                for name, instance in instances.items():
                    found[case.name][name].append(one_run(instance, case, content))
    finally:
        for instance in instances.values():
            instance.destroy()
    return {case: {name: statistics.median(runs) for name, runs in by.items()} for case, by in found.items()}


def measure(names: Sequence[str], *, quick: bool) -> str:
    """Measure all cases; give a table."""
    figures: dict[str, dict[str, float]] = {}
    for checks in dict.fromkeys(case.checks for case in CASES):
        same = [case for case in CASES if case.checks == checks]
        figures |= run_checks(names, same, 1 if quick else 5)
    rows = [["cleanup, CPU ms a message", *names, *(["ratio"] if len(names) > 1 else []), "bar"]]
    for case in CASES:
        cost = [figures[case.name][name] for name in names]
        ratio = [f"{cost[1] / cost[0]:.2f}"] if len(names) > 1 else []
        rows.append([case.name, *(f"{one:.2f}" for one in cost), *ratio, "" if case.bar is None else f"{case.bar:g}"])
    return table.aligned(rows)


if __name__ == "__main__":
    print(measure(list(SERVERS), quick=True))
