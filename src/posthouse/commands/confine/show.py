"""posthouse confine show: the rules that are in force for each daemon, and what this kernel can enforce of them."""

import getopt
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

from posthouse.commands.confine.prove import choose, kernel_of
from posthouse.commands.confine.report import Kernel, coloured
from posthouse.commands.confine.services import Served, declaration_place, read_configuration, runs_as_root, served_of
from posthouse.config.load import config_directory
from posthouse.config.parameters import CONFINEMENT
from posthouse.confine import seccomp
from posthouse.confine.bpf import Alternatives, When
from posthouse.confine.rules import Rules
from posthouse.util.errors import ConfigError, Fatal

USAGE: Final = "usage: posthouse confine show [-c DIR] [--json] [DAEMON ...]\n"
LABEL_WIDTH: Final = 16
BOLD, FAINT = "1", "2"
# Conditions in words; what is not here is shown as numbers.
IN_WORDS: Final = {
    "mmap": "never executable",
    "mprotect": "never executable",
    "ioctl": "flags and sizes of descriptors",
    "fcntl": "flags, duplicates, locks, seals",
    "prctl": "the thread's name, asking for capabilities",
    "prlimit64": "asking, not setting",
    "tgkill": "to itself",
    "socketpair": "UNIX",
    "open": "for reading",
    "openat": "for reading",
    "clone": "threads",
    "sendto": "never with TCP Fast Open",
    "sendmsg": "never with TCP Fast Open",
    "sendmmsg": "never with TCP Fast Open",
}


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    try:
        options, names = getopt.gnu_getopt(words, "c:", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"posthouse confine show: {error}\n{USAGE}")
        return 64
    given = dict(options)
    directory = os.path.abspath(config_directory(given.get("-c")))
    try:
        configuration = read_configuration(directory)
        as_root = runs_as_root(configuration)
        served = choose(served_of(configuration, as_root=as_root), names)
        settings = configuration.settings("master")
        kernel = kernel_of(settings, as_root=as_root)
        confinement = settings[CONFINEMENT]
    except (ConfigError, Fatal) as error:
        sys.stderr.write(f"posthouse confine show: {error}\n")
        return 1
    if "--json" in given:
        sys.stdout.write(json.dumps(as_json(served, kernel, confinement)) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in told(served, kernel, confinement, table=not names))
    return 0


def told(served: Sequence[Served], kernel: Kernel, confinement: str, *, table: bool) -> Iterator[str]:
    """Give the lines: what the kernel has, a table of all, then one after the other."""
    version = f"Landlock version {kernel.landlock}" if kernel.landlock else "no Landlock"
    yield f"confinement = {confinement}; {version}"
    for what in kernel.missing:
        yield coloured(f"not to be had here: {what}", "33")
    if table:
        yield ""
        yield from _table(served)
    for each in served:
        yield ""
        yield from _block(each)


def _table(served: Sequence[Served]) -> Iterator[str]:
    head = ("daemon", "user", "reads", "writes", "sockets", "TCP", "UDP", "threads", "commands", "calls")
    rows = [head, *(_row(each) for each in served)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for number, row in enumerate(rows):
        line = "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        yield coloured(line, BOLD if number == 0 else None)


def _row(served: Served) -> tuple[str, ...]:
    rules = served.rules
    writes = len(rules.writes) + len(rules.appends)
    calls = "-" if rules.executes else str(len(seccomp.allowed(rules)))
    counts = [str(number) if number else "-" for number in (len(rules.reads), writes, len(rules.sockets))]
    flags = ["yes" if flag else "-" for flag in (rules.udp, rules.threads, rules.executes)]
    return served.program, rules.user, *counts, _ports(rules.tcp_connect), *flags, calls


def _ports(ports: tuple[int, ...] | None) -> str:
    return "any" if ports is None else ",".join(map(str, ports)) or "-"


def _block(served: Served) -> Iterator[str]:
    rules = served.rules
    yield coloured(served.program, BOLD) + coloured(f"  services: {', '.join(served.services)}", FAINT)
    for label, values in rows_of(rules):
        for number, value in enumerate(values or ("-",)):
            yield f"  {label if number == 0 else '':<{LABEL_WIDTH}}{value}"
    place = declaration_place(served.order.package)
    yield f"  {'declared in':<{LABEL_WIDTH}}{place}"


def rows_of(rules: Rules) -> Iterator[tuple[str, Sequence[str]]]:
    """Give what rules say, by label."""
    yield "user", [rules.user]
    yield "root directory", [f"{rules.root_directory} (chroot)" if rules.root_directory else "/"]
    rights = ["no_new_privs, no capability, not dumpable, no core file"]
    yield "rights", [*rights, "reads root's tables before it serves"] if rules.root_files else rights
    if rules.executes:
        yield "files", ["all that its user may: it runs commands"]
    else:
        yield "reads", rules.reads
        yield "writes", rules.writes
        yield "appends to", rules.appends
    yield "serves", rules.serves
    yield "connects to", rules.sockets
    yield "TCP", list(_network(rules))
    yield "UDP", ["yes"] if rules.udp else []
    yield "threads", ["yes"] if rules.threads else []
    yield "accounts", ["looked up"] if rules.accounts else []
    yield "system calls", list(_calls(rules))


def _network(rules: Rules) -> Iterator[str]:
    if rules.tcp_connect is None or rules.tcp_connect:
        yield f"connect: {_ports(rules.tcp_connect).replace('any', 'any port')}"
    for port in rules.tcp_bind:
        yield "bind: any free port, for a source address" if port == 0 else f"bind: port {port}"


def _calls(rules: Rules) -> Iterator[str]:
    if rules.executes:
        yield f"all but {', '.join(name for name, *_ in seccomp.NOBODY_NEEDS)}, clone into a user namespace"
        return
    allowed = seccomp.allowed(rules)
    yield f"{sum(not when for when in allowed.values())} without conditions (--json names them); everything else: EPERM"
    groups: dict[str, list[str]] = {}
    for name, when in allowed.items():
        if when:
            groups.setdefault(_in_words(name, when, rules), []).append(name)
    for words, names in groups.items():
        yield f"{', '.join(names)}: {words}"


def _in_words(name: str, when: Alternatives, rules: Rules) -> str:
    if name == "socket":
        kinds = ["UNIX", *(["TCP"] if rules.uses_network else []), *(["UDP"] if rules.udp else [])]
        return ", ".join(kinds)
    return IN_WORDS.get(name) or " or ".join(" and ".join(map(_condition, each)) for each in when)


def _condition(when: When) -> str:
    mask = "" if when.mask == 0xFFFFFFFF else f" & {when.mask:#x}"
    return f"argument {when.argument}{mask} is {' or '.join(map(str, when.values))}"


def as_json(served: Iterable[Served], kernel: Kernel, confinement: str) -> dict[str, object]:
    """Give everything."""
    return {
        "confinement": confinement,
        "kernel": kernel._asdict(),
        "daemons": [
            {
                "daemon": each.program,
                "services": each.services,
                **{name: value for name, value in asdict(each.rules).items() if name != "daemon"},
                "declared_in": declaration_place(each.order.package),
                "system_calls": _calls_json(each.rules),
            }
            for each in served
        ],
    }


def _calls_json(rules: Rules) -> dict[str, object]:
    if rules.executes:
        return {"all_but": [name for name, *_ in seccomp.NOBODY_NEEDS]}
    allowed = seccomp.allowed(rules)
    conditions = {name: _in_words(name, when, rules) for name, when in allowed.items() if when}
    return {"always": sorted(name for name, when in allowed.items() if not when), "when": conditions}
