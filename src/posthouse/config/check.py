"""Find the mistakes of a configuration before they cost mail.

check_directory reads main.cf and master.cf and gives a list of findings, each with file and line, what is wrong, what
follows, and what to do. Nothing is changed, nothing is started. What concerns users and owners of directories is
checked where they are made (postfix set-permissions).
"""

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Final

from posthouse.config import catalog, deprecated, derived
from posthouse.config.check_restrictions import check_restrictions, tables_of
from posthouse.config.check_services import check_services
from posthouse.config.check_tables import Problem, check_file, check_table, tables_in
from posthouse.config.expand import expand_value
from posthouse.config.findings import Finding, Severity
from posthouse.config.lists import split_tokens
from posthouse.config.load import Configuration, load
from posthouse.config.main_cf import read_main_cf
from posthouse.config.master_cf import read_master_cf
from posthouse.config.parameter import NameList, Parameter, Patterns, Restrictions, Tables
from posthouse.config.parameters import (
    BOUNCE_QUEUE_LIFETIME,
    COMPATIBILITY_LEVEL,
    DEFAULT_PRIVS,
    MAIL_OWNER,
    MAILBOX_SIZE_LIMIT,
    MAILLOG_FILE,
    MAILLOG_FILE_PREFIXES,
    MAILLOG_STDOUT,
    MAXIMAL_BACKOFF_TIME,
    MAXIMAL_QUEUE_LIFETIME,
    MESSAGE_SIZE_LIMIT,
    MINIMAL_BACKOFF_TIME,
    MYDESTINATION,
    MYHOSTNAME,
    NETWORK_OWNER,
    QUEUE_OWNER,
    RELAY_DOMAINS,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAILBOX_DOMAINS,
)
from posthouse.config.registry import Registry
from posthouse.config.rows import row_of
from posthouse.config.settings import Settings
from posthouse.config.usage import find_usage, references, service_parameters
from posthouse.util.errors import ConfigError

# Parameters that decide who may send where: while one of them is not built, ignoring it would decide mail wrongly.
DECISIVE: Final = frozenset(
    {
        "content_filter", "local_recipient_maps", "mydestination", "mynetworks", "relay_domains",
        "relay_recipient_maps", "smtpd_client_restrictions", "smtpd_data_restrictions",
        "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions", "smtpd_helo_restrictions",
        "smtpd_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_sender_login_maps",
        "smtpd_sender_restrictions", "transport_maps", "virtual_alias_domains", "virtual_alias_maps",
        "virtual_mailbox_domains", "virtual_mailbox_maps",
    }
)  # fmt: skip


def check_directory(directory: str, registry: Registry) -> list[Finding]:
    """Check a configuration directory; errors first, then by place."""
    findings: list[Finding] = []
    for read in (read_main_cf, read_master_cf):
        try:
            read(directory)
        except ConfigError as error:
            findings.append(_of_error(error, "nothing of this file is used"))
    if not findings:
        try:
            return check_configuration(load(directory), registry)
        except ConfigError as error:
            findings = [_of_error(error)]
    return _sorted(findings)


def check_configuration(configuration: Configuration, registry: Registry, *, as_root: bool = False) -> list[Finding]:
    """Check a configuration that was read; errors first, then by place. Raises ConfigError."""
    return _sorted(list(_Check(configuration, registry, as_root=as_root).run()))


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.severity, finding.file, finding.line))


def has_errors(findings: list[Finding]) -> bool:
    """Tell whether the start must be refused."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def _of_error(error: ConfigError, consequence: str = "") -> Finding:
    what = f"{error.parameter}: {error.why}" if error.parameter else error.why
    return Finding(Severity.ERROR, error.file, error.line, what, consequence)


class _Check:
    """One run over one configuration."""

    def __init__(self, configuration: Configuration, registry: Registry, *, as_root: bool) -> None:
        self._as_root = as_root
        self._configuration = configuration
        self._main = configuration.main
        self._registry = registry
        self._settings = configuration.settings("postfix")
        self._bad: set[str] = set()  # settings with wrong values

    def run(self) -> Iterator[Finding]:
        """Give all findings."""
        yield from self._check_file_owner(self._main.path)
        yield from self._check_file_owner(self._configuration.master.path)
        yield from self._check_form()
        yield from self._check_level()
        for name in self._main.values:
            yield from self._check_setting(self._settings, name)
        yield from self._check_defaults()
        yield from self._check_names()
        yield from self._check_host()
        yield from self._check_together()
        yield from self._check_classes_of_restrictions()
        yield from check_services(self._configuration, self._registry)
        for service in self._configuration.master.effective():
            settings = self._configuration.settings(service.program, service)
            for name, _ in service.overrides:
                yield from self._check_setting(settings, name)

    def _find(self, severity: Severity, name: str, what: str, consequence: str = "", fix: str = "") -> Finding:
        """Make a finding at the place where main.cf sets `name`."""
        origin = self._settings.origins.get(name)
        file, line = (origin.file, origin.line) if origin else (self._main.path, 0)
        return Finding(severity, file, line, what, consequence, fix)

    def _check_file_owner(self, path: str) -> Iterator[Finding]:
        """Look at who may change a file that decides what root does (facts B01.14)."""
        try:
            status = os.stat(path)
        except OSError:
            return
        if os.geteuid() == 0 and status.st_uid != 0:
            why = f"it belongs to user {status.st_uid}, who can so become root"
            yield Finding(Severity.WARNING, path, 0, why, "", f"run: chown root {path}")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield Finding(
                Severity.WARNING, path, 0, "others than its owner can write it", "", f"run: chmod go-w {path}"
            )

    def _check_form(self) -> Iterator[Finding]:
        """Look for what reads well and means nothing."""
        for line, _ in self._main.stray_lines:
            what = "a line that begins with white space continues nothing"
            yield Finding(Severity.WARNING, self._main.path, line, what, "it is ignored", "take the white space away")
        for earlier, later in self._main.overridden():
            what = f"{later.name} is set here and on line {earlier.line}"
            fix = f"take line {earlier.line} out"
            yield Finding(Severity.WARNING, self._main.path, later.line, what, "the later one counts", fix)
        for problem in self._configuration.master.problems:
            yield Finding(Severity.WARNING, problem.file, problem.line, problem.why)

    def _check_level(self) -> Iterator[Finding]:
        if self._main.exists and not self._settings.is_set(COMPATIBILITY_LEVEL.name):
            what = "compatibility_level is not set, so it is 0"
            consequence = "the defaults of old releases hold, which are less safe"
            yield self._find(Severity.NOTE, "", what, consequence, 'run "postconf compatibility_level=3.11"')

    def _check_setting(self, settings: Settings, name: str) -> Iterator[Finding]:
        """Check one explicit setting: syntax, value, tables, and whether it does anything."""
        if name in catalog.READ_ONLY:
            return
        built = self._registry.find(name)
        row = built or row_of(name)
        try:
            value = settings.text(name) if row is None else settings[row]
        except ConfigError as error:
            self._bad.add(name)
            yield _of_error(error)
            return
        origin = settings.origins[name]
        if isinstance(row, Patterns) and isinstance(value, tuple):
            for severity, what, consequence, fix in self._list_problems(settings, row, value):
                if built is None and severity is Severity.ERROR and "there is no table type" not in what:
                    continue  # a file that nothing reads yet
                yield Finding(severity, origin.file, origin.line, f"{name}: {what}", consequence, fix)
        if name in deprecated.REPLACEMENTS:
            what = f"{name} will be removed"
            yield Finding(Severity.NOTE, origin.file, origin.line, what, "", f"instead, {deprecated.advice(name)}")
        elif built is None and row is not None:
            yield from self._not_built(settings, name, row)

    def _not_built(self, settings: Settings, name: str, row: Parameter[object]) -> Iterator[Finding]:
        """Name a parameter of Postfix that nothing reads yet. A value that equals the default does no harm."""
        if expand_value(row.default, settings.raw).text == settings.text(name):
            return
        origin = settings.origins[name]
        if name in DECISIVE:
            consequence, fix = "without it mail would be decided wrongly", "take it out, or wait for it"
            yield Finding(Severity.ERROR, origin.file, origin.line, f"{name} is not built yet", consequence, fix)
        else:
            yield Finding(Severity.NOTE, origin.file, origin.line, f"{name} is not built yet", "it has no effect")

    def _list_problems(self, settings: Settings, row: NameList, value: tuple[str, ...]) -> Iterator[Problem]:
        """Check the words and the tables of a list."""
        if not isinstance(row, Restrictions):
            yield from self._table_problems(row, value)
            return
        classes = [name.lower() for name in split_tokens(settings.text("smtpd_restriction_classes"))]
        yield from check_restrictions(value, frozenset(classes), self._registry.restrictions)
        yield from self._table_problems(row, tables_of(value))

    def _table_problems(self, row: NameList, value: tuple[str, ...]) -> Iterator[Problem]:
        items = value if isinstance(row, (Tables, Restrictions)) else tuple(item.lstrip("!") for item in value)
        for kind, name in tables_in(items):
            for problem in check_table(kind, name, self._registry.table_types, as_root=self._as_root):
                is_decisive = row.name in DECISIVE and problem[0] is Severity.WARNING and "not built" in problem[1]
                yield (Severity.ERROR, *problem[1:]) if is_decisive else problem
        if not isinstance(row, (Tables, Restrictions)):
            for item in items:
                yield from check_file(item, item, as_root=self._as_root)

    def _check_classes_of_restrictions(self) -> Iterator[Finding]:
        """Check the lists that smtpd_restriction_classes names."""
        classes = dict.fromkeys(split_tokens(self._settings.text("smtpd_restriction_classes")))
        for name in classes:
            row = Restrictions(name, "", doc="A restriction class.")
            if name not in self._main.values:
                what = f"smtpd_restriction_classes: there is no list {name}"
                yield self._find(Severity.ERROR, "smtpd_restriction_classes", what, "", f"set {name}, or take it out")
                continue
            try:
                value = self._settings[row]
            except ConfigError as error:
                yield _of_error(error)
                continue
            for severity, what, consequence, fix in self._list_problems(self._settings, row, value):
                yield self._find(severity, name, f"{name}: {what}", consequence, fix)

    def _check_defaults(self) -> Iterator[Finding]:
        """Check the values that are defaults: their references may lead to bad settings, the host may be odd."""
        for row in self._registry.parameters.values():
            if row.name in self._main.values or row.default == "":
                continue
            try:
                self._settings[row]
            except ConfigError as error:
                causes = [name for name in self._reached_from(row.default) if name in self._main.values]
                if not self._bad.intersection(causes):
                    yield self._find(Severity.ERROR, causes[0] if causes else "", f"{row.name}: {error.why}")

    def _reached_from(self, text: str) -> list[str]:
        """Give the names that a text leads to, through other values too."""
        found = references(text)
        for name in found:  # grows while it is walked
            found += [more for more in references(self._settings.raw(name) or "") if more not in found]
        return found

    def _check_names(self) -> Iterator[Finding]:
        """Find names that nobody reads, and references to names that nobody sets."""
        usage = find_usage(self._main.values, self._configuration.master.services)
        macros = (*self._main.values, *self._registry.parameters)
        for name in usage.unused:
            yield self._find(Severity.WARNING, name, f"unused parameter: {name}", "it has no effect", _guess(name))
        for override in usage.unused_overrides:
            what = f"unused parameter: {override.name} (service {override.service.name})"
            path = self._configuration.master.path
            yield Finding(
                Severity.WARNING, path, override.service.line, what, "it has no effect", _guess(override.name)
            )
        for name in usage.undefined:
            users = [user for user, text in self._main.values.items() if name in references(text)]
            if self._bad.intersection(users):
                continue
            what = f"{users[0] if users else 'a value'} refers to ${name}, which is not set"
            yield self._find(Severity.WARNING, users[0] if users else "", what, "it is empty", _guess(name, macros))
        for name in sorted(catalog.READ_ONLY & self._main.values.keys()):
            yield self._find(Severity.WARNING, name, f"{name} cannot be set", "it has no effect", "take it out")

    def _check_host(self) -> Iterator[Finding]:
        """Check names, users and places."""
        hostname = self._settings.text(MYHOSTNAME.name)
        if not derived.is_hostname(hostname):
            fix = "set myhostname to the full name of this host, for example mail.example.com"
            yield self._find(Severity.ERROR, MYHOSTNAME.name, f'myhostname: "{hostname}" is no host name', "", fix)
        owners = {row.name: self._settings.text(row.name) for row in (MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER)}
        privileges = self._settings.text(DEFAULT_PRIVS.name)
        for name, user in {**owners, DEFAULT_PRIVS.name: privileges}.items():
            if user == "root":
                yield self._find(Severity.ERROR, name, f"{name} must not be root", "", "name a user of its own")
        for name, user in owners.items():
            if user == privileges:
                what = f"{name} and default_privs are the same user, {user}"
                yield self._find(Severity.ERROR, name, what, "users' commands could change the queue", "name two users")
        yield from self._check_log_file()

    def _check_log_file(self) -> Iterator[Finding]:
        path = self._settings.text(MAILLOG_FILE.name)
        prefixes = self._settings[MAILLOG_FILE_PREFIXES]
        if path and not any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in prefixes):
            what = f"maillog_file: {path} is below none of maillog_file_prefixes ({', '.join(prefixes)})"
            yield self._find(
                Severity.ERROR, MAILLOG_FILE.name, what, "", "choose another place, or add its directory there"
            )
        if not path and MAILLOG_STDOUT.name in self._main.values and self._settings[MAILLOG_STDOUT]:
            what = "maillog_stdout copies maillog_file, which is not set"
            fix = "set maillog_file; to /dev/stdout, when no file is wanted"
            yield self._find(Severity.WARNING, MAILLOG_STDOUT.name, what, "the log goes to syslog only", fix)

    def _check_together(self) -> Iterator[Finding]:
        """Check values that do not go together."""
        settings = self._settings
        message, mailbox = settings[MESSAGE_SIZE_LIMIT], settings[MAILBOX_SIZE_LIMIT]
        if mailbox and (not message or mailbox < message):
            what = f"mailbox_size_limit ({mailbox}) is smaller than message_size_limit ({message})"
            place = MAILBOX_SIZE_LIMIT.name if settings.is_set(MAILBOX_SIZE_LIMIT.name) else MESSAGE_SIZE_LIMIT.name
            consequence = "a message of that size comes back from every mbox file"  # Maildirs have no such limit
            yield self._find(Severity.WARNING, place, what, consequence, "raise it, or set it to 0")
        if settings[MINIMAL_BACKOFF_TIME] > settings[MAXIMAL_BACKOFF_TIME]:
            what = "minimal_backoff_time is longer than maximal_backoff_time"
            yield self._find(Severity.ERROR, MINIMAL_BACKOFF_TIME.name, what, "", "exchange them")
        for row in (MAXIMAL_QUEUE_LIFETIME, BOUNCE_QUEUE_LIFETIME):
            if 0 < settings[row] < settings[MINIMAL_BACKOFF_TIME]:
                what = f"{row.name} is shorter than minimal_backoff_time"
                yield self._find(Severity.WARNING, row.name, what, "mail is tried only once")
        yield from self._check_classes()

    def _check_classes(self) -> Iterator[Finding]:
        """A domain belongs to one address class."""
        seen: dict[str, str] = {}
        rows = [MYDESTINATION, VIRTUAL_ALIAS_DOMAINS, VIRTUAL_MAILBOX_DOMAINS]
        if self._settings.is_set(RELAY_DOMAINS.name):  # its old default is mydestination
            rows.append(RELAY_DOMAINS)
        for row in rows:
            for domain in dict.fromkeys(item.lower() for item in self._settings[row]):
                first = seen.setdefault(domain, row.name)
                if first != row.name and not domain.startswith(("/", "!")) and ":" not in domain:
                    what = f"do not list domain {domain} in BOTH {first} and {row.name}"
                    place = row.name if self._settings.is_set(row.name) else first
                    yield self._find(Severity.WARNING, place, what, f"it is handled as {first} says", "take one out")


def _guess(name: str, more: tuple[str, ...] = ()) -> str:
    guess = catalog.did_you_mean(name, more)
    return f'did you mean "{guess}"?' if guess and guess != name else ""


def service_names(configuration: Configuration) -> Mapping[str, str]:
    """Give the parameters that exist because of services in master.cf, with their defaults."""
    return service_parameters(configuration.master.services)
