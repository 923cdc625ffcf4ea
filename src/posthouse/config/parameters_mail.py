"""Parameters about mail: addresses, address classes, tables, sizes. Read by several daemons."""

from typing import Final

from posthouse.config.parameter import Boolean, Integer, NameList, Patterns, Size, String, Tables

MAIL_NAME: Final = String(
    "mail_name", "Postfix", doc="The name of the mail system in Received headers and banners.", minimum_length=1
)
MAIL_VERSION: Final = String(
    "mail_version",
    "3.11.0",
    doc="The release of Postfix that Posthouse behaves like; for use in your own texts.",
    minimum_length=1,
)

RECIPIENT_DELIMITER: Final = String(
    "recipient_delimiter", "", doc="The characters that separate user and extension in a local part (user+extension)."
)
RELAYHOST: Final = String(
    "relayhost", "", doc="The next hop for mail to other domains; empty: look the domain up in the DNS."
)
DEFAULT_TRANSPORT: Final = String(
    "default_transport", "smtp", doc="transport:nexthop for domains that are not ours.", minimum_length=1
)
LOCAL_TRANSPORT: Final = String(
    "local_transport",
    "local:$myhostname",
    doc="transport:nexthop for domains in mydestination and addresses user@[address of this host].",
    minimum_length=1,
)
RELAY_TRANSPORT: Final = String(
    "relay_transport", "relay", doc="transport:nexthop for domains in relay_domains.", minimum_length=1
)
VIRTUAL_TRANSPORT: Final = String(
    "virtual_transport", "virtual", doc="transport:nexthop for domains in virtual_mailbox_domains.", minimum_length=1
)
RELAY_DOMAINS: Final = Patterns(
    "relay_domains",
    "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
    doc="The domains, delivered elsewhere, for which mail is taken from anybody.",
)
RELAY_RECIPIENT_MAPS: Final = Tables(
    "relay_recipient_maps", "", doc="The recipients that exist in relay_domains; empty: any."
)
VIRTUAL_ALIAS_DOMAINS: Final = Patterns(
    "virtual_alias_domains",
    "$virtual_alias_maps",
    doc="The domains whose addresses are all aliases for other addresses.",
)
VIRTUAL_MAPS: Final = Tables(
    "virtual_maps", "", doc="Old name of virtual_alias_maps, which has this value when it is not set."
)
VIRTUAL_ALIAS_MAPS: Final = Tables(
    "virtual_alias_maps", "$virtual_maps", doc="Tables that replace a recipient by one or more others, of any domain."
)
VIRTUAL_MAILBOX_DOMAINS: Final = Patterns(
    "virtual_mailbox_domains", "$virtual_mailbox_maps", doc="The domains delivered through virtual_transport."
)
VIRTUAL_MAILBOX_MAPS: Final = Tables(
    "virtual_mailbox_maps",
    "",
    doc="The recipients of virtual_mailbox_domains, with their mailbox below virtual_mailbox_base.",
)
CANONICAL_MAPS: Final = Tables("canonical_maps", "", doc="Tables that rewrite addresses in envelopes and headers.")
SENDER_CANONICAL_MAPS: Final = Tables("sender_canonical_maps", "", doc="As canonical_maps, sender addresses only.")
RECIPIENT_CANONICAL_MAPS: Final = Tables(
    "recipient_canonical_maps", "", doc="As canonical_maps, recipient addresses only."
)
CANONICAL_CLASSES: Final = NameList(
    "canonical_classes",
    "envelope_sender, envelope_recipient, header_sender, header_recipient",
    doc="Which addresses canonical_maps rewrites: those of envelope or header, of sender or recipient.",
    minimum_items=1,
)
SENDER_CANONICAL_CLASSES: Final = NameList(
    "sender_canonical_classes",
    "envelope_sender, header_sender",
    doc="Which addresses sender_canonical_maps rewrites: envelope_sender, header_sender.",
    minimum_items=1,
)
RECIPIENT_CANONICAL_CLASSES: Final = NameList(
    "recipient_canonical_classes",
    "envelope_recipient, header_recipient",
    doc="Which addresses recipient_canonical_maps rewrites: envelope_recipient, header_recipient.",
    minimum_items=1,
)
RELOCATED_MAPS: Final = Tables("relocated_maps", "", doc="Tables of people who moved, with their new address.")
TRANSPORT_MAPS: Final = Tables("transport_maps", "", doc="Tables of transport:nexthop by recipient or domain.")
SENDER_DEPENDENT_RELAYHOST_MAPS: Final = Tables(
    "sender_dependent_relayhost_maps", "", doc="Tables of relay hosts by sender, instead of relayhost."
)
SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS: Final = Tables(
    "sender_dependent_default_transport_maps",
    "",
    doc="Tables of transport:nexthop by sender, instead of default_transport.",
)
DEFAULT_DATABASE_TYPE: Final = String(
    "default_database_type", "lmdb", doc="The table type for newaliases, postalias and postmap.", minimum_length=1
)
ALIAS_MAPS: Final = Tables(
    "alias_maps",
    "$default_database_type:/etc/aliases",
    doc="The alias tables that local(8) searches for each local recipient.",
)
ALIAS_DATABASE: Final = Tables(
    "alias_database",
    "$default_database_type:/etc/aliases",
    doc="The alias tables that newaliases and sendmail -bi build; often the same as alias_maps.",
)
LOCAL_RECIPIENT_MAPS: Final = Tables(
    "local_recipient_maps",
    "proxy:unix:passwd.byname $alias_maps",
    doc="The recipients that exist in local domains; empty: do not check.",
)
PARENT_DOMAIN_MATCHES_SUBDOMAINS: Final = NameList(
    "parent_domain_matches_subdomains",
    "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,"
    "smtpd_access_maps",
    doc='The match lists in which "example.com" also stands for all names below it.',
)
PROPAGATE_UNMATCHED_EXTENSIONS: Final = NameList(
    "propagate_unmatched_extensions", "canonical, virtual", doc="The tables whose result gets the extension of the key."
)
ENABLE_ORIGINAL_RECIPIENT: Final = Boolean(
    "enable_original_recipient",
    "yes",
    doc="Add X-Original-To with the recipient as it was before aliases changed it; recipients that differ in that only "
    "get a copy each.",
)
SWAP_BANGPATH: Final = Boolean("swap_bangpath", "yes", doc="Rewrite host!user, as UUCP had it, as user@host.")
APPEND_AT_MYORIGIN: Final = Boolean(
    "append_at_myorigin", "yes", doc="Rewrite an address without a domain, user, as user@$myorigin."
)
APPEND_DOT_MYDOMAIN: Final = Boolean(
    "append_dot_mydomain",
    "${{$compatibility_level} <level {1} ? {yes} : {no}}",
    doc="Rewrite a domain without a dot: user@host becomes user@host.$mydomain.",
)
ALLOW_PERCENT_HACK: Final = Boolean(
    "allow_percent_hack", "yes", doc="Rewrite user%domain as user@domain, an old way to ask for relaying."
)
ALLOW_MIN_USER: Final = Boolean(
    "allow_min_user", "no", doc='Allow a recipient that begins with "-", which a command could take for an option.'
)
OWNER_REQUEST_SPECIAL: Final = Boolean(
    "owner_request_special", "yes", doc="Do not split owner-list and list-request at the recipient delimiter."
)
SMTPUTF8_ENABLE: Final = Boolean(
    "smtputf8_enable",
    "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    doc="Take and send internationalized mail (SMTPUTF8, RFC 6531).",
)
DAEMON_TABLE_OPEN_ERROR_IS_FATAL: Final = Boolean(
    "daemon_table_open_error_is_fatal",
    "no",
    doc="End a daemon whose table cannot be opened; no: only what needs the table fails, temporarily.",
)
SOCKETMAP_MAX_QUERY_SIZE: Final = Integer(
    "socketmap_max_query_size", "10000", doc="The longest socketmap query in bytes; more is not found.", minimum=1
)
SOCKETMAP_MAX_REPLY_SIZE: Final = Integer(
    "socketmap_max_reply_size", "100000", doc="The longest socketmap reply in bytes; more is an error.", minimum=1
)
MESSAGE_SIZE_LIMIT: Final = Size(
    "message_size_limit", "10240000", doc="The largest message in bytes, envelope included; 0: no limit."
)
MAILBOX_SIZE_LIMIT: Final = Size(
    "mailbox_size_limit", "51200000", doc="The largest mailbox file in bytes; 0: no limit."
)
HEADER_SIZE_LIMIT: Final = Integer(
    "header_size_limit", "102400", doc="The longest header in bytes; the rest is cut off.", minimum=1
)
LINE_LENGTH_LIMIT: Final = Integer(
    "line_length_limit", "2048", doc="Longer lines are handled in pieces of this many bytes.", minimum=512
)
MIME_NESTING_LIMIT: Final = Integer(
    "mime_nesting_limit",
    "100",
    doc="How deeply MIME parts may be nested; deeper ones are refused where content is checked, else not looked into.",
    minimum=1,
)
MIME_BOUNDARY_LENGTH_LIMIT: Final = Integer(
    "mime_boundary_length_limit", "2048", doc="How many bytes of a MIME boundary are compared.", minimum=1
)
BODY_CHECKS_SIZE_LIMIT: Final = Integer(
    "body_checks_size_limit", "51200", doc="How many bytes of each MIME part body_checks look at."
)
UNDISCLOSED_RECIPIENTS_HEADER: Final = String(
    "undisclosed_recipients_header", "", doc="The header that a message without any recipient header gets; empty: none."
)
EMPTY_ADDRESS_RECIPIENT: Final = String(
    "empty_address_recipient",
    "MAILER-DAEMON",
    doc="Who gets mail that is addressed to the null address.",
    minimum_length=1,
)
DOUBLE_BOUNCE_SENDER: Final = String(
    "double_bounce_sender",
    "double-bounce",
    doc="The sender of mail that is never returned: notices to postmaster, probes. Mail to it is discarded.",
    minimum_length=1,
)
BOUNCE_SIZE_LIMIT: Final = Integer(
    "bounce_size_limit", "50000", doc="How much of a returned message goes into the notification, in bytes.", minimum=1
)
NOTIFY_CLASSES: Final = NameList(
    "notify_classes",
    "resource, software",
    doc="Which problems are mailed to postmaster: bounce, 2bounce, data, delay, policy, protocol, resource, software.",
)
SHOW_USER_UNKNOWN_TABLE_NAME: Final = Boolean(
    "show_user_unknown_table_name", "yes", doc='Whether "User unknown" replies tell in which table was searched.'
)

MAIL_PARAMETERS: Final = (
    MAIL_NAME,
    MAIL_VERSION,
    RECIPIENT_DELIMITER,
    RELAYHOST,
    DEFAULT_TRANSPORT,
    LOCAL_TRANSPORT,
    RELAY_TRANSPORT,
    VIRTUAL_TRANSPORT,
    RELAY_DOMAINS,
    RELAY_RECIPIENT_MAPS,
    VIRTUAL_ALIAS_DOMAINS,
    VIRTUAL_MAPS,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_MAILBOX_DOMAINS,
    VIRTUAL_MAILBOX_MAPS,
    CANONICAL_MAPS,
    SENDER_CANONICAL_MAPS,
    RECIPIENT_CANONICAL_MAPS,
    CANONICAL_CLASSES,
    SENDER_CANONICAL_CLASSES,
    RECIPIENT_CANONICAL_CLASSES,
    RELOCATED_MAPS,
    TRANSPORT_MAPS,
    SENDER_DEPENDENT_RELAYHOST_MAPS,
    SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS,
    DEFAULT_DATABASE_TYPE,
    ALIAS_MAPS,
    ALIAS_DATABASE,
    LOCAL_RECIPIENT_MAPS,
    PARENT_DOMAIN_MATCHES_SUBDOMAINS,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    ENABLE_ORIGINAL_RECIPIENT,
    SWAP_BANGPATH,
    APPEND_AT_MYORIGIN,
    APPEND_DOT_MYDOMAIN,
    ALLOW_PERCENT_HACK,
    ALLOW_MIN_USER,
    OWNER_REQUEST_SPECIAL,
    SMTPUTF8_ENABLE,
    DAEMON_TABLE_OPEN_ERROR_IS_FATAL,
    SOCKETMAP_MAX_QUERY_SIZE,
    SOCKETMAP_MAX_REPLY_SIZE,
    MESSAGE_SIZE_LIMIT,
    MAILBOX_SIZE_LIMIT,
    HEADER_SIZE_LIMIT,
    LINE_LENGTH_LIMIT,
    MIME_NESTING_LIMIT,
    MIME_BOUNDARY_LENGTH_LIMIT,
    BODY_CHECKS_SIZE_LIMIT,
    UNDISCLOSED_RECIPIENTS_HEADER,
    EMPTY_ADDRESS_RECIPIENT,
    DOUBLE_BOUNCE_SENDER,
    BOUNCE_SIZE_LIMIT,
    NOTIFY_CLASSES,
    SHOW_USER_UNKNOWN_TABLE_NAME,
)
