"""Checks of master.cf: programs that do not exist or are not built, addresses, odd combinations."""

import difflib
from collections.abc import Iterator
from typing import Final

from posthouse.config.findings import Finding, Severity
from posthouse.config.load import Configuration
from posthouse.config.master_cf import Service
from posthouse.config.registry import Registry
from posthouse.util.errors import ConfigError

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
OUTSIDE_CHROOT: Final = frozenset({"oqmgr", "pickup", "qmgr", "showq"})  # Postfix has these chrooted on some systems
ESSENTIAL: Final = ("cleanup", "qmgr", "rewrite", "bounce", "defer")  # without them no mail moves


def check_services(configuration: Configuration, registry: Registry) -> Iterator[Finding]:
    """Check each service, then whether the essential ones are there."""
    master = configuration.master
    if not master.exists:
        return
    for service in master.effective():
        for severity, what, consequence, fix in _check(service, registry):
            yield Finding(
                severity, master.path, service.line, f"{service.name}/{service.type}: {what}", consequence, fix
            )
        yield from _check_address(configuration, service)
    outside = [service.name for service in master.effective() if service.chroot and service.program in OUTSIDE_CHROOT]
    if outside:
        listed = ", ".join(dict.fromkeys(outside))
        what = f"{listed}: not chrooted, since accounts are looked up; Landlock has the same walls"
        yield Finding(Severity.NOTE, master.path, 0, what, "", "")
    names = {service.name for service in master.services if service.type != "inet"}
    for name in ESSENTIAL:
        if name not in names:
            what = f'there is no service "{name}"'
            yield Finding(
                Severity.WARNING,
                master.path,
                0,
                what,
                "mail that needs it waits",
                "add it; see master.cf of the documentation",
            )


def _check(service: Service, registry: Registry) -> Iterator[tuple[Severity, str, str, str]]:
    program = service.program
    if program not in KNOWN_PROGRAMS and program not in registry.programs:
        known = sorted(KNOWN_PROGRAMS | registry.programs)
        guess = difflib.get_close_matches(program, known, n=1, cutoff=0.6)
        fix = f'did you mean "{guess[0]}"?' if guess else "take the service out"
        yield Severity.ERROR, f'there is no program "{program}"', "", fix
    elif program not in registry.programs:
        yield Severity.NOTE, f"{program} is not built yet", "the service is left out", ""
    limit = service.process_limit
    if program in SINGLE and limit not in (1, None):
        yield Severity.ERROR, f"the process limit of {program} must be 1, not {limit}", "", "write 1 in column 7"
    if program in UNLIMITED and limit:
        yield (
            Severity.WARNING,
            f"the process limit of {program} should be 0, not {limit}",
            "mail could wait for itself",
            "",
        )
    if program in NEVER_CHROOT and service.chroot:
        yield Severity.ERROR, f"{program} cannot run chrooted", "", "write n in column 5"
    if not service.unprivileged and program not in ("local", "pipe", "spawn", "virtual"):
        yield Severity.WARNING, f"{program} needs no privileges", "the column has no effect", "write y or - in column 4"


def _check_address(configuration: Configuration, service: Service) -> Iterator[Finding]:
    """Check that the first column of an inet service is an endpoint."""
    if service.type != "inet":
        return
    from posthouse.config.endpoints import service_addresses  # noqa: PLC0415 (asks the kernel for interfaces)

    settings = configuration.settings(service.program, service)
    try:
        service_addresses(service, settings, configuration.master.path)
    except ConfigError as error:
        yield Finding(Severity.ERROR, error.file, error.line, error.why)
