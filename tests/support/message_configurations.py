"""The configurations under which Postfix and Posthouse get the same messages.

The addresses in them are those of odd_addresses.py, the headers and texts those of odd_messages.py.
"""

from typing import Final

from tests.support.message_servers import Configuration

REMOTE: Final = {"local_header_rewrite_clients": ""}
_TABLE: Final = "texthash:{directory}/etc/"

CANONICAL: Final = """\
mapped@example.test other.name@far.test
twice mapped@example.test
self@sub.example.test self@sub.example.test
@mapped.test @far.test
First.Last "Quoted Result"@other.test
nobody MAILER-DAEMON@example.test
nobody2@example.test MAILER-DAEMON
UPPER lower
"""
SENDERS: Final = "mapped@example.test sender.mapped@far.test\nroot sender-root@other.test\n@short @sender.test\n"
RECIPIENTS: Final = (
    "mapped@example.test recipient.mapped@far.test\nroot recipient-root@other.test\nuser@far.test user\n"
)
ALIASES: Final = """\
mapped@example.test one@far.test, two@far.test
twice@example.test mapped@example.test, one@far.test, ONE@far.test
many@example.test many@example.test, twice@example.test, a, b, c d e
self@example.test self@example.test
user@virtual.test user
@virtual.test everyone@other.test
root+x rooted@far.test
First.Last@far.test <angle@far.test> (comment), Name <name@far.test>
"""
ALIASES_BY_EXTENSION: Final = """\
mapped+ext@example.test with.extension@far.test
mapped@example.test plain@far.test, "quoted one"@far.test
user@example.test second
@mapped.test @other.test
"""
COPIES: Final = (
    "user@far.test copy@other.test\nmapped@example.test copy+of@virtual.test\n@client.test all@copies.test\n"
)
HEADER_CHECKS: Final = """\
/^Subject: usual/ REPLACE Subject: replaced
/^Subject:$/ PREPEND X-Prepended: empty subject
/^X-Folded:/ IGNORE
/^X-Long:/ STRIP too long
/^X-Wide:/ WARN wide
/^Date: nonsense/ REPLACE Date: Sun, 22 Nov 2026 20:00:00 +0000
/^Cc:/ INFO copies
/^X-Nul/ DISCARD nul
/^Precedence: bulk/ HOLD bulk
/^List-Id:/ REDIRECT redirected@other.test
/^Resent-Message-Id:/ BCC checks@copies.test
/^X-Secret:/ REJECT secret
/^X-Control:/ REJECT 5.6.1 control characters
/^X-Cr:/ REJECT 4.6.2 carriage return
/^Lines: ([0-9]+)/ PREPEND X-Lines: $1
/^Status:/ REPLACE
/^Content-Length:/ DUNNO
/^From:.*"quoted"/ REPLACE From: "still quoted" <user>
"""
MIME_CHECKS: Final = """\
/^Content-Type:.*multipart\\/alternative/ PREPEND X-Mime: alternative
/^content-type: text/ REPLACE Content-Type: text/x-replaced
"""
NESTED_CHECKS: Final = "/^x-number: (3|5)/ IGNORE\n/^Subject: x/ REPLACE Subject: nested\n"
BODY_CHECKS: Final = """\
/^text$/ REPLACE replaced text
/^>?From / PREPEND prepended to From
/^cr/ IGNORE
/^To: in@body/ REPLACE To: <in@body>
/^nul/ WARN nul in body
/^=C3=A4=$/ REJECT encoded
/^--aa: x$/ BCC body@copies.test
/^end$/ FILTER smtp:[127.0.0.1]:{sink}
/^y{100}/ STRIP
"""

CONFIGURATIONS: Final = (
    Configuration("local"),
    Configuration("local-mime", families=("mime-lines", "mime-tree", "bodies")),
    Configuration("remote", REMOTE, families=("headers", "addresses", "bodies")),
    Configuration("remote-domain", {**REMOTE, "remote_header_rewrite_domain": "domain.invalid"}),
    Configuration(
        "always-add",
        {
            **REMOTE,
            "always_add_missing_headers": "yes",
            "message_drop_headers": "x-secret subject: Resent-Date",
            "undisclosed_recipients_header": "To: undisclosed-recipients:;",
        },
        families=("headers",),
    ),
    Configuration(
        "nothing-appended",
        {
            "append_at_myorigin": "no",
            "append_dot_mydomain": "no",
            "swap_bangpath": "no",
            "allow_percent_hack": "no",
            "undisclosed_recipients_header": "To: undisclosed-recipients:;",
        },
    ),
    Configuration("all-appended", {"append_dot_mydomain": "yes", "myorigin": "origin.test", "mydomain": "short.test"}),
    Configuration(
        "masquerade",
        {
            "masquerade_domains": "!keep.example.test sub.example.test example.test",
            "masquerade_exceptions": "root, First.Last",
        },
    ),
    Configuration(
        "masquerade-classes",
        {
            "masquerade_domains": "example.test far.test",
            "masquerade_classes": "envelope_sender envelope_recipient header_sender",
            "append_dot_mydomain": "yes",
        },
    ),
    Configuration("canonical", {"canonical_maps": _TABLE + "canonical"}, {"canonical": CANONICAL}),
    Configuration(
        "canonical-remote",
        {
            **REMOTE,
            "remote_header_rewrite_domain": "domain.invalid",
            "canonical_maps": _TABLE + "canonical",
            "canonical_classes": "envelope_sender, header_recipient",
            "recipient_delimiter": "+",
        },
    ),
    Configuration(
        "canonical-by-role",
        {
            "sender_canonical_maps": _TABLE + "senders",
            "recipient_canonical_maps": _TABLE + "recipients",
            "sender_canonical_classes": "envelope_sender",
            "recipient_canonical_classes": "header_recipient",
        },
        {"senders": SENDERS, "recipients": RECIPIENTS},
    ),
    Configuration(
        "copies",
        {
            "always_bcc": "archive@copies.test",
            "sender_bcc_maps": _TABLE + "copies",
            "recipient_bcc_maps": _TABLE + "copies",
        },
        {"copies": COPIES},
    ),
    Configuration("virtual", {"virtual_alias_maps": _TABLE + "aliases"}, {"aliases": ALIASES}),
    Configuration(
        "no-original",
        {"virtual_alias_maps": _TABLE + "aliases", "enable_original_recipient": "no", "always_bcc": "many"},
    ),
    Configuration(
        "extensions",
        {
            "recipient_delimiter": "+-",
            "virtual_alias_maps": _TABLE + "aliases-ext",
            "canonical_maps": _TABLE + "canonical",
            "propagate_unmatched_extensions": "virtual",
        },
        {"aliases-ext": ALIASES_BY_EXTENSION},
    ),
    Configuration(
        "limits",
        {
            "header_size_limit": "300",
            "hopcount_limit": "2",
            "duplicate_filter_limit": "2",
            "header_address_token_limit": "30",
            "mime_nesting_limit": "2",
            "message_size_limit": "4000",
        },
        families=("headers", "addresses", "mime-tree", "bodies"),
    ),
    Configuration(
        "checks",
        {
            "header_checks": "pcre:{directory}/etc/header_checks",
            "mime_header_checks": "pcre:{directory}/etc/mime_checks",
            "nested_header_checks": "pcre:{directory}/etc/nested_checks",
            "body_checks": "pcre:{directory}/etc/body_checks",
        },
        {
            "header_checks": HEADER_CHECKS,
            "mime_checks": MIME_CHECKS,
            "nested_checks": NESTED_CHECKS,
            "body_checks": BODY_CHECKS,
        },
        families=("headers", "mime-lines", "mime-tree", "bodies"),
    ),
    Configuration(
        "strict",
        {
            "strict_rfc821_envelopes": "yes",
            "strict_7bit_headers": "yes",
            "strict_mime_encoding_domain": "yes",
            "allow_min_user": "yes",
        },
        families=("headers", "mime-tree", "mime-lines"),
    ),
    Configuration(
        "strict-8bit",
        {
            "strict_8bitmime_body": "yes",
            "disable_mime_input_processing": "no",
            "message_reject_characters": "\\0",
            "message_strip_characters": "\\001",
        },
        families=("headers", "bodies", "mime-tree"),
    ),
    Configuration(
        "no-mime",
        {"disable_mime_input_processing": "yes", "header_checks": "pcre:{directory}/etc/mime_checks"},
        families=("mime-lines", "mime-tree"),
    ),
)
