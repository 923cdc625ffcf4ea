"""What confinement costs: the same load with and without, in turn; and the time to put the walls up at a start."""

import importlib
import os
import statistics
import struct
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from posthouse.config.settings import Settings
from posthouse.skeleton.confined import Handed, confine
from tests.bench import paths, table
from tests.support.instance import Instance
from tests.support.load import SmtpSink
from tests.support.servers import Posthouse

DAEMONS: Final = ("smtpd", "cleanup", "trivial_rewrite", "qmgr", "smtp", "virtual", "proxymap")
STARTS: Final = 10  # of each daemon
NAMES: Final = ("without", "with")


def cost_of_load(wanted: Sequence[paths.Case], rounds: int, directories: dict[str, Path]) -> list[list[str]]:
    """Run each case in turn on a confined and an unconfined system; give rows of medians of the ratios."""
    rows = [["confinement", "msg/s without", "with", "x msg/s", "CPU ms without", "with", "x CPU"]]
    with SmtpSink() as sink:
        options = paths.options(sink.port)
        free = replace(options, main={**options.main, "confinement": "off"})
        instances: dict[str, Instance] = {
            name: Posthouse(each, directories[name]) for name, each in zip(NAMES, (free, options), strict=True)
        }
        try:
            for instance in instances.values():
                paths.prepare_mail(instance)
                instance.start_and_greet()
                for case in wanted:
                    paths.run(instance, replace(case, messages=200))
            rows += [_row(case, instances, rounds) for case in wanted]
        finally:
            for instance in instances.values():
                instance.destroy()
    return rows


def _row(case: paths.Case, instances: dict[str, Instance], rounds: int) -> list[str]:
    runs: dict[str, list[paths.Run]] = {name: [] for name in NAMES}
    for number in range(rounds):
        for name in NAMES if number % 2 else reversed(NAMES):
            runs[name].append(paths.run(instances[name], case))
    rate = {name: statistics.median(run.messages_per_s for run in some) for name, some in runs.items()}
    cpu = {name: statistics.median(run.cpu_ms for run in some) for name, some in runs.items()}
    pairs = list(zip(runs["without"], runs["with"], strict=True))
    faster = statistics.median(after.messages_per_s / before.messages_per_s for before, after in pairs)
    dearer = statistics.median(after.cpu_ms / before.cpu_ms for before, after in pairs)
    cells = [f"{rate[name]:.0f}" for name in NAMES] + [f"{faster:.2f}"]
    return [case.name, *cells, *(f"{cpu[name]:.2f}" for name in NAMES), f"{dearer:.2f}"]


def cost_of_start() -> list[list[str]]:
    """Measure in a child of its own, as at a start: compute the rules, load everything, put the walls up."""
    rows = [["daemon", "walls up after ms (median)", "longest"]]
    for name in DAEMONS:
        times = [_one_start(name) for _ in range(STARTS)]
        rows.append([name, f"{statistics.median(times):.1f}", f"{max(times):.1f}"])
    return rows


def _one_start(name: str) -> float:
    daemon = importlib.import_module(f"posthouse.daemons.{name}.daemon").DAEMON
    importlib.import_module("posthouse.skeleton.child")  # as in the warm image
    settings = Settings.from_mapping({"transport_maps": "texthash:/etc/services", "queue_directory": "/var/empty"})
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        begin = time.monotonic()
        confine(daemon, settings, Handed(-1, [], 0, 1, chroot=False, root_files=False))
        os.write(writer, struct.pack("d", time.monotonic() - begin))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        (seconds,) = struct.unpack("d", pipe.read())
    os.waitpid(pid, 0)
    return float(seconds) * 1000


def report(load: list[list[str]], starts: list[list[str]]) -> str:
    """Set both as tables."""
    return f"{table.aligned(load)}\n\n{table.aligned(starts)}"
