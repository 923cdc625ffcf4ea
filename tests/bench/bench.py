"""The benchmark: Debian's Postfix and Posthouse under the same main.cf and the same load, in the same run.

The runs of the two servers alternate, so that what else the machine does hits both; the table shows medians. Both sync
to disk before they answer 250, and both log to a file. QUICK=1 or --quick: one round of fewer messages.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.bench import bombs, content, extras, lookups, paths, table, walls
from tests.bench.disk import Disk
from tests.support.instance import Instance, Options
from tests.support.load import SmtpSink
from tests.support.servers import OURS, Postfix, Posthouse, is_native

SERVERS: Final[dict[str, type[Instance]]] = {"postfix": Postfix, "posthouse": Posthouse}
PATHS: Final = ("discard", "relay", "maildir", "local")


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured."""

    rounds: int
    messages: dict[int, int]  # connections -> messages
    deferred: int


FULL: Final = Amount(rounds=5, messages={1: 1000, 10: 3000, 50: 3000}, deferred=50_000)
QUICK: Final = Amount(rounds=1, messages={1: 300, 10: 1000, 50: 1000}, deferred=2_000)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a first look")
    parser.add_argument("--rounds", type=int, help="runs of each case on each server")
    parser.add_argument("--server", choices=sorted(SERVERS), action="append", help="only this one")
    parser.add_argument("--path", choices=PATHS, action="append", help="only this way of a message")
    parser.add_argument("--connections", type=int, choices=(1, 10, 50), action="append")
    parser.add_argument("--reuse", choices=("yes", "no"), help="only with, or only without, reuse of connections")
    parser.add_argument("--no-extras", action="store_true", help="leave out what is measured once")
    parser.add_argument("--no-paths", action="store_true", help="measure only that")
    parser.add_argument("--no-walls", action="store_true", help="leave out what confinement costs")
    parser.add_argument("--no-lookups", action="store_true", help="leave out tables")
    parser.add_argument("--no-content", action="store_true", help="leave out content: cleanup, checks, bombs")
    parser.add_argument("--lookups", action="store_true", help="measure tables, and nothing else")
    parser.add_argument("--content", action="store_true", help="measure content, and nothing else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")
    return parser.parse_args(argv)


def cases(args: argparse.Namespace, amount: Amount) -> list[paths.Case]:
    """Return the rows that were asked for."""
    reuse = {"yes": (True,), "no": (False,)}.get(args.reuse, (False, True))
    return [
        paths.Case(path, connections, again, amount.messages[connections])
        for path in args.path or PATHS
        for connections in args.connections or amount.messages
        for again in reuse
    ]


def measure_paths(
    servers: Sequence[str], wanted: Sequence[paths.Case], rounds: int
) -> dict[str, dict[str, list[paths.Run]]]:
    """Run every case on every server, in turn."""
    with SmtpSink() as sink, own_disks(servers) as directories:
        instances = {name: SERVERS[name](paths.options(sink.port), directories[name]) for name in servers}
        try:
            return run_cases(instances, wanted, rounds)
        except (AssertionError, TimeoutError):
            for name, instance in instances.items():
                progress(f"--- end of the log of {name}\n{instance.log()[-3000:]}")
            raise
        finally:
            for instance in instances.values():
                instance.destroy()


def run_cases(
    instances: dict[str, Instance], wanted: Sequence[paths.Case], rounds: int
) -> dict[str, dict[str, list[paths.Run]]]:
    """Start the servers, warm them up, measure."""
    runs: dict[str, dict[str, list[paths.Run]]] = {case.name: {name: [] for name in instances} for case in wanted}
    for instance in instances.values():
        paths.prepare_mail(instance)
        instance.start_and_greet()
        for path in dict.fromkeys(case.path for case in wanted):
            paths.run(instance, paths.Case(path, 10, reuse=False, messages=100))  # warms caches and processes
    for number in range(rounds):
        for case in wanted:
            for name, instance in instances.items():
                one = paths.run(instance, case)
                runs[case.name][name].append(one)
                progress(f"round {number + 1}: {case.name}: {name} {one.messages_per_s:.0f}/s {one.cpu_ms:.2f} ms")
    return runs


@contextlib.contextmanager
def own_disks(servers: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Give each server a directory, on a file system of its own where that can be had."""
    directories = {name: Path(tempfile.mkdtemp(prefix=f"bench-{name}-", dir="/var/tmp")) for name in servers}
    disks = [Disk(directory) for directory in directories.values()]
    try:
        if not all(disk.mount() for disk in disks):
            progress("no file system of its own for each server: what one deletes slows down the other")
        yield directories
    finally:
        for disk in disks:
            disk.unmount()
        for directory in directories.values():
            shutil.rmtree(directory, ignore_errors=True)


def measure_extras(servers: Sequence[str], amount: Amount) -> dict[str, dict[str, float]]:
    """Measure each server once."""
    found: dict[str, dict[str, float]] = {}
    for name in servers:

        def make(options: Options, kind: type[Instance] = SERVERS[name]) -> Instance:
            return kind(options)

        found[name] = {
            **extras.idle(make),
            **extras.many_connections(make, 1000),
            **extras.sendmail(make),
            **extras.full_queue(make, amount.deferred),
        }
        progress(f"measured once: {name}: {found[name]}")
    return found


def measure_walls(amount: Amount) -> str:
    """Measure what confinement costs."""
    wanted = [paths.Case(path, 10, reuse=False, messages=amount.messages[10]) for path in ("discard", "relay")]
    with own_disks(walls.NAMES) as directories:
        load = walls.cost_of_load(wanted, amount.rounds, directories)
    return walls.report(load, walls.cost_of_start())


def measure_content(servers: Sequence[str], *, quick: bool) -> str:
    """Measure what content costs in cleanup, and bombs in Posthouse."""
    found = content.measure(servers, quick=quick)
    if "posthouse" in servers and os.geteuid() == 0 and shutil.which("strace"):
        found += f"\n\n{bombs.measure()}"
    return found


def progress(text: str) -> None:
    """Show that something happens, away from the table."""
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then too
    args = arguments(argv)
    amount = QUICK if args.quick else FULL
    servers = args.server or list(SERVERS)
    progress(f"Posthouse of {OURS.parent}: {'compiled' if is_native() else 'Python alone'}")
    if "postfix" in servers and (reason := Postfix.why_not()):
        progress(f"without the measure: {reason}")
        servers = [name for name in servers if name != "postfix"]
    if args.lookups or args.content:
        print(lookups.measure(args.quick) if args.lookups else measure_content(servers, quick=args.quick))
        return 0
    runs = {} if args.no_paths else measure_paths(servers, cases(args, amount), args.rounds or amount.rounds)
    figures = {case: {name: table.figure(some) for name, some in by.items()} for case, by in runs.items()}
    if figures:
        print(table.paths_table(figures))
    once = {} if args.no_extras else measure_extras(servers, amount)
    if once:
        print()
        print(table.extras_table(once))
    if "posthouse" in servers and not args.no_walls:
        print(f"\n{measure_walls(amount)}")
    if "postfix" in servers and not args.no_lookups:
        print(f"\n{lookups.measure(args.quick)}")
    if not args.no_content:
        print(f"\n{measure_content(servers, quick=args.quick)}")
    if args.json:
        every = {case: {name: [asdict(run) for run in some] for name, some in by.items()} for case, by in runs.items()}
        args.json.write_text(json.dumps({"paths": every, "once": once}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
