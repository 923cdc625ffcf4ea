"""How many keys a second the tables answer, beside `postmap -q -` of Debian's Postfix on the same file.

Both get the same keys: half of them are there. Ours is timed in the process, as daemons ask; Postfix's is the time of
the command, less that of the same command with one key.
"""

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from posthouse.config.settings import Settings
from posthouse.tables import cdb, lmdb
from posthouse.tables.open import Opener
from posthouse.tables.table import LocalTable
from tests.bench.table import aligned
from tests.support.peers import find_peer

MAIN_CF: Final = "compatibility_level = 3.6\nmeta_directory = /etc/postfix\nshlib_directory = /usr/lib/postfix\n"
OWN: Final = "inet_interfaces = 127.0.0.1\nmyhostname = mail.example\nsmtputf8_enable = yes\n"
AN_HOUR_S: Final = 3600


class Case(NamedTuple):
    """A table, and what it is asked."""

    name: str
    spec: str
    keys: list[str]
    theirs: bool = True  # whether the command of Postfix can be timed


class Size(NamedTuple):
    """How much is measured."""

    entries: int = 100_000
    cidr_rules: int = 100_000
    patterns: int = 1000
    keys: int = 100_000
    slow_keys: int = 1000  # for tables that Postfix goes through rule by rule
    rounds: int = 3


FULL: Final = Size()
QUICK: Final = Size(10_000, 10_000, 1000, 40_000, 500, 1)


def measure(quick: bool) -> str:
    """Make the tables, ask them, give the printed table."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-lookups-", dir="/var/tmp") as name:
        directory = Path(name)
        (directory / "main.cf").write_text(MAIN_CF + OWN, encoding="ascii")
        os.utime(directory / "main.cf", (time.time() - AN_HOUR_S,) * 2)  # Postfix waits for one that is quite new
        cases = (*_fixed(directory, size), *_networks(directory, size), *_patterns(directory, size))
        rows = [_row(directory, case, size.rounds) for case in cases]
    return aligned([["lookups", "Postfix keys/s", "Posthouse keys/s", "x"], *rows])


def _row(directory: Path, case: Case, rounds: int) -> list[str]:
    ours = statistics.median(_ours(directory, case) for _ in range(rounds))
    theirs = statistics.median(_theirs(directory, case) for _ in range(rounds)) if case.theirs else 0
    ratio = f"{ours / theirs:.2f}" if theirs else "-"
    return [case.name, f"{theirs:.0f}" if theirs else "-", f"{ours:.0f}", ratio]


def _ours(directory: Path, case: Case) -> float:
    opener = Opener(Settings.from_mapping({"smtputf8_enable": "yes"}), base_dir=str(directory))
    table = opener.open(case.spec)
    assert isinstance(table, LocalTable), case.spec
    get = table.get
    start = time.perf_counter()
    for key in case.keys:
        get(key)
    spent = time.perf_counter() - start
    opener.close()
    return len(case.keys) / spent


def _theirs(directory: Path, case: Case) -> float:
    def run(keys: Sequence[str]) -> float:
        text = "".join(f"{key}\n" for key in keys)
        argv = [find_peer("postmap"), "-c", str(directory), "-q", "-", case.spec]
        start = time.perf_counter()
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=directory)
        assert done.returncode in (0, 1), done.stderr
        return time.perf_counter() - start

    without = run(["no such key"])
    return len(case.keys) / max(run(case.keys) - without, 1e-6)


def _fixed(directory: Path, size: Size) -> list[Case]:
    generator = random.Random(1)
    contents = {f"user{number}@example.com": f"box{number}/" for number in range(size.entries)}
    keys = [f"user{generator.randrange(2 * size.entries)}@example.com" for _ in range(size.keys)]
    (directory / "map").write_text("".join(f"{key} {value}\n" for key, value in contents.items()), encoding="ascii")
    lmdb.write_all(str(directory / "map.lmdb"), contents)
    cdb.write_all(str(directory / "map.cdb"), contents)
    cases = [Case(f"{kind}, {size.entries} entries", f"{kind}:map", keys) for kind in ("lmdb", "cdb")]
    # Their command reads the whole text first, so what it needs for the keys cannot be told from the difference.
    cases.append(Case(f"texthash, {size.entries} entries", "texthash:map", keys, theirs=False))
    for kind in ("hash", "btree"):
        source = directory / kind
        os.link(directory / "map", source)
        subprocess.run([find_peer("postmap"), "-c", str(directory), f"{kind}:{kind}"], check=True, cwd=directory)
        cases.append(Case(f"{kind} (.db), {size.entries} entries", f"{kind}:{kind}", keys))
    return cases


def _networks(directory: Path, size: Size) -> list[Case]:
    generator = random.Random(2)
    networks = [f"{number >> 16}.{number >> 8 & 255}.{number & 255}.0/24" for number in range(size.cidr_rules)]
    (directory / "cidr").write_text("".join(f"{network} x\n" for network in networks), encoding="ascii")
    keys = [
        ".".join(str(octet) for octet in (generator.randrange(size.cidr_rules * 2) * 256 + 7).to_bytes(4, "big"))
        for _ in range(size.slow_keys)
    ]
    return [Case(f"cidr, {size.cidr_rules} rules", "cidr:cidr", keys)]


def _patterns(directory: Path, size: Size) -> list[Case]:
    generator = random.Random(3)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(2 * size.patterns)]
    kinds: list[tuple[str, Callable[[str], str], Callable[[str], str]]] = [
        (
            "addresses",
            lambda word: f"/^[^@]+@{word}\\.example\\.(com|net)$/ x",
            lambda word: f"a.user@{word}.example.com",
        ),
        (
            "header lines",
            lambda word: f"/^Subject:.*{word}/ x",
            lambda word: f"Subject: a {word} that some people like",
        ),
    ]
    cases = []
    for name, rule, key in kinds:
        path = directory / name.replace(" ", "-")
        path.write_text("".join(f"{rule(word)}\n" for word in words[: size.patterns]), encoding="ascii")
        keys = [key(generator.choice(words)) for _ in range(size.slow_keys)]
        cases += [Case(f"{kind}, {size.patterns} {name}", f"{kind}:{path.name}", keys) for kind in ("regexp", "pcre")]
    return cases
