"""What smtp(8) reads from main.cf. Where it runs as lmtp, each row stands under its lmtp_ name.

Names and defaults are Postfix's. What is not here is not built yet (TLS, SASL); config names it once at start where it
is set.
"""

from typing import Any, Final, TypeVar

from posthouse.config.parameter import Boolean, Enum, Integer, NameList, Parameter, Patterns, String, Tables, Time
from posthouse.config.parameters import (
    HEADER_SIZE_LIMIT,
    INET_INTERFACES,
    INET_PROTOCOLS,
    IPC_TIMEOUT,
    LINE_LENGTH_LIMIT,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    OWNER_REQUEST_SPECIAL,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    PROXY_INTERFACES,
    PROXYMAP_SERVICE_NAME,
    RECIPIENT_DELIMITER,
    RELAYHOST,
    SMTPUTF8_ENABLE,
)

SMTP_TCP_PORT: Final = String("smtp_tcp_port", "smtp", doc="The port to connect to where a destination names none.")
SMTP_HELO_NAME: Final = String(
    "smtp_helo_name",
    "$myhostname",
    doc="The name given with HELO, EHLO or LHLO; one that leads back to the address of this host.",
    minimum_length=1,
)
SMTP_HOST_LOOKUP: Final = NameList(
    "smtp_host_lookup", "dns", doc="Where hosts are looked up: dns, native (the hosts file first), or both."
)
SMTP_DNS_SUPPORT_LEVEL: Final = Enum(
    "smtp_dns_support_level",
    "",
    doc="How DNS is used: disabled means the hosts file only, without MX; empty, as disable_dns_lookups says.",
    choices=("", "disabled", "enabled", "dnssec"),
)
DISABLE_DNS_LOOKUPS: Final = Boolean(
    "disable_dns_lookups", "no", doc="Use no DNS (the older way to say smtp_dns_support_level = disabled)."
)
FALLBACK_RELAY: Final = NameList(
    "fallback_relay", "", doc="Old name of smtp_fallback_relay, which has this value when it is not set."
)
SMTP_FALLBACK_RELAY: Final = NameList(
    "smtp_fallback_relay", "$fallback_relay", doc="Destinations to try when the recipient's own do not work."
)
SMTP_ADDRESS_PREFERENCE: Final = Enum(
    "smtp_address_preference",
    "any",
    doc="Which of IPv6 and IPv4 addresses of a destination are tried first: any, ipv4, ipv6.",
    choices=("any", "ipv4", "ipv6"),
)
SMTP_BALANCE_INET_PROTOCOLS: Final = Boolean(
    "smtp_balance_inet_protocols", "yes", doc="Keep addresses of both families within smtp_mx_address_limit."
)
SMTP_RANDOMIZE_ADDRESSES: Final = Boolean(
    "smtp_randomize_addresses", "yes", doc="Shuffle servers of equal preference, so that they share the load."
)
SMTP_MX_ADDRESS_LIMIT: Final = Integer(
    "smtp_mx_address_limit", "5", doc="How many addresses of a destination's servers are tried at most; 0: all."
)
SMTP_MX_SESSION_LIMIT: Final = Integer(
    "smtp_mx_session_limit", "2", doc="How many sessions one delivery may begin before it is put off; 0: any."
)
SMTP_DEFER_IF_NO_MX_ADDRESS_FOUND: Final = Boolean(
    "smtp_defer_if_no_mx_address_found", "no", doc="Put mail off when no MX host has an address."
)
IGNORE_MX_LOOKUP_ERROR: Final = Boolean(
    "ignore_mx_lookup_error", "no", doc="Look up the address of the domain when its MX lookup fails."
)
SMTP_BIND_ADDRESS: Final = String(
    "smtp_bind_address", "", doc="The source address of IPv4 connections; empty: the kernel's choice."
)
SMTP_BIND_ADDRESS6: Final = String(
    "smtp_bind_address6", "", doc="The source address of IPv6 connections; empty: the kernel's choice."
)
SMTP_BIND_ADDRESS_ENFORCE: Final = Boolean(
    "smtp_bind_address_enforce", "no", doc="Put mail off when the source address cannot be used."
)
SMTP_ALWAYS_SEND_EHLO: Final = Boolean(
    "smtp_always_send_ehlo", "yes", doc="Send EHLO even to a server that does not say ESMTP."
)
SMTP_NEVER_SEND_EHLO: Final = Boolean(
    "smtp_never_send_ehlo", "no", doc="Never send EHLO, only HELO: no extension of SMTP is used."
)
SMTP_SKIP_5XX_GREETING: Final = Boolean(
    "smtp_skip_5xx_greeting", "yes", doc="Try the next server when one greets with 5xx, in place of returning the mail."
)
SMTP_SKIP_QUIT_RESPONSE: Final = Boolean(
    "smtp_skip_quit_response", "yes", doc="Hang up after QUIT without waiting for the reply."
)
SMTP_DISCARD_EHLO_KEYWORDS: Final = NameList(
    "smtp_discard_ehlo_keywords", "", doc="EHLO keywords to take no notice of."
)
SMTP_CONNECT_TIMEOUT: Final = Time(
    "smtp_connect_timeout", "30s", doc="How long a connection may take to be made; 0: as the system says."
)
SMTP_HELO_TIMEOUT: Final = Time(
    "smtp_helo_timeout", "300s", doc="How long the greeting, and the reply to EHLO, may take.", minimum_s=1
)
SMTP_MAIL_TIMEOUT: Final = Time("smtp_mail_timeout", "300s", doc="How long the reply to MAIL may take.", minimum_s=1)
SMTP_RCPT_TIMEOUT: Final = Time("smtp_rcpt_timeout", "300s", doc="How long the reply to RCPT may take.", minimum_s=1)
SMTP_DATA_INIT_TIMEOUT: Final = Time(
    "smtp_data_init_timeout", "120s", doc="How long the reply to DATA may take.", minimum_s=1
)
SMTP_DATA_XFER_TIMEOUT: Final = Time(
    "smtp_data_xfer_timeout", "180s", doc="How long the connection may stall while content is sent.", minimum_s=1
)
SMTP_DATA_DONE_TIMEOUT: Final = Time(
    "smtp_data_done_timeout", "600s", doc="How long the reply to the end of the content may take.", minimum_s=1
)
SMTP_RSET_TIMEOUT: Final = Time("smtp_rset_timeout", "20s", doc="How long the reply to RSET may take.", minimum_s=1)
SMTP_QUIT_TIMEOUT: Final = Time("smtp_quit_timeout", "300s", doc="How long the reply to QUIT may take.", minimum_s=1)
SMTP_CONNECTION_CACHE_ON_DEMAND: Final = Boolean(
    "smtp_connection_cache_on_demand", "yes", doc="Keep a session open while more mail for its destination waits."
)
SMTP_CONNECTION_CACHE_DESTINATIONS: Final = Patterns(
    "smtp_connection_cache_destinations", "", doc="Destinations whose sessions are always kept open for a moment."
)
SMTP_CONNECTION_CACHE_TIME_LIMIT: Final = Time(
    "smtp_connection_cache_time_limit", "2s", doc="How long an idle session is kept open.", minimum_s=1
)
SMTP_CONNECTION_REUSE_TIME_LIMIT: Final = Time(
    "smtp_connection_reuse_time_limit", "300s", doc="How long a session may be used again.", minimum_s=1
)
SMTP_CONNECTION_REUSE_COUNT_LIMIT: Final = Integer(
    "smtp_connection_reuse_count_limit", "0", doc="How many deliveries a session may make; 0: any number."
)
SMTP_LINE_LENGTH_LIMIT: Final = Integer(
    "smtp_line_length_limit", "998", doc="Octets of a line of content beyond which it is cut in two; 0: never."
)
SMTP_GENERIC_MAPS: Final = Tables(
    "smtp_generic_maps", "", doc="Tables that replace local addresses by Internet addresses as mail leaves."
)
SMTP_HEADER_CHECKS: Final = Tables(
    "smtp_header_checks",
    "",
    doc="As header_checks, on mail as it leaves; only actions that change or note headers.",
)
SMTP_MIME_HEADER_CHECKS: Final = Tables(
    "smtp_mime_header_checks",
    "",
    doc="As mime_header_checks, on mail as it leaves; only actions that change or note headers.",
)
SMTP_NESTED_HEADER_CHECKS: Final = Tables(
    "smtp_nested_header_checks",
    "",
    doc="As nested_header_checks, on mail as it leaves; only actions that change or note headers.",
)
SMTP_BODY_CHECKS: Final = Tables(
    "smtp_body_checks", "", doc="As body_checks, on mail as it leaves; only actions that change or note lines."
)
DISABLE_MIME_OUTPUT_CONVERSION: Final = Boolean(
    "disable_mime_output_conversion",
    "no",
    doc="Never convert 8-bit content to 7 bits for servers that do not offer 8BITMIME.",
)
LMTP_ASSUME_FINAL: Final = Boolean(
    "lmtp_assume_final", "no", doc="Report mail as delivered where the LMTP server offers no DSN."
)

SMTP_PARAMETERS: Final = (
    SMTP_TCP_PORT,
    SMTP_HELO_NAME,
    SMTP_HOST_LOOKUP,
    SMTP_DNS_SUPPORT_LEVEL,
    SMTP_FALLBACK_RELAY,
    SMTP_ADDRESS_PREFERENCE,
    SMTP_BALANCE_INET_PROTOCOLS,
    SMTP_RANDOMIZE_ADDRESSES,
    SMTP_MX_ADDRESS_LIMIT,
    SMTP_MX_SESSION_LIMIT,
    SMTP_DEFER_IF_NO_MX_ADDRESS_FOUND,
    SMTP_BIND_ADDRESS,
    SMTP_BIND_ADDRESS6,
    SMTP_BIND_ADDRESS_ENFORCE,
    SMTP_ALWAYS_SEND_EHLO,
    SMTP_NEVER_SEND_EHLO,
    SMTP_SKIP_5XX_GREETING,
    SMTP_SKIP_QUIT_RESPONSE,
    SMTP_DISCARD_EHLO_KEYWORDS,
    SMTP_CONNECT_TIMEOUT,
    SMTP_HELO_TIMEOUT,
    SMTP_MAIL_TIMEOUT,
    SMTP_RCPT_TIMEOUT,
    SMTP_DATA_INIT_TIMEOUT,
    SMTP_DATA_XFER_TIMEOUT,
    SMTP_DATA_DONE_TIMEOUT,
    SMTP_RSET_TIMEOUT,
    SMTP_QUIT_TIMEOUT,
    SMTP_CONNECTION_CACHE_ON_DEMAND,
    SMTP_CONNECTION_CACHE_DESTINATIONS,
    SMTP_CONNECTION_CACHE_TIME_LIMIT,
    SMTP_CONNECTION_REUSE_TIME_LIMIT,
    SMTP_CONNECTION_REUSE_COUNT_LIMIT,
    SMTP_LINE_LENGTH_LIMIT,
    SMTP_GENERIC_MAPS,
    SMTP_HEADER_CHECKS,
    SMTP_MIME_HEADER_CHECKS,
    SMTP_NESTED_HEADER_CHECKS,
    SMTP_BODY_CHECKS,
)
# Where lmtp's row differs in more than its first letter: (name, default); None: the same default.
_LMTP: Final[dict[str, tuple[str, str | None]]] = {
    "smtp_tcp_port": ("lmtp_tcp_port", "24"),
    "smtp_helo_name": ("lmtp_lhlo_name", None),
    "smtp_helo_timeout": ("lmtp_lhlo_timeout", None),
    "smtp_discard_ehlo_keywords": ("lmtp_discard_lhlo_keywords", None),
    "smtp_fallback_relay": ("lmtp_fallback_relay", ""),
    "smtp_skip_quit_response": ("lmtp_skip_quit_response", "no"),
    "smtp_connect_timeout": ("lmtp_connect_timeout", "0s"),
}
_SMTP_ONLY: Final = frozenset({"smtp_always_send_ehlo", "smtp_never_send_ehlo"})


RowT = TypeVar("RowT", bound=Parameter[Any])


def lmtp_row(row: RowT) -> RowT:
    """Give lmtp's row of a smtp_ row."""
    name, default = _LMTP.get(row.name, ("lmtp_" + row.name.removeprefix("smtp_"), None))
    return row.renamed(name, default)


PARAMETERS: Final = (
    *SMTP_PARAMETERS,
    *(lmtp_row(row) for row in SMTP_PARAMETERS if row.name not in _SMTP_ONLY),
    DISABLE_DNS_LOOKUPS,
    DISABLE_MIME_OUTPUT_CONVERSION,
    FALLBACK_RELAY,
    HEADER_SIZE_LIMIT,
    IGNORE_MX_LOOKUP_ERROR,
    INET_INTERFACES,
    INET_PROTOCOLS,
    IPC_TIMEOUT,
    LINE_LENGTH_LIMIT,
    LMTP_ASSUME_FINAL,
    MIME_BOUNDARY_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYORIGIN,
    OWNER_REQUEST_SPECIAL,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    PROXYMAP_SERVICE_NAME,
    PROXY_INTERFACES,
    RECIPIENT_DELIMITER,
    RELAYHOST,
    SMTPUTF8_ENABLE,
)
