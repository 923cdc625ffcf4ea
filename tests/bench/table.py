"""Medians, spreads and the printed table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.paths import Run


@dataclass(frozen=True, slots=True)
class Figure:
    """The runs of one case on one server, as one line of numbers."""

    messages_per_s: float
    spread: float  # half of largest minus smallest, as part of the median
    accepted_per_s: float
    cpu_ms: float
    pss_mib: float


def figure(runs: Sequence[Run]) -> Figure:
    """Take the medians of some runs."""
    rates = [run.messages_per_s for run in runs]
    median = statistics.median(rates)
    return Figure(
        messages_per_s=median,
        spread=(max(rates) - min(rates)) / 2 / median,
        accepted_per_s=statistics.median(run.accepted_per_s for run in runs),
        cpu_ms=statistics.median(run.cpu_ms for run in runs),
        pss_mib=statistics.median(run.pss_mib for run in runs),
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Set rows as a table: first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def paths_table(figures: dict[str, dict[str, Figure]]) -> str:
    """Return the table of the ways of a message; with both servers, the ratio that the bars speak of."""
    rows = [["case", "server", "msg/s", "±", "accepted/s", "CPU ms/msg", "PSS MiB", "x msg/s", "x CPU"]]
    for case, by_server in figures.items():
        measure = by_server.get("postfix")
        for server, one in by_server.items():
            ratios = ["", ""]
            if measure is not None and server != "postfix":
                ratios = [f"{one.messages_per_s / measure.messages_per_s:.2f}", f"{one.cpu_ms / measure.cpu_ms:.2f}"]
            numbers = [
                f"{one.messages_per_s:.0f}",
                f"{one.spread:.0%}",
                f"{one.accepted_per_s:.0f}",
                f"{one.cpu_ms:.2f}",
                f"{one.pss_mib:.0f}",
            ]
            rows.append([case, server, *numbers, *ratios])
    return aligned(rows)


def extras_table(extras: dict[str, dict[str, float]]) -> str:
    """Return the table of what was measured once."""
    servers = list(extras)
    names = list(dict.fromkeys(name for server in servers for name in extras[server]))
    rows = [["measured once", *servers]]
    rows += [
        [name, *(f"{extras[server][name]:.2f}" if name in extras[server] else "-" for server in servers)]
        for name in names
    ]
    return aligned(rows)
