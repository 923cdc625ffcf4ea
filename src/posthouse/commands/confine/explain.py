"""posthouse confine explain: from a line of a log to the declaration that would allow it, and whether it should."""

import getopt
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from posthouse.commands.confine import messages
from posthouse.commands.confine.messages import Denial
from posthouse.commands.confine.services import (
    Served,
    declaration_place,
    package_of,
    read_configuration,
    runs_as_root,
    served_of,
)
from posthouse.config.load import config_directory
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.confine import seccomp
from posthouse.confine.rules import Rules
from posthouse.util.errors import ConfigError, Fatal

USAGE: Final = "usage: posthouse confine explain [-c DIR] [--json] [MESSAGE | -]\n"
# What no daemon should ever open: who asks for it has been broken into, or is misconfigured.
NEVER: Final = (
    "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/sudoers", "/root", "/proc", "/sys", "/dev/mem", "/dev/kmem",
    "/boot", "/lib/modules",
)  # fmt: skip
# What a declaration can say, and the rules that come of it; tried one after the other against the filter.
FIELDS: Final = (
    ("threads=True", {"threads": True}),
    ('network=("connect",)', {"tcp_connect": None, "tcp_bind": (0,)}),
    ('network=("dns",)', {"tcp_connect": None, "tcp_bind": (0,), "udp": True}),
    ('writes=("DIRECTORY",)', {"writes": ("/",)}),
)
RUNS: Final = frozenset({"execve", "execveat", "fork", "vfork", "clone", "clone3", "kill", "wait4"})


def main(words: list[str]) -> int:
    """Run; 1 when no line holds a denial."""
    try:
        options, rest = getopt.getopt(words, "c:", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"posthouse confine explain: {error}\n{USAGE}")
        return 64
    lines = list(sys.stdin) if rest in ([], ["-"]) else " ".join(rest).splitlines()
    denials = list(dict.fromkeys(messages.parse(lines)))
    if not denials:
        sys.stderr.write("posthouse confine explain: none of these lines says that something was refused\n")
        return 1
    served = _served(os.path.abspath(config_directory(dict(options).get("-c"))))
    if ("--json", "") in options:
        sys.stdout.write(
            json.dumps([as_data(denial, served) for denial in denials], ensure_ascii=False, indent=2) + "\n"
        )
        return 0
    for number, denial in enumerate(denials):
        sys.stdout.write("\n" if number else "")
        sys.stdout.writelines(f"{line}\n" for line in explained(denial, served))
    return 0


def _served(directory: str) -> list[Served]:
    """Read the rules in force; a broken configuration explains less, and still something."""
    try:
        configuration = read_configuration(directory)
        return served_of(configuration, as_root=runs_as_root(configuration))
    except (ConfigError, Fatal) as error:
        sys.stderr.write(f"posthouse confine explain: without the configuration, since {error}\n")
        return []


def explained(denial: Denial, served: list[Served]) -> Iterator[str]:
    """Give the lines for one denial."""
    yield f"{'daemon':<10} {denial.program or 'unknown: no line names the process'}"
    yield f"{'refused':<10} {_what(denial)}"
    yield f"{'by':<10} {_wall(denial)}"
    for label, text in _all_advice(denial, served):
        yield f"{label:<10} {text}"


def as_data(denial: Denial, served: list[Served]) -> dict[str, object]:
    """Give the same for --json; advice is a list of [label, text]."""
    return {
        "daemon": denial.program,
        "refused": _what(denial),
        "by": _wall(denial),
        "advice": [list(each) for each in _all_advice(denial, served)],
    }


def _all_advice(denial: Denial, served: list[Served]) -> Iterator[tuple[str, str]]:
    package = package_of(denial.program)
    if not package:
        yield "note", "no daemon of Posthouse; its own profile or policy decides"
        return
    yield from _advice(denial, _find(package, denial.program, served), declaration_place(package))
    if denial.wall in ("AppArmor", "SELinux"):
        yield "then", "make the policies anew and load them: posthouse policies"


def _find(package: str, program: str, served: list[Served]) -> Served | None:
    fitting = [each for each in served if each.order.package == package]
    return next((each for each in fitting if each.program == program), fitting[0] if fitting else None)


def _what(denial: Denial) -> str:
    texts = {
        messages.READ: "reading {}",
        messages.WRITE: "writing, making or removing {}",
        messages.EXECUTE: "executing {}",
        messages.CALL: "system call {}",
        messages.CONNECT: "connecting: {}",
        messages.BIND: "binding: {}",
        messages.SIGNAL: "a signal: {}",
        messages.ABSTRACT: "an abstract UNIX socket: {}",
        messages.TRACE: "looking into a process: {}",
    }
    return texts.get(denial.what, "{}").format(denial.detail)


def _wall(denial: Denial) -> str:
    if denial.wall != "the kernel":
        return denial.wall
    if denial.capability:
        return "seccomp, or a privilege that daemons do not have (EPERM)"
    return "Landlock, or the permissions of the file (EACCES)"


def _advice(denial: Denial, served: Served | None, place: str) -> Iterator[tuple[str, str]]:
    if denial.what in (messages.READ, messages.WRITE):
        yield from _of_file(denial, served, place)
    elif denial.what == messages.EXECUTE or (denial.what == messages.CALL and denial.detail in RUNS):
        yield from _of_program(denial, served, place)
    elif denial.what == messages.CALL:
        yield from _of_call(denial.detail, served, place)
    elif denial.what in (messages.CONNECT, messages.BIND):
        yield from _of_network(denial, served, place)
    else:
        yield "allow", "no declaration allows this to any daemon"
        yield "warning", "it should stay refused: look into what this process was doing"


# --- files -----------------------------------------------------------------------------------------------------------


def _of_file(denial: Denial, served: Served | None, place: str) -> Iterator[tuple[str, str]]:
    path = os.path.normpath(denial.detail)
    if not path.startswith("/"):
        yield "allow", f"what is behind this name? files are declared as reads=, writes= or appends= at {place}"
        return
    why = _never(path, served)
    if why:
        yield "allow", "no declaration should"
        yield "warning", f"it should stay refused: {why}"
        return
    if served is not None and _covered(path, served.rules, write=denial.what == messages.WRITE):
        yield "allow", f"the rules allow it already; user {served.rules.user} has no permission (ls -l {path})"
        yield "or", "the process is older than the configuration: postfix reload"
        return
    if denial.what == messages.WRITE:
        yield "allow", f'writes=("{os.path.dirname(path)}",), or appends=("{path}",) for one file that is there'
        yield "where", f"Privileges( at {place}"
        return
    yield "allow", f"name it as a table in a parameter that this daemon reads (main.cf: TYPE:{path}), and reload"
    if served is not None and served.daemon.parameters:
        yield "such as", ", ".join(_table_parameters(served)) or "none of its parameters names tables"
    yield "or", f'reads=("{path}",) in Privileges( at {place}'
    yield "note", f"is it a table already, and {path} was replaced? then the next process can read it: postfix reload"


def _never(path: str, served: Served | None) -> str:
    for each in NEVER:
        if f"{path}/".startswith(f"{each}/"):
            return f"no daemon needs {each}"
    if served is None:
        return ""
    queue = served.settings[QUEUE_DIRECTORY]
    if f"{path}/".startswith(f"{queue}/posthouse/"):
        return "only qmgr opens the queue"
    if f"{path}/".startswith(f"{queue}/"):
        return "the other directories of the queue belong to the daemons that declare them"
    return ""


def _covered(path: str, rules: Rules, *, write: bool) -> bool:
    allowed = (*rules.writes, *(rules.appends if write else rules.reads))
    return any(f"{path}/".startswith(f"{each.rstrip('/')}/") for each in allowed)


def _table_parameters(served: Served) -> list[str]:
    names = [parameter.name for parameter in served.daemon.parameters]
    return [name for name in names if name.endswith(("_maps", "_restrictions", "_checks", "_domains", "networks"))][:6]


# --- calls, programs, network ----------------------------------------------------------------------------------------


def _of_call(name: str, served: Served | None, place: str) -> Iterator[tuple[str, str]]:
    rules = served.rules if served is not None else Rules("")
    if name in {each for each, *_ in seccomp.NOBODY_NEEDS} or name not in _allowable(rules):
        yield "allow", "no declaration does; src/posthouse/confine/seccomp.py lists what a daemon may call"
        yield "warning", "it should stay refused, unless a library or a new kernel's libc began to need it"
        return
    for field, change in FIELDS:
        now, then = seccomp.allowed(rules), seccomp.allowed(replace(rules, **change))
        if name in then and (name not in now or now[name] != then[name]):
            yield "allow", f"{field} in Privileges( at {place}"
            if name in ("socket", "bind"):
                yield (
                    "note",
                    "mail goes out through smtp, questions to name servers through dns: is it these that fail?",
                )
            return
    yield (
        "allow",
        f"{name} is allowed with other arguments only: the conditions are in src/posthouse/confine/seccomp.py",
    )
    yield "warning", "it should stay refused, unless a library or a new kernel's libc began to need it"


def _allowable(rules: Rules) -> frozenset[str]:
    everything = replace(rules, writes=("/",), threads=True, udp=True, tcp_connect=None)
    return frozenset(seccomp.allowed(everything))


def _of_program(denial: Denial, served: Served | None, place: str) -> Iterator[tuple[str, str]]:
    if denial.detail in ("clone", "clone3") and not (served is not None and served.rules.threads):
        yield "allow", f"threads=True in Privileges( at {place}, if it was a thread; a process of its own never"
        return
    yield "allow", "commands are run by runas only, as the user whose they are (local, pipe)"
    yield "warning", f"it should stay refused: {denial.program} runs no program"


def _of_network(denial: Denial, served: Served | None, place: str) -> Iterator[tuple[str, str]]:
    if denial.detail.startswith("/"):
        yield "allow", f'talks_to=("SERVICE",) in DAEMON, above Privileges( at {place}'
        return
    if denial.what == messages.BIND:
        yield "allow", "no declaration does: master binds ports and hands the sockets over"
        yield "warning", "it should stay refused"
        return
    yield "allow", f'network=("connect",) in Privileges( at {place}'
    if served is not None and "accept" in served.daemon.privileges.network:
        yield "warning", f"{served.program} talks to strangers: it should not connect to anybody; smtp does that"
