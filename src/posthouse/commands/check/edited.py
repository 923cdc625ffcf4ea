"""What `postconf -e` asks before it changes main.cf, and says afterwards to who sits at the terminal."""

from collections.abc import Collection, Mapping

from posthouse.config.check_edit import refusal, unknown_names
from posthouse.config.findings import Finding, Severity
from posthouse.config.load import Configuration, level_facts, load
from posthouse.config.main_cf import read_main_cf
from posthouse.config.master_cf import read_master_cf
from posthouse.util.errors import ConfigError


def refuse_unknown(directory: str, new: Mapping[str, str]) -> None:
    """Refuse names that nothing would read. Raises ConfigError."""
    try:
        main = read_main_cf(directory)
        configuration = Configuration(directory, main, read_master_cf(directory), level_facts(main))
    except ConfigError:
        return  # who repairs a file must be able to
    unknown = unknown_names(configuration, new)
    if unknown:
        raise ConfigError(refusal(unknown))


def findings_about(directory: str, names: Collection[str]) -> list[Finding]:
    """Check a directory; give the errors and warnings at the lines of main.cf that set one of these names."""
    from posthouse.commands.check import check

    try:
        main = load(directory).main
    except ConfigError:
        return [finding for finding in check(directory) if finding.severity is Severity.ERROR]
    lines = {each.line for each in main.assignments if each.name in names}
    return [
        finding
        for finding in check(directory)
        if finding.severity is not Severity.NOTE and finding.file == main.path and finding.line in lines
    ]
