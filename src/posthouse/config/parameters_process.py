"""Parameters about processes, the log and internal connections. Read by several daemons."""

from typing import Final

from posthouse.config.parameter import Boolean, Enum, Integer, NameList, Patterns, String, Time
from posthouse.config.settings import Settings

SYSLOG_FACILITIES: Final = (
    "auth",
    "authpriv",
    "cron",
    "daemon",
    "ftp",
    "kern",
    "lpr",
    "mail",
    "news",
    "security",
    "syslog",
    "user",
    "uucp",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
)  # syslog(3)
SYSLOG_NAME: Final = String(
    "syslog_name",
    "${multi_instance_name?{$multi_instance_name}:{postfix}}",
    doc="The first part of the log tag: name/process.",
    minimum_length=1,
)
SYSLOG_FACILITY: Final = Enum(
    "syslog_facility",
    "mail",
    doc="The syslog facility of all lines that daemons and commands log.",
    choices=SYSLOG_FACILITIES,
)
MAILLOG_FILE: Final = String(
    "maillog_file", "", doc="Log to this file, or to /dev/stdout with start-fg; empty: to syslog."
)
MAILLOG_FILE_PREFIXES: Final = NameList(
    "maillog_file_prefixes",
    "/var, /dev/stdout",
    doc="The directories and files that maillog_file must be below, or one of.",
    minimum_items=1,
)
MAILLOG_FILE_PERMISSIONS: Final = String(
    "maillog_file_permissions",
    "0600",
    doc="The mode of a new maillog_file, octal: 0600, 0640 or 0644.",
    minimum_length=1,
)
MAILLOG_FILE_ROTATE_SUFFIX: Final = String(
    "maillog_file_rotate_suffix",
    "%Y%m%d-%H%M%S",
    doc='The strftime(3) pattern of the suffix that "postfix logrotate" gives to the old log file.',
    minimum_length=1,
)
MAILLOG_STDOUT: Final = Boolean(
    "maillog_stdout",
    "no",
    doc="With start-fg, write each line of maillog_file to standard output too (ours, not Postfix's).",
)
LOG_FORMAT: Final = Enum(
    "log_format",
    "classic",
    doc="Classic log lines, or the same events as JSON (ours, not Postfix's).",
    choices=("classic", "json"),
)

DEFAULT_PROCESS_LIMIT: Final = Integer(
    "default_process_limit", "100", doc='How many clients a service serves at once when master.cf says "-".', minimum=1
)
MAX_USE: Final = Integer(
    "max_use", "100", doc="How many clients a process slot serves before it is renewed.", minimum=1
)
MAX_IDLE: Final = Time("max_idle", "100s", doc="How long a process waits for work before it ends.", minimum_s=1)
DAEMON_TIMEOUT: Final = Time(
    "daemon_timeout", "18000s", doc="After this long without progress a process gives up.", minimum_s=1
)
WATCHDOG_TIMEOUT: Final = Time(
    "watchdog_timeout",
    "60s",
    doc="A daemon that does nothing for this long, with work waiting, ends itself, and master starts another (ours).",
    minimum_s=1,
)
SERVICE_THROTTLE_TIME: Final = Time(
    "service_throttle_time", "60s", doc="How long master waits before it starts a failing service again.", minimum_s=1
)
MASTER_SERVICE_DISABLE: Final = NameList(
    "master_service_disable",
    "",
    doc='Services that master does not listen for: name/type, or type; the first that fits counts, "!" in front keeps.',
)
KNOWN_TCP_PORTS: Final = NameList(
    "known_tcp_ports",
    "lmtp=24, smtp=25, smtps=submissions=465, submission=587",
    doc="Ports by name that need no look into /etc/services: name=port, or name=name=port.",
)
IPC_TIMEOUT: Final = Time(
    "ipc_timeout", "3600s", doc="How long one daemon waits for another before it gives a request up.", minimum_s=1
)
COMMAND_TIME_LIMIT: Final = Time(
    "command_time_limit", "1000s", doc="How long a command may take for one delivery.", minimum_s=1
)
STRESS: Final = String("stress", "", doc="Not empty while a service is overloaded: ${stress?{10}:{300}}s.")
AUTHORIZED_SUBMIT_USERS: Final = Patterns(
    "authorized_submit_users", "static:anyone", doc="The users of this host who may submit mail with sendmail."
)
AUTHORIZED_FLUSH_USERS: Final = Patterns(
    "authorized_flush_users",
    "static:anyone",
    doc="The users of this host who may ask for delivery of what waits (postqueue -f, -i, -s).",
)
AUTHORIZED_MAILQ_USERS: Final = Patterns(
    "authorized_mailq_users",
    "static:anyone",
    doc="The users of this host who may list the queue (mailq, postqueue -p).",
)
_PROXY_READ_MAPS: Final = (
    "$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains $virtual_mailbox_maps "
    "$virtual_mailbox_domains $relay_recipient_maps $relay_domains $canonical_maps $sender_canonical_maps "
    "$recipient_canonical_maps $relocated_maps $transport_maps $mynetworks $smtpd_sender_login_maps "
    "$sender_bcc_maps $recipient_bcc_maps $smtp_generic_maps $lmtp_generic_maps $alias_maps "
    "$smtpd_client_restrictions $smtpd_helo_restrictions $smtpd_sender_restrictions "
    "$smtpd_relay_restrictions $smtpd_recipient_restrictions "
    "$address_verify_sender_dependent_default_transport_maps "
    "$address_verify_sender_dependent_relayhost_maps $address_verify_transport_maps "
    "$fallback_transport_maps $lmtp_discard_lhlo_keyword_address_maps $lmtp_pix_workaround_maps "
    "$lmtp_sasl_password_maps $lmtp_tls_policy_maps $mailbox_command_maps $mailbox_transport_maps "
    "$postscreen_discard_ehlo_keyword_address_maps $rbl_reply_maps $sender_dependent_default_transport_maps "
    "$sender_dependent_relayhost_maps $smtp_discard_ehlo_keyword_address_maps $smtp_pix_workaround_maps "
    "$smtp_sasl_password_maps $smtp_tls_policy_maps $smtpd_discard_ehlo_keyword_address_maps "
    "$smtpd_milter_maps $virtual_gid_maps $virtual_uid_maps $local_login_sender_maps "
    "$postscreen_reject_footer_maps $smtpd_reject_footer_maps $tls_server_sni_maps "
    "$tlsproxy_client_policy_maps $default_delivery_status_filter $lmtp_delivery_status_filter "
    "$lmtp_dns_reply_filter $lmtp_reply_filter $local_delivery_status_filter $pipe_delivery_status_filter "
    "$postscreen_command_filter $smtp_delivery_status_filter $smtp_dns_reply_filter $smtp_reply_filter "
    "$smtpd_command_filter $smtpd_dns_reply_filter $virtual_delivery_status_filter $body_checks "
    "$header_checks $lmtp_body_checks $lmtp_header_checks $lmtp_mime_header_checks "
    "$lmtp_nested_header_checks $milter_header_checks $mime_header_checks $nested_header_checks "
    "$smtp_body_checks $smtp_header_checks $smtp_mime_header_checks $smtp_nested_header_checks "
    "$smtpd_reject_filter_maps $debug_peer_list $smtpd_etrn_restrictions $fast_flush_domains "
    "$authorized_flush_users $lmtp_connection_cache_destinations $local_header_rewrite_clients "
    "$masquerade_exceptions $postscreen_access_list $postscreen_allowlist_interfaces "
    "$postscreen_forbidden_commands $qmqpd_authorized_clients $authorized_mailq_users "
    "$smtp_connection_cache_destinations $smtpd_log_access_permit_actions $smtpd_forbidden_commands "
    "$smtpd_client_event_limit_exceptions $smtpd_sasl_exceptions_networks $smtpd_sasl_mechanism_filter "
    "$smtp_requiretls_policy $smtp_sasl_mechanism_filter $authorized_submit_users "
    "$smtpd_authorized_verp_clients $smtpd_authorized_xclient_hosts $smtpd_authorized_xforward_hosts "
    "$lmtp_tls_loglevel_maps $postscreen_tls_loglevel_maps $smtp_tls_loglevel_maps $smtpd_tls_loglevel_maps"
)
PROXY_READ_MAPS: Final = Patterns(
    "proxy_read_maps", _PROXY_READ_MAPS, doc="The tables that proxymap may read for other daemons."
)

REWRITE_SERVICE_NAME: Final = String(
    "rewrite_service_name",
    "rewrite",
    doc="The name in master.cf of the service that rewrites addresses and says where they go.",
    minimum_length=1,
)
CLEANUP_SERVICE_NAME: Final = String(
    "cleanup_service_name",
    "cleanup",
    doc="The name in master.cf of the service that takes new messages.",
    minimum_length=1,
)
QUEUE_SERVICE_NAME: Final = String(
    "queue_service_name", "qmgr", doc="The name in master.cf of the service that owns the queue.", minimum_length=1
)
PROXYMAP_SERVICE_NAME: Final = String(
    "proxymap_service_name",
    "proxymap",
    doc="The name in master.cf of the service that reads tables for other daemons.",
    minimum_length=1,
)


def stress_variants(settings: Settings) -> tuple[Settings, Settings]:
    """Give the settings without and with `stress`; a service chooses per session."""
    return settings.overlaid({"stress": ""}), settings.overlaid({"stress": "yes"})


PROCESS_PARAMETERS: Final = (
    SYSLOG_NAME,
    SYSLOG_FACILITY,
    MAILLOG_FILE,
    MAILLOG_FILE_PREFIXES,
    MAILLOG_FILE_PERMISSIONS,
    MAILLOG_FILE_ROTATE_SUFFIX,
    MAILLOG_STDOUT,
    LOG_FORMAT,
    DEFAULT_PROCESS_LIMIT,
    MAX_USE,
    MAX_IDLE,
    DAEMON_TIMEOUT,
    WATCHDOG_TIMEOUT,
    SERVICE_THROTTLE_TIME,
    MASTER_SERVICE_DISABLE,
    KNOWN_TCP_PORTS,
    IPC_TIMEOUT,
    COMMAND_TIME_LIMIT,
    STRESS,
    AUTHORIZED_SUBMIT_USERS,
    AUTHORIZED_FLUSH_USERS,
    AUTHORIZED_MAILQ_USERS,
    PROXY_READ_MAPS,
    REWRITE_SERVICE_NAME,
    CLEANUP_SERVICE_NAME,
    QUEUE_SERVICE_NAME,
    PROXYMAP_SERVICE_NAME,
)
