"""Checks of settings that are well-formed and do nothing: whoever would read them is not there, or gets no mail."""

from collections.abc import Iterator
from typing import Final

from posthouse.config import catalog
from posthouse.config.check_tables import tables_in
from posthouse.config.checks.context import Context
from posthouse.config.checks.transports import uses
from posthouse.config.findings import NOTE, WARNING, Finding, Kind

NO_READER = Kind(
    "setting-without-service",
    NOTE,
    "main.cf sets a parameter of smtpd, smtp, lmtp or postscreen, and master.cf has no service that runs it.",
    "it has no effect",
)
WRONG_SERVICE = Kind(
    "override-in-wrong-service",
    WARNING,
    "An -o option gives a service a parameter that its program does not read.",
    "it has no effect",
)
OTHER_TRANSPORT = Kind(
    "setting-misses-relay",
    NOTE,
    "A limit of the transport smtp is set; mail for relay_domains uses the transport relay, with limits of its own.",
    "it has no effect on mail for relay_domains",
)
NOT_PROXIED = Kind(
    "table-not-proxied",
    WARNING,
    "A value names a table behind proxy:, and proxy_read_maps does not have it.",
    "every lookup in it fails temporarily",
)
# Who reads the parameters whose names begin so.
_READERS: Final = {
    "smtpd_": frozenset({"smtpd", "postscreen", "tlsproxy", "tlsmgr", "qmqpd"}),
    "smtp_": frozenset({"smtp", "tlsproxy", "tlsmgr"}),
    "lmtp_": frozenset({"lmtp", "tlsproxy", "tlsmgr"}),
    "postscreen_": frozenset({"postscreen", "tlsproxy", "dnsblog"}),
}
_CLEANUP_ONLY: Final = frozenset({"header_checks", "mime_header_checks", "nested_header_checks", "body_checks"})
# Programs that open whatever tables other programs' parameters name.
_READ_ALL: Final = frozenset({"proxymap", "spawn", "pipe"})
_ACCOUNTS: Final = "unix"  # passwd tables: proxymap(8) always has them


def check_readers(context: Context) -> Iterator[Finding]:
    """Find settings of programs that no service runs."""
    if not context.configuration.master.exists:
        return
    programs = {service.program for service in context.services()}
    for name in context.configuration.main.values:
        prefix = next((prefix for prefix in _READERS if name.startswith(prefix)), "")
        if prefix and name in catalog.entries() and not programs & _READERS[prefix]:
            program = prefix.rstrip("_")
            what = f"{name}: no service of master.cf runs {program}"
            yield NO_READER.at(context.place(name), what, f"add a service that runs {program}, or take the line out")


def check_overrides(context: Context) -> Iterator[Finding]:
    """Find -o options that a service's program does not read."""
    for service in context.services():
        if service.program in _READ_ALL:
            continue
        for name, _ in service.overrides:
            readers = _READERS.get(next((prefix for prefix in _READERS if name.startswith(prefix)), ""))
            if name in _CLEANUP_ONLY:
                readers = frozenset({"cleanup"})
            if readers is None or service.program in readers or name not in catalog.entries():
                continue
            what = f"{service.name}/{service.type}: {service.program} does not read {name}"
            yield WRONG_SERVICE.at(context.line_of(service), what, _advice(name))


def _advice(name: str) -> str:
    if name in _CLEANUP_ONLY:
        return "give the option to a cleanup service of its own, and name that with -o cleanup_service_name"
    return f"give it to a service that runs {name.partition('_')[0]}, or take it out"


def check_relay_limits(context: Context) -> Iterator[Finding]:
    """Find limits of smtp that mail for relay_domains does not see."""
    if not (context.is_set("relay_domains") and context.items("relay_domains")):
        return
    if context.text("relay_transport").partition(":")[0] != "relay" or any(
        use.transport == "smtp" and use.shown.startswith("transport_maps") for use in uses(context)
    ):
        return
    for name in context.configuration.main.values:
        family = catalog.family_of(name) if name.startswith("smtp_") else None
        if family is None:
            continue
        other = "relay_" + name.removeprefix("smtp_")
        if not context.is_set(other):
            what = f"{name}: mail for relay_domains goes through the transport relay, which reads {other}"
            yield OTHER_TRANSPORT.at(context.place(name), what, f"if it is meant for both, write: {other} = ${name}")


def check_proxied(context: Context) -> Iterator[Finding]:
    """Find tables behind proxy: that proxymap(8) will not open."""
    served = {name for kind, name in tables_in(context.items("proxy_read_maps")) if kind == "proxy"}
    told: set[str] = set()
    for service, settings in context.readers():
        names = [name for name, _ in service.overrides] if service else list(context.configuration.main.values)
        for name in names:
            if name.startswith("proxy_") or name in context.bad or not _is_list(name, context):
                continue
            for kind, table in tables_in(context.items(name, settings)):
                if kind == "proxy" and table not in served | told and not table.startswith(f"{_ACCOUNTS}:"):
                    told.add(table)
                    fix = f"write: proxy_read_maps = ... proxy:{table} ($proxy_read_maps is not added by itself)"
                    yield NOT_PROXIED.at(context.place(name, settings), f"{name}: proxy:{table} is not served", fix)


def _is_list(name: str, context: Context) -> bool:
    entry = catalog.entries().get(name)
    return (entry is not None and "list" in entry.kind) or name in context.items("smtpd_restriction_classes")
