"""Options: the settings of one smtp, relay or lmtp process, read once, under smtp_ or lmtp_ names."""

import socket
from dataclasses import dataclass
from typing import Final, TypeVar

from posthouse.config.endpoints import find_port, parse_tcp_ports
from posthouse.config.own_addresses import own_address_texts, own_interfaces
from posthouse.config.parameter import ConfigValueError, Parameter
from posthouse.config.parameters import INET_INTERFACES, INET_PROTOCOLS, MYHOSTNAME, RELAYHOST
from posthouse.config.settings import Settings
from posthouse.daemons.smtp import parameters as row
from posthouse.daemons.smtp.parameters import lmtp_row
from posthouse.protocol.smtp.client import ClientSettings, Stage

T = TypeVar("T")

# postconf(5) smtp_tls_security_level: with these, mail must not go out in plain text
_TLS_REQUIRED: Final = frozenset({"encrypt", "fingerprint", "dane-only", "verify", "secure"})


@dataclass(frozen=True, slots=True)
class Lookup:
    """How hosts are found."""

    sources: tuple[str, ...]  # "dns", "native"
    use_dns: bool
    ignore_mx_error: bool
    defer_without_address: bool
    families: tuple[str, ...]  # "A", "AAAA"
    own_addresses: frozenset[str]
    default_port: int
    ports: dict[str, int]  # postconf(5): known_tcp_ports
    myhostname: str
    queue_directory: str


@dataclass(frozen=True, slots=True)
class Choice:
    """In which order addresses are tried, and how many."""

    randomize: bool
    preference: str
    balance: bool
    address_limit: int
    session_limit: int


@dataclass(frozen=True, slots=True)
class Reuse:
    """When a session is kept."""

    on_demand: bool
    destinations: frozenset[str]
    idle_s: float
    time_s: float
    count: int


@dataclass(frozen=True, slots=True)
class Options:
    """Everything."""

    lmtp: bool
    client: ClientSettings
    client_without_ehlo: ClientSettings
    lookup: Lookup
    choice: Choice
    reuse: Reuse
    timeouts: dict[Stage, float]
    connect_s: float
    bind: dict[int, str]  # address family: source address
    bind_enforce: bool
    always_ehlo: bool
    skip_5xx_greeting: bool
    skip_quit_response: bool
    line_length_limit: int
    assume_final: bool
    fallback: str
    relayhost: str
    why_not: str  # not empty: main.cf asks for what is not built, and mail must wait
    soft_530: bool  # 530 asks for TLS or AUTH, which are configured but not built


def read_options(settings: Settings, queue_directory: str) -> Options:
    """Read the settings of this process. Raises ConfigError."""
    lmtp = settings.process_name == "lmtp"

    def get(parameter: Parameter[T]) -> T:
        return settings[lmtp_row(parameter) if lmtp else parameter]

    discard = frozenset(word.upper() for word in get(row.SMTP_DISCARD_EHLO_KEYWORDS))
    name = get(row.SMTP_HELO_NAME)
    ehlo = lmtp or not settings[row.SMTP_NEVER_SEND_EHLO]
    prefix = "lmtp" if lmtp else "smtp"
    tls = settings.text(f"{prefix}_tls_security_level").lower()
    wrapper = settings.text(f"{prefix}_tls_wrappermode").lower() == "yes"
    return Options(
        lmtp=lmtp,
        client=ClientSettings(name, lmtp, discard, ehlo),
        client_without_ehlo=ClientSettings(name, lmtp, discard, send_ehlo=False),
        lookup=_read_lookup(settings, queue_directory, lmtp=lmtp),
        choice=Choice(
            get(row.SMTP_RANDOMIZE_ADDRESSES),
            get(row.SMTP_ADDRESS_PREFERENCE),
            get(row.SMTP_BALANCE_INET_PROTOCOLS),
            get(row.SMTP_MX_ADDRESS_LIMIT),
            get(row.SMTP_MX_SESSION_LIMIT),
        ),
        reuse=Reuse(
            get(row.SMTP_CONNECTION_CACHE_ON_DEMAND),
            frozenset(name.lower() for name in get(row.SMTP_CONNECTION_CACHE_DESTINATIONS)),
            get(row.SMTP_CONNECTION_CACHE_TIME_LIMIT),
            get(row.SMTP_CONNECTION_REUSE_TIME_LIMIT),
            get(row.SMTP_CONNECTION_REUSE_COUNT_LIMIT),
        ),
        timeouts=_read_timeouts(settings, lmtp=lmtp),
        connect_s=get(row.SMTP_CONNECT_TIMEOUT),
        bind=_read_bind(settings, get(row.SMTP_BIND_ADDRESS), get(row.SMTP_BIND_ADDRESS6)),
        bind_enforce=get(row.SMTP_BIND_ADDRESS_ENFORCE),
        always_ehlo=lmtp or settings[row.SMTP_ALWAYS_SEND_EHLO],
        skip_5xx_greeting=get(row.SMTP_SKIP_5XX_GREETING),
        skip_quit_response=get(row.SMTP_SKIP_QUIT_RESPONSE),
        line_length_limit=get(row.SMTP_LINE_LENGTH_LIMIT),
        assume_final=lmtp and settings[row.LMTP_ASSUME_FINAL],
        fallback=" ".join(get(row.SMTP_FALLBACK_RELAY)),
        relayhost=settings[RELAYHOST],
        why_not="TLS is required, but this release has none" if wrapper or tls in _TLS_REQUIRED else "",
        soft_530=bool(tls) or settings.text(f"{prefix}_sasl_auth_enable").lower() == "yes",
    )


def _read_lookup(settings: Settings, queue_directory: str, *, lmtp: bool) -> Lookup:
    def get(parameter: Parameter[T]) -> T:
        return settings[lmtp_row(parameter) if lmtp else parameter]

    level = get(row.SMTP_DNS_SUPPORT_LEVEL)
    protocols = {word.lower() for word in settings[INET_PROTOCOLS]}
    families = tuple(
        kind for kind, name in (("A", "ipv4"), ("AAAA", "ipv6")) if name in protocols or "all" in protocols
    )
    ports = parse_tcp_ports(settings.text("known_tcp_ports"))
    try:
        port = find_port(get(row.SMTP_TCP_PORT), ports)
    except ConfigValueError as error:
        raise settings.error("lmtp_tcp_port" if lmtp else "smtp_tcp_port", str(error)) from None
    return Lookup(
        sources=tuple(word.lower() for word in get(row.SMTP_HOST_LOOKUP)),
        use_dns=level != "disabled" and not (level == "" and settings[row.DISABLE_DNS_LOOKUPS]),
        ignore_mx_error=settings[row.IGNORE_MX_LOOKUP_ERROR],
        defer_without_address=get(row.SMTP_DEFER_IF_NO_MX_ADDRESS_FOUND),
        families=families or ("A", "AAAA"),
        own_addresses=own_address_texts(settings),
        default_port=port,
        ports=ports,
        myhostname=settings[MYHOSTNAME],
        queue_directory=queue_directory,
    )


def _read_timeouts(settings: Settings, *, lmtp: bool) -> dict[Stage, float]:
    def get(parameter: Parameter[T]) -> T:
        return settings[lmtp_row(parameter) if lmtp else parameter]

    hello = get(row.SMTP_HELO_TIMEOUT)
    return {
        Stage.GREETING: hello,
        Stage.EHLO: hello,
        Stage.HELO: hello,
        Stage.LHLO: hello,
        Stage.STARTTLS: hello,
        Stage.MAIL: get(row.SMTP_MAIL_TIMEOUT),
        Stage.RCPT: get(row.SMTP_RCPT_TIMEOUT),
        Stage.DATA: get(row.SMTP_DATA_INIT_TIMEOUT),
        Stage.CONTENT: get(row.SMTP_DATA_XFER_TIMEOUT),
        Stage.END: get(row.SMTP_DATA_DONE_TIMEOUT),
        Stage.RSET: get(row.SMTP_RSET_TIMEOUT),
        Stage.QUIT: get(row.SMTP_QUIT_TIMEOUT),
        Stage.IDLE: get(row.SMTP_CONNECTION_CACHE_TIME_LIMIT),
    }


def _read_bind(settings: Settings, ipv4: str, ipv6: str) -> dict[int, str]:
    """Find source addresses: the configured ones, else the only address of inet_interfaces (a virtual host)."""
    bind: dict[int, str] = {}
    if {word.lower() for word in settings[INET_INTERFACES]}.isdisjoint({"all", "loopback-only"}):
        for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            own = [item.address for item in own_interfaces(settings.text) if item.address.version == version]
            if len(own) == 1 and not own[0].is_loopback:
                bind[family] = str(own[0])
    if ipv4:
        bind[socket.AF_INET] = ipv4
    if ipv6:
        bind[socket.AF_INET6] = ipv6
    return bind
