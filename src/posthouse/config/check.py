"""Find the mistakes of a configuration before they cost mail.

check_directory reads main.cf and master.cf and gives a list of findings, each with file and line, what is wrong, what
follows, and what to do. Nothing is changed, nothing is started. The checks are in config/checks/, one subject a module.
What concerns users and owners of directories is checked where they are made (postfix set-permissions).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from posthouse.config.check_services import check_addresses, check_essential, check_programs
from posthouse.config.checks import (
    answers,
    contents,
    dnsbl,
    domains,
    effect,
    form,
    host,
    names,
    networks,
    relay,
    secrets,
    tls,
    transports,
    values,
)
from posthouse.config.checks.context import Context, NoProbe, Probe
from posthouse.config.findings import Finding, Severity
from posthouse.config.load import Configuration, level_facts, load
from posthouse.config.main_cf import read_main_cf
from posthouse.config.master_cf import read_master_cf
from posthouse.config.registry import Registry
from posthouse.config.usage import service_parameters
from posthouse.util.errors import ConfigError

# Every check. Those of values come first: what they find wrong, the others leave alone.
CHECKS: Final[tuple[Callable[[Context], Iterator[Finding]], ...]] = (
    values.check_values,
    values.check_defaults,
    values.check_restriction_classes,
    form.check_files,
    form.check_lines,
    form.check_level,
    names.check_names,
    host.check_host_name,
    host.check_owners,
    host.check_log_file,
    host.check_sizes,
    host.check_times,
    host.check_delimiter,
    host.check_proxies,
    networks.check_networks,
    networks.check_style,
    domains.check_classes,
    domains.check_own_name,
    domains.check_relayhost,
    relay.check_relay,
    dnsbl.check_lists,
    contents.check_lines,
    contents.check_loops,
    contents.check_root,
    answers.check_answers,
    answers.check_content_answers,
    effect.check_readers,
    effect.check_overrides,
    effect.check_relay_limits,
    effect.check_proxied,
    transports.check_transports,
    transports.check_service_names,
    transports.check_sockets,
    tls.check_tls,
    secrets.check_passwords,
    check_programs,
    check_addresses,
    check_essential,
)


def check_directory(
    directory: str, registry: Registry, *, as_root: bool = False, probe: Probe | None = None
) -> list[Finding]:
    """Check a configuration directory; errors first, then by place."""
    findings: list[Finding] = []
    for read in (read_main_cf, read_master_cf):
        try:
            read(directory)
        except ConfigError as error:
            findings.append(form.of_error(error))
    if findings:
        return _sorted(findings)
    try:
        return check_configuration(load(directory), registry, as_root=as_root, probe=probe)
    except ConfigError as error:
        return _check_by_itself(directory, registry, error)


def _check_by_itself(directory: str, registry: Registry, error: ConfigError) -> list[Finding]:
    """Check what can be checked when a value is wrong that the defaults of others are computed from."""
    main, master = read_main_cf(directory), read_master_cf(directory)
    context = Context(Configuration(directory, main, master, level_facts(main)), registry)
    checks = (values.check_values, form.check_files, form.check_lines, names.check_names)
    found = [finding for check in checks for finding in check(context)]
    first = values.bad_value(error)
    is_said = any(finding[1:4] == first[1:4] for finding in found)  # severity and place
    if not first.file:  # a default that a service's -o makes impossible
        is_said = any(finding.what == first.what for finding in found)
    return _sorted(found if is_said else [first, *found])


def check_configuration(
    configuration: Configuration, registry: Registry, *, as_root: bool = False, probe: Probe | None = None
) -> list[Finding]:
    """Check a configuration that was read; errors first, then by place. Raises ConfigError.

    as_root: daemons open tables with the right to read every file. probe: looks into tables; without it nothing does.
    """
    context = Context(configuration, registry, as_root, probe or NoProbe())
    return _sorted([finding for check in CHECKS for finding in check(context)])


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.severity, finding.file, finding.line))


def has_errors(findings: list[Finding]) -> bool:
    """Tell whether the start must be refused."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def service_names(configuration: Configuration) -> Mapping[str, str]:
    """Give the parameters that exist because of services in master.cf, with their defaults."""
    return service_parameters(configuration.master.services)
