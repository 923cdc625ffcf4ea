"""Which settings are used: by a daemon, or by a $name in another value. The rest is probably a typing mistake.

Every value is searched for references, also one that is itself unused. A name is looked for in the -o settings of the
service first, then in main.cf. Names in smtpd_restriction_classes are used, and so are "foo_domain" and its like when
a used value has the table ldap:foo (attributes in main.cf are the old way to define such a table).
Sources: postconf(1); facts B01.07.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from posthouse.config import catalog
from posthouse.config.deprecated import REMOVED
from posthouse.config.expand import ExpansionLoopError, expand_value
from posthouse.config.lists import comment_fault, cut_comment, split_tokens, split_words, unwrap
from posthouse.config.master_cf import Service

# A name that a brace follows, as in ${domain_to_ascii{...}}, is a function.
_REFERENCE: Final = re.compile(r"\$(?:\$|[{(]\s*([A-Za-z0-9_]++)(?!\s*\{)|([A-Za-z0-9_]+))", re.ASCII)
_CLASSES: Final = "smtpd_restriction_classes"
AGENTS: Final = frozenset({"error", "lmtp", "local", "pipe", "smtp", "virtual"})  # programs with transport families
TIME_LIMITED: Final = frozenset({"pipe", "spawn"})
_TIME_LIMIT: Final = "_time_limit"

_COMMON: Final = "domain result_format expansion_limit "
_SQL: Final = _COMMON + (
    "hosts user password dbname query table select_field where_field additional_conditions select_function "
    "idle_interval retry_interval "
)
_MEMCACHE: Final = "memcache backup domain flags ttl timeout key_format "
TABLE_ATTRIBUTES: Final = {
    "ldap": frozenset(
        (
            _COMMON + "server_host server_port timeout search_base query_filter result_filter result_attribute "
            "special_result_attribute terminal_result_attribute leaf_result_attribute scope bind bind_dn bind_pw cache "
            "cache_expiry cache_size recursion_limit size_limit dereference chase_referrals debuglevel version "
            "search_timeout start_tls tls_ca_cert_dir tls_ca_cert_file tls_cert tls_key tls_require_cert "
            "tls_random_file tls_cipher_suite sasl_mechs sasl_realm sasl_authz_id sasl_minssf"
        ).split()
    ),
    "memcache": frozenset((_MEMCACHE + "data_size_limit line_size_limit max_try retry_pause").split()),
    "mongodb": frozenset((_COMMON + "uri dbname collection query_filter projection result_attribute").split()),
    "mysql": frozenset(
        (
            _SQL + "option_file option_group charset require_result_set tls_cert_file tls_key_file tls_CAfile "
            "tls_CApath tls_ciphers tls_verify_cert"
        ).split()
    ),
    "pgsql": frozenset((_SQL + "encoding").split()),
    "sqlite": frozenset((_COMMON + "dbpath query table select_field where_field additional_conditions").split()),
}
_COMPOSITE: Final = re.compile(r"(?:[a-z]+:)*(?:pipemap|unionmap|randmap):\{", re.ASCII)
_RULE_TYPES: Final = ("inline", "regexp", "pcre", "cidr")  # their rules may stand in main.cf
_TABLE: Final = re.compile(rf"\b({'|'.join(TABLE_ATTRIBUTES)}):([A-Za-z0-9_./-]+)", re.ASCII)


class Override(NamedTuple):
    """One -o setting."""

    service: Service
    name: str
    value: str


class Usage(NamedTuple):
    """The outcome."""

    macros: frozenset[str]  # settings of main.cf that are no parameters, and are used
    unused: tuple[str, ...]  # names in main.cf that nobody uses, in order
    unused_overrides: tuple[Override, ...]
    undefined: tuple[str, ...]  # names that values of main.cf refer to and nobody defines, in order
    undefined_overrides: tuple[str, ...]  # the same for values in master.cf
    table_files: tuple[tuple[str, str], ...]  # (type, path) of tables that are defined in files of their own
    brace_faults: tuple[str, ...]  # what is wrong with the braces of pipemap:{...} and its like
    comment_faults: tuple[str, ...] = ()  # comments between or in the rules of inline:{...} and its like


def references(text: str) -> list[str]:
    """Give the names that a value refers to, each once, in order."""
    return list(dict.fromkeys(match[match.lastindex] for match in _REFERENCE.finditer(text) if match.lastindex))


def brace_faults(text: str) -> Iterable[str]:
    """Say what is wrong with the braces of tables that are made of other tables."""
    for item in split_tokens(text):
        _, found, payload = item.partition(":{")
        if not found or _COMPOSITE.match(item) is None:
            continue
        _, fault = unwrap("{" + payload)
        if fault:
            yield fault


def comment_faults(text: str) -> Iterable[tuple[str, str]]:
    """Give (table type, what is wrong) for comments behind other text in rules that are written in main.cf.

    They look like comments and are none: there is no line end that could end them. In a pattern, # is a character.
    """
    for item in split_tokens(text):
        name, found, payload = item.partition(":{")
        kind = name.rpartition(":")[2]
        if not found or kind not in _RULE_TYPES:
            continue
        rules, comment = cut_comment(tuple(split_tokens(unwrap("{" + payload)[0])))
        entries = [cut_comment(split_words(unwrap(rule)[0], braces=True)) for rule in rules if kind == "inline"]
        for before, comments in [*entries, (rules, comment)]:
            if before and comments:
                yield kind, comment_fault(comments)


def service_parameters(services: Iterable[Service]) -> dict[str, str]:
    """Give the names and defaults of the parameters that exist because of services in master.cf (facts B01.09)."""
    found: dict[str, str] = {}
    for service in services:
        is_agent = service.type == "unix" and service.program in AGENTS
        for suffix, entry in catalog.families().items():
            name = service.name + suffix
            wanted = service.program in TIME_LIMITED if suffix == _TIME_LIMIT else is_agent
            own = catalog.entries().get(name)
            if wanted and (own is None or own.status == "instance"):
                found[name] = entry.default if own is None else own.default
    return found


def merged(services: Iterable[Service]) -> tuple[Service, ...]:
    """Give the services with what their -o settings come to: entries of one name and type share them, later ones count.

    Names that nobody can set are left out.
    """
    found: dict[tuple[str, str], Service] = {}
    for service in services:
        before = found.get(service.key)
        overrides = {**dict(before.overrides if before else ()), **dict(service.overrides)}
        settable = {name: value for name, value in overrides.items() if name not in catalog.READ_ONLY}
        found[service.key] = service._replace(overrides=tuple(settable.items()))
    return tuple(found.values())


def find_usage(values: Mapping[str, str], services: Iterable[Service]) -> Usage:
    """Find out what of main.cf (`values`) and of the services' -o settings is used."""
    return _Search(values, merged(services)).run()


def _is_raw(name: str) -> bool:
    entry = catalog.entries().get(name)
    return entry is not None and entry.is_raw


class _Scope:
    """Where names are looked up: a service's -o settings over main.cf, or main.cf alone."""

    def __init__(self, main: Mapping[str, str], own: Mapping[str, str], is_known: Callable[[str], bool]) -> None:
        self.main = main
        self.own = own
        self.used: set[str] = set()  # of `own`
        self.used_main: set[str] = set()
        self.undefined: dict[str, None] = {}
        self._is_known = is_known

    def lookup(self, name: str) -> str | None:
        """Give a raw value, for expansion."""
        text = self.own.get(name)
        text = self.main.get(name) if text is None else text
        return catalog.default_of(name) if text is None else text

    def expanded(self, text: str) -> str:
        """Expand as far as it goes; mistakes are somebody else's business here."""
        try:
            return expand_value(text, self.lookup).text
        except ExpansionLoopError:
            return ""

    def use(self, name: str) -> None:
        """Mark a name that is referred to."""
        if name in self.own:
            self.used.add(name)
        elif name in self.main:
            self.used_main.add(name)
        elif not self._is_known(name):
            self.undefined[name] = None

    def search(self, texts: Iterable[str]) -> None:
        """Mark what these values refer to."""
        for text in texts:
            for name in references(text):
                self.use(name)

    def search_classes(self) -> None:
        """Mark the restriction classes."""
        for name in split_tokens(self.expanded(self.lookup(_CLASSES) or "")):
            self.use(name)


class _Search:
    """One run over a configuration."""

    def __init__(self, values: Mapping[str, str], services: tuple[Service, ...]) -> None:
        self._values = values
        self._services = services
        self._known = frozenset(service_parameters(services))
        self._files: dict[tuple[str, str], None] = {}
        self._brace_faults: dict[str, None] = {}
        self._comment_faults: dict[tuple[str, str], None] = {}

    def run(self) -> Usage:
        """Search main.cf by itself, then as each service sees it."""
        main = _Scope(self._values, {}, self._is_known)
        # Raw parameters are expanded at use, by names of their daemon's alone ($home, $rbl_domain ...).
        main.search(text for name, text in self._values.items() if not _is_raw(name))
        main.search_classes()
        scopes = [(service, self._service_scope(service)) for service in self._services if service.overrides]
        used = set().union(main.used_main, *(scope.used_main for _, scope in scopes))
        self._use_attributes(main, used)
        defined = {name for _, scope in scopes for name in scope.own}
        return Usage(
            macros=frozenset(name for name in used if not self._is_known(name)),
            unused=tuple(name for name in self._values if name not in used and not self._is_known(name)),
            unused_overrides=tuple(self._unused_overrides(scopes)),
            undefined=tuple(name for name in main.undefined if name not in defined),
            undefined_overrides=tuple(dict.fromkeys(name for _, scope in scopes for name in scope.undefined)),
            table_files=tuple(self._files),
            brace_faults=tuple(self._brace_faults),
            comment_faults=tuple(why for kind in _RULE_TYPES for found, why in self._comment_faults if found == kind),
        )

    def _is_known(self, name: str) -> bool:
        entry = catalog.entries().get(name)
        if entry is not None and not entry.needs_service:
            return True
        return name in self._known or name in REMOVED

    def _service_scope(self, service: Service) -> _Scope:
        own = dict(service.overrides)
        scope = _Scope(self._values, own, self._is_known)
        # What main.cf refers to is counted above; here it may only reach the service's own settings.
        for name, text in self._values.items():
            if not _is_raw(name):
                scope.used |= {reference for reference in references(text) if reference in own}
        scope.search(text for name, text in own.items() if not _is_raw(name))
        if _CLASSES in own:
            scope.search_classes()
        self._use_attributes(scope, scope.used_main)
        return scope

    def _use_attributes(self, scope: _Scope, used: set[str]) -> None:
        """Mark the attributes of tables that used values name."""
        texts = (scope.own or scope.main).items()
        for name, text in texts:
            if not (self._is_known(name) or name in used or name in scope.used):
                continue
            expanded = scope.expanded(text)
            self._brace_faults |= dict.fromkeys(brace_faults(expanded))
            self._comment_faults |= dict.fromkeys(comment_faults(expanded))
            for kind, table in _TABLE.findall(expanded):
                if "/" in table:
                    self._files[kind, table] = None
                else:
                    used |= {f"{table}_{suffix}" for suffix in TABLE_ATTRIBUTES[kind]} & self._values.keys()

    def _unused_overrides(self, scopes: list[tuple[Service, _Scope]]) -> Iterable[Override]:
        for service, scope in scopes:
            for name, value in service.overrides:
                if name not in scope.used and not self._is_known(name):
                    yield Override(service, name, value)
