"""What smtpd(8) reads from main.cf and nobody else does; the shared rows are in config/parameters.py.

Rows for what is not built yet (TLS, SASL, milters, policy services, anvil) come with what they belong to.
"""

from typing import Final

from posthouse.config.parameter import Boolean, Enum, Integer, NameList, Patterns, Restrictions, String, Tables, Time
from posthouse.config.parameters import (
    ALIAS_MAPS,
    ALLOW_MIN_USER,
    CANONICAL_MAPS,
    CLEANUP_SERVICE_NAME,
    DOUBLE_BOUNCE_SENDER,
    INET_INTERFACES,
    LINE_LENGTH_LIMIT,
    LOCAL_RECIPIENT_MAPS,
    MAIL_NAME,
    MESSAGE_SIZE_LIMIT,
    MYDESTINATION,
    MYHOSTNAME,
    MYNETWORKS,
    MYORIGIN,
    PARENT_DOMAIN_MATCHES_SUBDOMAINS,
    QUEUE_MINFREE,
    RECIPIENT_CANONICAL_MAPS,
    RECIPIENT_DELIMITER,
    RELAY_RECIPIENT_MAPS,
    REWRITE_SERVICE_NAME,
    SENDER_CANONICAL_MAPS,
    SHOW_USER_UNKNOWN_TABLE_NAME,
    STRESS,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_MAILBOX_MAPS,
)
from posthouse.ipc.origin import EXTERNAL_PARAMETERS

SMTPD_BANNER: Final = String(
    "smtpd_banner",
    "$myhostname ESMTP $mail_name",
    doc="What follows the 220; the first word must be $myhostname.",
    minimum_length=1,
)
SMTPD_TIMEOUT: Final = Time(
    "smtpd_timeout",
    "${stress?{10}:{300}}s",
    doc="How long the server waits for a command, and for a reply to be taken.",
    minimum_s=1,
)
SMTPD_PER_REQUEST_DEADLINE: Final = Boolean(
    "smtpd_per_request_deadline",
    "${smtpd_per_record_deadline?{$smtpd_per_record_deadline}:{${stress?{yes}:{no}}}}",
    doc="Whether smtpd_timeout is for a whole command, however slowly its bytes come.",
)
SMTPD_PER_RECORD_DEADLINE: Final = String(
    "smtpd_per_record_deadline", "", doc="Old name of smtpd_per_request_deadline, which has this value when it is set."
)
SMTPD_MIN_DATA_RATE: Final = Integer(
    "smtpd_min_data_rate",
    "500",
    doc="With smtpd_per_request_deadline: bytes of content that win another second.",
    minimum=1,
)
SMTPD_ERROR_SLEEP_TIME: Final = Time(
    "smtpd_error_sleep_time", "1s", doc="How long each reply waits after smtpd_soft_error_limit errors."
)
SMTPD_SOFT_ERROR_LIMIT: Final = Integer(
    "smtpd_soft_error_limit", "10", doc="Errors without a delivered message before replies slow down.", minimum=1
)
SMTPD_HARD_ERROR_LIMIT: Final = Integer(
    "smtpd_hard_error_limit",
    "${stress?{1}:{20}}",
    doc="Errors without a delivered message before the server hangs up.",
    minimum=1,
)
SMTPD_JUNK_COMMAND_LIMIT: Final = Integer(
    "smtpd_junk_command_limit",
    "${stress?{1}:{100}}",
    doc="Commands that do not bring mail forward (NOOP, VRFY, RSET ...) before each counts as an error.",
    minimum=1,
)
SMTPD_RECIPIENT_LIMIT: Final = Integer(
    "smtpd_recipient_limit", "1000", doc="Recipients of one message; further ones must be sent again.", minimum=1
)
SMTPD_RECIPIENT_OVERSHOOT_LIMIT: Final = Integer(
    "smtpd_recipient_overshoot_limit",
    "1000",
    doc="Recipients over smtpd_recipient_limit before each counts as an error.",
    minimum=1,
)
SMTPD_HELO_REQUIRED: Final = Boolean(
    "smtpd_helo_required", "no", doc="Refuse MAIL from a client that has not said HELO or EHLO."
)
DISABLE_VRFY_COMMAND: Final = Boolean(
    "disable_vrfy_command", "no", doc="Do not answer VRFY, with which strangers collect addresses."
)
STRICT_RFC821_ENVELOPES: Final = Boolean(
    "strict_rfc821_envelopes", "no", doc="Accept only addresses in angle brackets, without comments."
)
STRICT_SMTPUTF8: Final = Boolean(
    "strict_smtputf8", "no", doc="Take UTF-8 addresses only from clients that said SMTPUTF8."
)
SMTPD_NOOP_COMMANDS: Final = NameList(
    "smtpd_noop_commands", "", doc="Commands that do nothing and get 250, for clients that need them."
)
SMTPD_FORBIDDEN_COMMANDS: Final = Patterns(
    "smtpd_forbidden_commands",
    "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
    doc="Words that show that the client speaks another protocol: the session ends.",
)
SMTPD_PEERNAME_LOOKUP: Final = Boolean(
    "smtpd_peername_lookup", "yes", doc="Look the client's name up; no: every client counts as unknown."
)
SMTPD_CLIENT_PORT_LOGGING: Final = Boolean(
    "smtpd_client_port_logging", "no", doc="Log the client's port after its address, too."
)
SMTPD_HIDE_CLIENT_SESSION: Final = Boolean(
    "smtpd_hide_client_session", "no", doc="Leave the client's name, address and protocol out of the Received header."
)
SMTPD_DISCARD_EHLO_KEYWORDS: Final = NameList(
    "smtpd_discard_ehlo_keywords",
    "",
    doc="EHLO keywords (any case) that are not offered; silent-discard: without a line in the log.",
)
SMTPD_DISCARD_EHLO_KEYWORD_ADDRESS_MAPS: Final = Tables(
    "smtpd_discard_ehlo_keyword_address_maps",
    "",
    doc="Tables, by client address, of EHLO keywords that are not offered (in place of smtpd_discard_ehlo_keywords).",
)
SMTPD_FORBID_BARE_NEWLINE: Final = Enum(
    "smtpd_forbid_bare_newline",
    "normalize",
    doc="What a line feed without carriage return means to us.",
    choices=("yes", "no", "normalize", "reject", "note"),
)
SMTPD_AUTHORIZED_ARRIVAL_HOSTS: Final = Patterns(
    "smtpd_authorized_arrival_hosts",
    "",
    doc="Servers whose word is taken for how long a message has been under way: those drained to this one (ours).",
)
SMTPD_FORBID_BARE_NEWLINE_EXCLUSIONS: Final = Patterns(
    "smtpd_forbid_bare_newline_exclusions", "$mynetworks", doc="Clients that smtpd_forbid_bare_newline spares."
)
SMTPD_FORBID_BARE_NEWLINE_REJECT_CODE: Final = Integer(
    "smtpd_forbid_bare_newline_reject_code",
    "550",
    doc="The reply code with smtpd_forbid_bare_newline = reject.",
    minimum=500,
    maximum=599,
)
SMTPD_FORBID_UNAUTH_PIPELINING: Final = Boolean(
    "smtpd_forbid_unauth_pipelining", "yes", doc="Hang up on clients that send commands before they may."
)
SMTPD_DELAY_REJECT: Final = Boolean(
    "smtpd_delay_reject", "yes", doc="Decide about client, HELO and sender when the recipient comes."
)
SMTPD_CLIENT_RESTRICTIONS: Final = Restrictions(
    "smtpd_client_restrictions", "", doc="Restrictions on the client's address and name, in order."
)
SMTPD_HELO_RESTRICTIONS: Final = Restrictions(
    "smtpd_helo_restrictions", "", doc="Restrictions on the name in HELO or EHLO, in order."
)
SMTPD_SENDER_RESTRICTIONS: Final = Restrictions(
    "smtpd_sender_restrictions", "", doc="Restrictions on the sender in MAIL FROM, in order."
)
SMTPD_RELAY_RESTRICTIONS: Final = Restrictions(
    "smtpd_relay_restrictions",
    "${{$compatibility_level} <level {1} ? {} : "
    "{permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
    doc="Restrictions on RCPT TO that decide where mail may go through us.",
)
SMTPD_RECIPIENT_RESTRICTIONS: Final = Restrictions(
    "smtpd_recipient_restrictions", "", doc="Restrictions on RCPT TO that decide what mail we want."
)
SMTPD_DATA_RESTRICTIONS: Final = Restrictions(
    "smtpd_data_restrictions", "", doc="Restrictions on DATA, in order, when all recipients are known."
)
SMTPD_END_OF_DATA_RESTRICTIONS: Final = Restrictions(
    "smtpd_end_of_data_restrictions",
    "",
    doc="Restrictions at the end of the content, in order, when its size is known.",
)
SMTPD_RELAY_BEFORE_RECIPIENT_RESTRICTIONS: Final = Boolean(
    "smtpd_relay_before_recipient_restrictions",
    "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
    doc="Whether smtpd_relay_restrictions come before smtpd_recipient_restrictions.",
)
SMTPD_RESTRICTION_CLASSES: Final = NameList(
    "smtpd_restriction_classes", "", doc="Names of parameters that are restriction lists of your own."
)
LOCAL_HEADER_REWRITE_CLIENTS: Final = Restrictions(
    "local_header_rewrite_clients",
    "permit_inet_interfaces",
    doc="Clients whose headers are completed as if the mail came from this host.",
)
SMTPD_REJECT_UNLISTED_RECIPIENT: Final = Boolean(
    "smtpd_reject_unlisted_recipient", "yes", doc="Refuse recipients that no table of their domain's class has."
)
SMTPD_REJECT_UNLISTED_SENDER: Final = Boolean(
    "smtpd_reject_unlisted_sender", "no", doc="Refuse senders that do not exist here though their domain is ours."
)
SMTPD_NULL_ACCESS_LOOKUP_KEY: Final = String(
    "smtpd_null_access_lookup_key", "<>", doc="The key for the null sender in access tables."
)
ALLOW_UNTRUSTED_ROUTING: Final = Boolean(
    "allow_untrusted_routing", "no", doc="Relay user@elsewhere@ours and its like for strangers."
)
SOFT_BOUNCE: Final = Boolean(
    "soft_bounce",
    "no",
    doc="Make every permanent refusal a temporary one: no mail is lost while a configuration is tried.",
)
REJECT_TEMPFAIL_ACTION: Final = Enum(
    "reject_tempfail_action",
    "defer_if_permit",
    doc="What restrictions do that can give no answer now: defer, or defer_if_permit (where nothing else refuses).",
    choices=("defer_if_permit", "defer"),
)
UNKNOWN_ADDRESS_TEMPFAIL_ACTION: Final = Enum(
    "unknown_address_tempfail_action",
    "$reject_tempfail_action",
    doc="What reject_unknown_sender_domain and its like do when DNS does not answer.",
    choices=("defer_if_permit", "defer"),
)
UNKNOWN_HELO_HOSTNAME_TEMPFAIL_ACTION: Final = Enum(
    "unknown_helo_hostname_tempfail_action",
    "$reject_tempfail_action",
    doc="What reject_unknown_helo_hostname does when DNS does not answer.",
    choices=("defer_if_permit", "defer"),
)


def _code(name: str, default: str, what: str) -> Integer:
    return Integer(name, default, doc=f"The reply code {what}.", maximum=599)


ACCESS_MAP_REJECT_CODE: Final = _code("access_map_reject_code", "554", "for REJECT in an access table")
ACCESS_MAP_DEFER_CODE: Final = _code("access_map_defer_code", "450", "for DEFER in an access table")
REJECT_CODE: Final = _code("reject_code", "554", 'for "reject"')
DEFER_CODE: Final = _code("defer_code", "450", 'for "defer"')
INVALID_HOSTNAME_REJECT_CODE: Final = _code("invalid_hostname_reject_code", "501", "for a malformed HELO name")
NON_FQDN_REJECT_CODE: Final = _code("non_fqdn_reject_code", "504", "for a name that is not fully qualified")
RELAY_DOMAINS_REJECT_CODE: Final = _code("relay_domains_reject_code", "554", "for mail that we do not relay")
UNKNOWN_ADDRESS_REJECT_CODE: Final = _code("unknown_address_reject_code", "450", "for a domain without mail server")
UNKNOWN_CLIENT_REJECT_CODE: Final = _code("unknown_client_reject_code", "450", "for a client without name")
UNKNOWN_HOSTNAME_REJECT_CODE: Final = _code("unknown_hostname_reject_code", "450", "for an unknown HELO name")
UNKNOWN_LOCAL_RECIPIENT_REJECT_CODE: Final = _code(
    "unknown_local_recipient_reject_code", "550", "for a recipient that local_recipient_maps does not have"
)
UNKNOWN_RELAY_RECIPIENT_REJECT_CODE: Final = _code(
    "unknown_relay_recipient_reject_code", "550", "for a recipient that relay_recipient_maps does not have"
)
UNKNOWN_VIRTUAL_ALIAS_REJECT_CODE: Final = _code(
    "unknown_virtual_alias_reject_code", "550", "for a recipient that virtual_alias_maps does not have"
)
UNKNOWN_VIRTUAL_MAILBOX_REJECT_CODE: Final = _code(
    "unknown_virtual_mailbox_reject_code", "550", "for a recipient that virtual_mailbox_maps does not have"
)
MULTI_RECIPIENT_BOUNCE_REJECT_CODE: Final = _code(
    "multi_recipient_bounce_reject_code", "550", "for a bounce with several recipients"
)
PLAINTEXT_REJECT_CODE: Final = _code("plaintext_reject_code", "450", "for a session without TLS")

PARAMETERS: Final = (
    ACCESS_MAP_DEFER_CODE,
    ACCESS_MAP_REJECT_CODE,
    ALIAS_MAPS,
    ALLOW_MIN_USER,
    ALLOW_UNTRUSTED_ROUTING,
    CANONICAL_MAPS,
    CLEANUP_SERVICE_NAME,
    DEFER_CODE,
    DISABLE_VRFY_COMMAND,
    DOUBLE_BOUNCE_SENDER,
    INET_INTERFACES,
    INVALID_HOSTNAME_REJECT_CODE,
    LINE_LENGTH_LIMIT,
    LOCAL_HEADER_REWRITE_CLIENTS,
    LOCAL_RECIPIENT_MAPS,
    MAIL_NAME,
    MESSAGE_SIZE_LIMIT,
    MULTI_RECIPIENT_BOUNCE_REJECT_CODE,
    MYDESTINATION,
    MYHOSTNAME,
    MYNETWORKS,
    MYORIGIN,
    QUEUE_MINFREE,
    NON_FQDN_REJECT_CODE,
    PARENT_DOMAIN_MATCHES_SUBDOMAINS,
    PLAINTEXT_REJECT_CODE,
    RECIPIENT_CANONICAL_MAPS,
    RECIPIENT_DELIMITER,
    REJECT_CODE,
    RELAY_DOMAINS_REJECT_CODE,
    RELAY_RECIPIENT_MAPS,
    REJECT_TEMPFAIL_ACTION,
    REWRITE_SERVICE_NAME,
    SENDER_CANONICAL_MAPS,
    SHOW_USER_UNKNOWN_TABLE_NAME,
    SMTPD_BANNER,
    SMTPD_CLIENT_PORT_LOGGING,
    SMTPD_CLIENT_RESTRICTIONS,
    SMTPD_DATA_RESTRICTIONS,
    SMTPD_DELAY_REJECT,
    SMTPD_DISCARD_EHLO_KEYWORDS,
    SMTPD_DISCARD_EHLO_KEYWORD_ADDRESS_MAPS,
    SMTPD_END_OF_DATA_RESTRICTIONS,
    SMTPD_ERROR_SLEEP_TIME,
    SMTPD_FORBIDDEN_COMMANDS,
    SMTPD_AUTHORIZED_ARRIVAL_HOSTS,
    SMTPD_FORBID_BARE_NEWLINE,
    SMTPD_FORBID_BARE_NEWLINE_EXCLUSIONS,
    SMTPD_FORBID_BARE_NEWLINE_REJECT_CODE,
    SMTPD_FORBID_UNAUTH_PIPELINING,
    SMTPD_HARD_ERROR_LIMIT,
    SMTPD_HELO_REQUIRED,
    SMTPD_HELO_RESTRICTIONS,
    SMTPD_HIDE_CLIENT_SESSION,
    SMTPD_JUNK_COMMAND_LIMIT,
    SMTPD_MIN_DATA_RATE,
    SMTPD_NOOP_COMMANDS,
    SMTPD_NULL_ACCESS_LOOKUP_KEY,
    SMTPD_PEERNAME_LOOKUP,
    SMTPD_PER_RECORD_DEADLINE,
    SMTPD_PER_REQUEST_DEADLINE,
    SMTPD_RECIPIENT_LIMIT,
    SMTPD_RECIPIENT_OVERSHOOT_LIMIT,
    SMTPD_RECIPIENT_RESTRICTIONS,
    SMTPD_REJECT_UNLISTED_RECIPIENT,
    SMTPD_REJECT_UNLISTED_SENDER,
    SMTPD_RELAY_BEFORE_RECIPIENT_RESTRICTIONS,
    SMTPD_RELAY_RESTRICTIONS,
    SMTPD_RESTRICTION_CLASSES,
    SMTPD_SENDER_RESTRICTIONS,
    SMTPD_SOFT_ERROR_LIMIT,
    SMTPD_TIMEOUT,
    SOFT_BOUNCE,
    STRESS,
    STRICT_RFC821_ENVELOPES,
    STRICT_SMTPUTF8,
    UNKNOWN_ADDRESS_REJECT_CODE,
    UNKNOWN_ADDRESS_TEMPFAIL_ACTION,
    UNKNOWN_CLIENT_REJECT_CODE,
    UNKNOWN_HELO_HOSTNAME_TEMPFAIL_ACTION,
    UNKNOWN_HOSTNAME_REJECT_CODE,
    UNKNOWN_LOCAL_RECIPIENT_REJECT_CODE,
    UNKNOWN_RELAY_RECIPIENT_REJECT_CODE,
    UNKNOWN_VIRTUAL_ALIAS_REJECT_CODE,
    UNKNOWN_VIRTUAL_MAILBOX_REJECT_CODE,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_MAILBOX_MAPS,
    *EXTERNAL_PARAMETERS,
)
