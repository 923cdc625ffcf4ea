"""ldap: a search in directories by LDAP version 3.

The key stands quoted in search_base (RFC 4514) and query_filter (RFC 4515), so it can be a value and nothing else.
Servers are tried in the order in which they are written. Referrals are not followed: where an answer would need one,
the lookup fails instead of finding nothing. Which attributes are taken: ldap_result.py.
Source: ldap_table(5).
"""

import ssl
from collections.abc import Sequence
from typing import Final

from posthouse.protocol.ldap.filter import encode_filter, quote_name, quote_value
from posthouse.protocol.ldap.message import NO_SUCH_OBJECT, REFERRAL, SUCCESS, Answer, Entry, Search
from posthouse.protocol.ldap.url import SCOPES, is_url, parse_url
from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import KeyedQuery, Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import Host, Pool, PoolLimits, parse_host
from posthouse.tables.ldap_client import MECHANISMS, LdapConnector, LdapStream, Login
from posthouse.tables.ldap_result import Gatherer, Kind, Wanted
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.util import log

PORTS: Final = {"ldap": 389, "ldaps": 636}
DEFAULT_SOCKET: Final = "/var/run/slapd/ldapi"
RECURSIVE_S: Final = 60.0  # for a lookup with many searches, at least
WITHOUT_EFFECT: Final = ("cache", "cache_expiry", "cache_size", "debuglevel", "tls_random_file")
_LISTS: Final = (
    ("result_attribute", Kind.RESULT, "maildrop"),
    ("special_result_attribute", Kind.SPECIAL, ""),
    ("leaf_result_attribute", Kind.LEAF, ""),
    ("terminal_result_attribute", Kind.TERMINAL, ""),
)


class Ldap(RemoteTable):
    """One search, at any of its servers."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        timeout_s = config.seconds("timeout", 10, 1, 600)
        connector, hosts = _read_servers(config)
        self._pool = Pool(origin.full_name, hosts, connector, PoolLimits(attempt_s=timeout_s, in_order=True))
        config.required("search_base")
        self._base = Template(read_template(config, "search_base"))
        self._filter = Template(read_template(config, "query_filter", "mailacceptinggeneralid=%s"))
        self._check_filter(config)
        self._keyed = KeyedQuery(origin.full_name, Template(self._base.text + self._filter.text), config, opener)
        self._kinds = _read_kinds(config)
        recursive = Kind.SPECIAL in self._kinds.values()
        super().__init__(origin, timeout_s=max(self._pool.timeout_s + 1, RECURSIVE_S if recursive else 0))
        self._scope = _read_scope(config)
        value_limit = config.integer("expansion_limit", 0)
        self._size_limit = config.integer("size_limit", value_limit)
        self._dereference = config.integer("dereference", 0, 0, 3)
        self._chase = config.integer("chase_referrals", 0, 0, 1) == 1
        self._time_limit_s = int(timeout_s)
        recursion_limit = config.integer("recursion_limit", 1000, 1)
        self._gatherer = Gatherer(self.name, self._kinds, recursion_limit=recursion_limit, value_limit=value_limit)
        _warn_of_what_has_no_effect(config)
        config.finish()

    async def _ask(self, key: str) -> str | None:
        parts = await self._keyed.parts(key)
        if parts is None:
            return None
        base, text = self._base.fill(parts, quote_name), self._filter.fill(parts, quote_value)
        first = Wanted(base, self._scope, text, self._kinds, 1)
        return self._keyed.join(await self._gatherer.gather(first, self._find), parts)

    async def _find(self, wanted: Wanted) -> Sequence[Entry]:
        """Make one search. Raises TableError."""
        try:
            encoded = encode_filter(wanted.filter)
        except ValueError as error:
            raise self.failure(f"filter {wanted.filter}: {error}") from None
        search = Search(
            wanted.base,
            wanted.scope,
            encoded,
            tuple(wanted.kinds),
            self._dereference,
            self._size_limit,
            self._time_limit_s,
        )

        async def run(connection: LdapStream) -> Answer:
            return await connection.search(search)

        answer = await self._pool.ask(run)
        code = answer.result.code
        if code == NO_SUCH_OBJECT and (wanted.depth > 1 or self._base.letters):
            return ()  # nobody promised that it is there
        if code != SUCCESS or (self._chase and answer.references):
            why = str(answer.result) if code not in (SUCCESS, REFERRAL) else "a referral, which is not followed"
            log.warning(f"{self.name}: search at {wanted.base}: {why}")
            raise self.failure(why)
        return answer.entries

    def _check_filter(self, config: ClientConfig) -> None:
        """Try the filter with a key, so that a parenthesis too few is found at once. Raises ConfigError."""
        try:
            encode_filter(self._filter.fill(Parts("x@x", "x", "x", ("x",) * 9)))
        except ValueError as error:
            raise config.error("query_filter", str(error)) from None

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


def _read_kinds(config: ClientConfig) -> dict[str, Kind]:
    """Read which attributes count. One that is in several lists is what the later list says. Raises ConfigError."""
    kinds: dict[str, Kind] = {}
    for name, kind, default in _LISTS:
        listed = config.items(name, default)
        kinds |= {attribute.lower(): kind for attribute in listed}
    if not kinds:
        raise config.error("result_attribute", "there is no attribute in any list, so nothing can be found")
    return kinds


def _read_scope(config: ClientConfig) -> int:
    text = config.text("scope", "sub").lower()
    if text not in SCOPES:
        raise config.error("scope", f'"{text}" is not one of sub, one, base')
    return SCOPES[text]


def _read_servers(config: ClientConfig) -> tuple[LdapConnector, list[Host]]:
    """Read servers, login and TLS. Raises ConfigError."""
    port = config.integer("server_port", PORTS["ldap"], 1, 65535)
    hosts = []
    for text in config.items("server_host") or ("localhost",):
        try:
            hosts.append(_host(text, port))
        except ValueError as error:
            raise config.error("server_host", str(error)) from None
    version = config.integer("version", 3)
    if version != 3:
        raise config.error("version", "there is LDAP version 3 only; servers do not speak older ones any more")
    start_tls = config.boolean("start_tls", default=False)
    encrypted = start_tls or any(host.source == "ldaps" for host in hosts)
    tls = _read_tls(config)
    login = _read_login(config)
    if config.integer("sasl_minssf", 0) and login.mechanism in MECHANISMS and not encrypted:
        raise config.error("sasl_minssf", "no mechanism here encrypts by itself; use ldaps: or start_tls")
    return LdapConnector(login, tls if encrypted else None, start_tls=start_tls), hosts


def _host(text: str, default_port: int) -> Host:
    """Read a URL, host or host:port. Raises ValueError."""
    if not is_url(text):
        return parse_host(text, default_port)._replace(source="ldap")
    url = parse_url(text)
    if url.scheme == "ldapi":
        return Host(text, path=url.host or DEFAULT_SOCKET, source="ldapi")
    return parse_host(url.host or "localhost", PORTS[url.scheme])._replace(text=text, source=url.scheme)


def _read_login(config: ClientConfig) -> Login:
    """Read how to log in. Raises ConfigError."""
    bind = config.text("bind", "yes").lower()
    user, password = config.text("bind_dn"), config.text("bind_pw")
    mechanisms = [name.upper() for name in config.items("sasl_mechs")]
    authorization_id = config.text("sasl_authz_id")
    realm = config.text("sasl_realm")
    if bind in ("no", "none"):
        return Login()
    if bind in ("yes", "simple"):
        return Login("SIMPLE", user, password) if user else Login()
    if bind != "sasl":
        raise config.error("bind", f'"{bind}" is not one of yes, simple, no, none, sasl')
    known = [name for name in mechanisms if name in MECHANISMS]
    if not known:
        raise config.error("sasl_mechs", f"none of them is here; there are {', '.join(MECHANISMS)}")
    if realm:
        log.warning(f"{config.file}: sasl_realm has no effect with {known[0]}")
    return Login(known[0], user, password, authorization_id)


def _read_tls(config: ClientConfig) -> ssl.SSLContext:
    """Make what TLS needs. Raises ConfigError: a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    ca_file, ca_dir = config.text("tls_ca_cert_file"), config.text("tls_ca_cert_dir")
    cert, key, ciphers = (config.text(name) for name in ("tls_cert", "tls_key", "tls_cipher_suite"))
    if not config.boolean("tls_require_cert", default=False):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if ca_file or ca_dir:
            context.load_verify_locations(ca_file or None, ca_dir or None)
        elif context.verify_mode is not ssl.CERT_NONE:
            context.load_default_certs()
        if cert:
            context.load_cert_chain(cert, key or None)
        if ciphers:
            context.set_ciphers(ciphers)
    except OSError as error:
        raise config.error("tls_cert" if cert else "tls_ca_cert_file", f"TLS cannot be set up: {error}") from None
    return context


def _warn_of_what_has_no_effect(config: ClientConfig) -> None:
    for name in WITHOUT_EFFECT:
        if config.text(name, "0") not in ("0", "no"):
            log.warning(f"{config.file}: {name} has no effect here")


def open_table(origin: Origin, opener: Opener) -> Ldap:
    """Open ldap:/path/file.cf. Raises ConfigError."""
    return Ldap(origin, opener, read_config(origin, opener.settings))
