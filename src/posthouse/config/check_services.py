"""Checks of master.cf: programs that do not exist or are not built, addresses, odd combinations."""

import difflib
from collections.abc import Iterator
from typing import Final

from posthouse.config.checks.context import Context
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding, Kind, Place, Problem
from posthouse.config.master_cf import Service
from posthouse.config.registry import Registry
from posthouse.util.errors import ConfigError

UNKNOWN = Kind("unknown-program", ERROR, "master.cf has a service with a program that does not exist.")
NOT_BUILT = Kind(
    "program-not-built",
    NOTE,
    "Postfix has the program, and this release does not.",
    "the service is left out",
    "no need; or take the service out",
)
ONE = Kind(
    "limit-must-be-one", ERROR, "A service that there is once has another process limit.", "", "write 1 in column 7"
)
NO_LIMIT = Kind(
    "limit-must-be-zero",
    WARNING,
    "cleanup or bounce has a process limit.",
    "mail could wait for itself",
    "write 0 in column 7",
)
CHROOT = Kind(
    "cannot-chroot", ERROR, "A program that needs the whole file system is chrooted.", "", "write n in column 5"
)
OUTSIDE = Kind(
    "chroot-not-used",
    NOTE,
    "A service is chrooted in Postfix, and not here.",
    "it has the same walls by Landlock",
    "no need; or write n in column 5",
)
PRIVILEGES = Kind(
    "needless-privileges",
    WARNING,
    "master.cf gives root's rights to a program that needs none.",
    "the column has no effect",
    "write y or - in column 4",
)
STRAY = Kind(
    "stray-argument",
    WARNING,
    "A word that is no option stands behind a program that takes none: a comment, or an option without its hyphen.",
    "it has no effect, and neither have the options behind it",
    "take it out, or write -o before name=value; a comment needs a line of its own",
)
ENDPOINT = Kind(
    "bad-endpoint",
    ERROR,
    "The first column of an inet service is no address and port where one can listen.",
    fix="write port, host:port or [address]:port",
)
TAKEN = Kind(
    "port-twice",
    ERROR,
    "Two services of master.cf listen at the same address and port.",
    "one of them cannot start",
    "take one out, or give it another port",
)
MISSING = Kind(
    "missing-service",
    WARNING,
    "A service is missing in master.cf without which no mail moves.",
    "mail that needs it waits",
    "add it; see master.cf of the documentation",
)

# Every program of Postfix 3.11's master.cf (services.tsv).
KNOWN_PROGRAMS: Final = frozenset(
    {
        "anvil", "bounce", "cleanup", "discard", "dnsblog", "error", "flush", "lmtp", "local", "nbdb_reindexd",
        "oqmgr", "pickup", "pipe", "postlogd", "postscreen", "proxymap", "qmgr", "qmqpd", "scache", "showq", "smtp",
        "smtpd", "spawn", "tlsmgr", "tlsproxy", "trivial-rewrite", "verify", "virtual",
    }
)  # fmt: skip
SINGLE: Final = frozenset({"qmgr", "oqmgr", "pickup", "postscreen", "verify", "tlsmgr", "anvil", "scache", "postlogd"})
UNLIMITED: Final = frozenset({"cleanup", "bounce"})  # a limit would let mail wait for itself
NEVER_CHROOT: Final = frozenset({"local", "pipe", "proxymap", "spawn", "virtual", "postlogd"})
TAKE_ARGUMENTS: Final = frozenset({"pipe", "spawn"})
OUTSIDE_CHROOT: Final = frozenset({"oqmgr", "pickup", "qmgr", "showq"})  # Postfix has these chrooted on some systems
ESSENTIAL: Final = ("cleanup", "qmgr", "rewrite", "bounce", "defer")  # without them no mail moves


def check_programs(context: Context) -> Iterator[Finding]:
    """Check program, process limit, chroot and privileges of each service."""
    for service in context.services():
        for problem in _check(service, context.registry):
            yield problem.at(context.line_of(service), f"{service.name}/{service.type}")
    outside = [service.name for service in context.services() if service.chroot and service.program in OUTSIDE_CHROOT]
    if outside:
        listed = ", ".join(dict.fromkeys(outside))
        what = f"{listed}: not chrooted, since accounts are looked up"
        yield OUTSIDE.at(Place(context.master_path), what)


def check_essential(context: Context) -> Iterator[Finding]:
    """Check whether the services are there without which no mail moves."""
    if not context.configuration.master.exists:
        return
    names = {service.name for service in context.configuration.master.services if service.type != "inet"}
    for name in ESSENTIAL:
        if name not in names:
            yield MISSING.at(Place(context.master_path), f'there is no service "{name}"')


def _check(service: Service, registry: Registry) -> Iterator[Problem]:
    program = service.program
    if program not in KNOWN_PROGRAMS and program not in registry.programs:
        known = sorted(KNOWN_PROGRAMS | registry.programs)
        guess = difflib.get_close_matches(program, known, n=1, cutoff=0.6)
        fix = f'did you mean "{guess[0]}"?' if guess else "take the service out"
        yield UNKNOWN.problem(f'there is no program "{program}"', fix)
    elif program not in registry.programs:
        yield NOT_BUILT.problem(f"{program} is not built yet")
    limit = service.process_limit
    if program in SINGLE and limit not in (1, None):
        yield ONE.problem(f"the process limit of {program} must be 1, not {limit}")
    if program in UNLIMITED and limit:
        yield NO_LIMIT.problem(f"the process limit of {program} should be 0, not {limit}")
    if service.plain_arguments and program in KNOWN_PROGRAMS - TAKE_ARGUMENTS:
        yield STRAY.problem(f'"{" ".join(service.plain_arguments)[:60]}" is no option')
    if program in NEVER_CHROOT and service.chroot:
        yield CHROOT.problem(f"{program} cannot run chrooted")
    if not service.unprivileged and program not in ("local", "pipe", "spawn", "virtual"):
        yield PRIVILEGES.problem(f"{program} needs no privileges")


def check_addresses(context: Context) -> Iterator[Finding]:
    """Check that the first column of each inet service is an endpoint, and that no two have the same one."""
    from posthouse.config.checks.values import BAD_VALUE  # noqa: PLC0415 (it imports us)
    from posthouse.config.endpoints import service_addresses  # noqa: PLC0415 (asks the kernel for interfaces)

    taken: dict[tuple[str, int], Service] = {}
    told: set[str] = set()
    disabled = context.items("master_service_disable")
    for service in context.services():
        if service.type != "inet" or "inet" in disabled or f"{service.name}/inet" in disabled:
            continue
        try:
            addresses = service_addresses(service, context.view(service), context.master_path)
        except ConfigError as error:
            why, _, advice = error.why.partition("; ")
            if error.parameter:  # of main.cf, which the check of values does not read that far
                if error.parameter not in told:
                    told.add(error.parameter)
                    yield BAD_VALUE.at(
                        Place(error.file or context.main_path, error.line), f"{error.parameter}: {why}", advice or None
                    )
                continue
            yield ENDPOINT.at(Place(error.file, error.line), why, advice or None)
            continue
        others = (_holder(taken, address) for address in addresses)
        other = next((other for other in others if other is not None), None)
        if other is not None:
            ports = ", ".join(dict.fromkeys(f"port {port}" for _, port in addresses))
            what = f"{service.name}/inet: {ports} is taken by {other.name} on line {other.line}"
            yield TAKEN.at(context.line_of(service), what)
        taken |= dict.fromkeys(addresses, service)


def _holder(taken: dict[tuple[str, int], Service], address: tuple[str, int]) -> Service | None:
    """Find the service that listens at an address already; every address counts as each of its family."""
    host, port = address
    wildcard = "::" if ":" in host else "0.0.0.0"  # noqa: S104 - named, not bound
    if host != wildcard:
        return taken.get(address) or taken.get((wildcard, port))
    same = (service for (other, number), service in taken.items() if number == port and (":" in other) == (":" in host))
    return next(same, None)
