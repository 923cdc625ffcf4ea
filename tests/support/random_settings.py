"""Settings of smtpd(8) and cleanup(8) made by chance, each from its name alone.

Tables hold the addresses of odd_addresses.py, so that messages made of those meet them.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

from tests.support.message_servers import Configuration

USERS: Final = (
    *("user", "mapped", "twice", "many", "root", "self", "mapped+ext", "user+a+b", "user+a", "First.Last", "UPPER"),
    *("-dash", "a.b.c", "owner-list", "x=y", "mapped-ext", "postmaster", "MAILER-DAEMON", "list-request", "owner"),
)
QUOTED: Final = ('"two words"', '"a@b"', '"dot."', '""', '"q+x y"')
DOMAINS: Final = (
    *("example.test", "sub.example.test", "host.sub.example.test", "keep.example.test", "far.test", "client.test"),
    *("mail.example.test", "localhost", "short", "virtual.test", "other.test", "a.b.c.far.test", "mapped.test"),
    *("xn--bcher-kva.test", "[192.0.2.1]", "[127.0.0.1]", "origin.test"),
)
DELIMITERS: Final = ("+", "+-", "-", "-+", "=", ".", "")
CLASSES: Final = ("envelope_sender", "header_sender", "envelope_recipient", "header_recipient")
FIELDS: Final = (
    *("subject", "From", "to", "Cc", "Bcc", "Date", "Message-ID", "X-Secret", "X-Folded", "content-type", "Received"),
    *("Resent-To", "resent-date", "Return-Path", "Reply-To", "Status", "List-Id", "MIME-Version", "Sender", "x-number"),
)
VERDICTS: Final = (
    *("REPLACE {field}: new value", "PREPEND X-Pre: $0", "IGNORE", "STRIP", "WARN look", "INFO", "DUNNO", "REPLACE x"),
    *(
        "REPLACE To: changed",
        "PREPEND no header",
        "PREPEND  X-Blank: y",
        "BCC mapped",
    ),
    *(
        "REJECT",
        "REJECT 4.5.6 later",
        "DISCARD gone",
        "HOLD",
        "FILTER smtp:[127.0.0.1]:{{sink}}",
        "PASS",
        "OK",
        "nonsense",
    ),
    *(
        "REPLACE",
        "PREPEND",
        "REPLACE {field}: $1",
        "PREPEND X-Odd: $1y",
        "REPLACE From: mapped <mapped>, root",
        "PREPEND Received: x",
        "BCC",
    ),
    *("REPLACE X-Other: a\tb", "PREPEND Bcc: mapped", "PREPEND Content-Type: multipart/mixed; boundary=b"),
)
LINES: Final = (
    *(
        "text",
        "From ",
        "[.]",
        ".*",
        "--",
        "[.][.]$",
        "To:",
        "nul",
        "cr",
        "^$",
        "y{{100}}",
        "=C3",
        "^x",
        "Content-",
        " ",
    ),
)
Pieces = dict[str, str]


class Settings:
    """Settings that grow."""

    def __init__(self, seed: str) -> None:
        self.chance = random.Random(seed)
        self.main: Pieces = {}
        self.files: Pieces = {}
        self._prefix = seed.replace(".", "-")

    def maybe(self, name: str, values: Sequence[str], probability: float = 0.25) -> None:
        """Set a parameter to one of some values, or leave it."""
        if self.chance.random() < probability:
            self.main[name] = self.chance.choice(values)

    def some(self, values: Sequence[str], most: int) -> list[str]:
        """Take some values, in any order."""
        return self.chance.sample(values, self.chance.randint(1, min(most, len(values))))

    def call(self, function: Callable[["Settings"], None], probability: float = 0.3) -> None:
        """Set a group of parameters, or leave it."""
        if self.chance.random() < probability:
            function(self)

    def user(self) -> str:
        """Give a local part."""
        return self.chance.choice(QUOTED if self.chance.random() < 0.1 else USERS)

    def address(self) -> str:
        """Give an address as it stands on the right of a table."""
        kind, domain = self.chance.random(), self.chance.choice(DOMAINS)
        if kind < 0.6:
            return f"{self.user()}@{domain}"
        if kind < 0.75:
            return self.user()
        return (
            f"@{domain}"
            if kind < 0.9
            else self.chance.choice(
                (
                    "user%far.test",
                    "far.test!user",
                    "@route.test:user@far.test",
                    "MAILER-DAEMON",
                    "Name <user@far.test>",
                    "user@far.test.",
                    "postmaster",
                    "u@x@y",
                    "user (c)",
                    "<>",
                    "a b@far.test",
                    "user@",
                )
            )
        )

    def key(self) -> str:
        """Give an address as it stands on the left."""
        kind, user, domain = self.chance.random(), self.user(), self.chance.choice(DOMAINS)
        if kind < 0.55:
            return f"{user}@{domain}".lower()
        if kind < 0.75:
            return user.lower()
        return f"@{domain}" if kind < 0.9 else f"{user}@".lower()

    def table(self, name: str, value: Callable[[], str], most: int = 8) -> None:
        """Set a table of addresses: in main.cf, in a file, or of patterns."""
        keys = list(dict.fromkeys(self.key() for _ in range(self.chance.randint(1, most))))
        kind = self.chance.random()
        if kind < 0.2:
            rules = [f"/{self.pattern()}/ {value()}" for _ in keys]
            self.file(name, "regexp" if kind < 0.1 else "pcre", rules)
        else:
            self.file(name, "texthash", [f"{key} {value()}" for key in keys if not key.startswith('"')])

    def pattern(self) -> str:
        """Give a pattern for addresses."""
        domain = self.chance.choice(DOMAINS).replace(".", "[.]")
        return (
            self.chance.choice(
                (
                    f"^(.*)@{domain}$",
                    "^([^@]*)$",
                    f"^{self.chance.choice(USERS)}",
                    "^mapped.*@",
                    f"^@{domain}$",
                    r"^(.*)\+(.*)@(.*)$",
                )
            )
            .replace("+ext", "[+]ext")
            .replace("+a", "[+]a")
        )

    def file(self, name: str, kind: str, lines: Sequence[str]) -> None:
        """Set a parameter to a table in a file."""
        file = f"{self._prefix}-{name}"
        self.files[file] = "".join(line + "\n" for line in lines)
        self.main[name] = f"{kind}:{{directory}}/etc/{file}"


def form(made: Settings) -> None:
    """Set what the standard form of addresses depends on."""
    yes = ("yes", "no")
    made.maybe("append_dot_mydomain", yes, 0.4)
    for name in ("append_at_myorigin", "swap_bangpath", "allow_percent_hack"):
        made.maybe(name, yes, 0.2)
    made.maybe("myorigin", ("origin.test", "$myhostname", "short", "sub.example.test"))
    made.maybe("mydomain", ("short.test", "sub.example.test", "test"))
    made.maybe("recipient_delimiter", DELIMITERS, 0.6)
    made.maybe("owner_request_special", ("no",), 0.1)
    made.maybe(
        "mydestination", ("$myhostname, example.test", "localhost", "regexp:{ {/[.]far[.]test$$/ x} }", ""), 0.25
    )
    made.maybe("remote_header_rewrite_domain", ("domain.invalid", "short", "", "sub.example.test"), 0.4)
    made.maybe("resolve_dequoted_address", ("no",), 0.1)
    made.maybe("resolve_null_domain", ("yes",), 0.1)


def mapping(made: Settings) -> None:
    """Set canonical tables."""
    for name in ("canonical", "sender_canonical", "recipient_canonical"):
        if made.chance.random() < 0.4:
            made.table(f"{name}_maps", made.address)
        if (made.chance.random() < 0.3 and name != "canonical") or made.chance.random() < 0.2:
            which = {"canonical": CLASSES, "sender_canonical": CLASSES[:2], "recipient_canonical": CLASSES[2:]}[name]
            made.main[f"{name}_classes"] = ", ".join(made.some(which, 3))


def masquerade(made: Settings) -> None:
    """Set masquerading."""
    names = ("example.test", "far.test", "sub.example.test", "test", "!keep.example.test", "!sub.example.test", "short")
    made.main["masquerade_domains"] = " ".join(made.some(names, 4))
    made.maybe(
        "masquerade_exceptions", ("root", "mapped, user", "First.Last", "regexp:{ {/^u/ x} }", '"two words"'), 0.4
    )
    if made.chance.random() < 0.4:
        made.main["masquerade_classes"] = ", ".join(made.some(CLASSES, 4))


def aliases(made: Settings) -> None:
    """Set virtual aliases."""
    made.table(
        "virtual_alias_maps", lambda: ", ".join(made.address() for _ in range(made.chance.choice((1, 1, 2, 4)))), 12
    )
    made.maybe("virtual_alias_domains", ("virtual.test", "virtual.test, mapped.test", ""), 0.4)
    made.maybe("virtual_alias_recursion_limit", ("2", "5"), 0.2)
    made.maybe("virtual_alias_expansion_limit", ("3", "10"), 0.2)
    made.maybe("virtual_alias_address_length_limit", ("40",), 0.1)


def copies(made: Settings) -> None:
    """Set copies."""
    made.maybe(
        "always_bcc",
        ("archive@copies.test", "mapped", "user+x@far.test", "mapped@example.test"),
        0.6,
    )
    for name in ("sender_bcc_maps", "recipient_bcc_maps"):
        if made.chance.random() < 0.5:
            made.table(name, lambda: made.address().replace(chr(34), "q"))


def checks(made: Settings) -> None:
    """Set checks of headers and bodies."""
    for name in ("header", "mime_header", "nested_header"):
        if made.chance.random() < 0.6:
            made.file(
                f"{name}_checks",
                made.chance.choice(("regexp", "pcre")),
                [field_rule(made) for _ in range(made.chance.randint(1, 6))],
            )
    if made.chance.random() < 0.6:
        rules = [
            f"/{made.chance.choice(LINES)}/ {verdict(made, 'X-B')}".replace("{{", "{").replace("}}", "}")
            for _ in range(made.chance.randint(1, 5))
        ]
        made.file("body_checks", made.chance.choice(("regexp", "pcre")), rules)
        made.maybe("body_checks_size_limit", ("20", "300", "0"), 0.3)


def verdict(made: Settings, field: str) -> str:
    """Give what a rule does."""
    return made.chance.choice(VERDICTS).format(field=field)


def field_rule(made: Settings) -> str:
    """Give a rule for headers."""
    field = made.chance.choice(FIELDS)
    pattern = made.chance.choice(
        (f"^{field}:", f"^({field}: .*)$", f"^{field}: *(.*)", f"^{field}[: ]", "(mapped|user)", "multipart|x-")
    )
    text = verdict(made, field)
    return f"/{pattern}/ {text if '(' in pattern else text.replace('$1', '$0')}"


def limits(made: Settings) -> None:
    """Set limits."""
    made.maybe("header_size_limit", ("60", "200", "500"))
    made.maybe("line_length_limit", ("512", "700"))
    made.maybe("hopcount_limit", ("1", "2"), 0.1)
    made.maybe("mime_nesting_limit", ("1", "2", "3"))
    made.maybe("mime_boundary_length_limit", ("1", "2", "3"))
    made.maybe("duplicate_filter_limit", ("0", "1", "3"))


def strict(made: Settings) -> None:
    """Set what is refused."""
    for name in (
        "strict_rfc821_envelopes",
        "strict_7bit_headers",
        "strict_8bitmime_body",
        "strict_8bitmime",
        "strict_mime_encoding_domain",
    ):
        made.maybe(name, ("yes",), 0.2)
    made.maybe("disable_mime_input_processing", ("yes",), 0.1)
    made.maybe("disable_mime_output_conversion", ("yes",), 0.1)
    made.maybe("detect_8bit_encoding_header", ("no",), 0.15)
    made.maybe("allow_min_user", ("yes",), 0.3)
    made.maybe("message_reject_characters", (r"\0", r"\007\177", r"\377"), 0.2)
    made.maybe("message_strip_characters", (r"\0", r"\001\177", "z", r"\r"), 0.2)
    made.maybe("cleanup_replace_stray_cr_lf", ("no",), 0.0)
    made.maybe("smtputf8_enable", ("no",), 0.15)
    made.maybe("smtputf8_autodetect_classes", ("all", "bounce", "sendmail"), 0.15)


def headers(made: Settings) -> None:
    """Set what becomes of headers as such."""
    made.maybe("always_add_missing_headers", ("yes",), 0.4)
    made.maybe(
        "message_drop_headers",
        ("x-secret subject: Resent-Date", "", "from, to", "received", "message-id, date reply-to"),
        0.4,
    )
    made.maybe(
        "undisclosed_recipients_header", ("To: undisclosed-recipients:;", "To: mapped", "X-No-To: x", "To: a\tb"), 0.4
    )
    made.maybe("enable_original_recipient", ("no",), 0.3)
    made.maybe("smtpd_client_port_logging", ("yes",), 0.1)
    made.maybe("header_from_format", ("obsolete",), 0.1)


def receiving(seed: str) -> Configuration:
    """Make the settings of smtpd, cleanup and their trivial-rewrite."""
    made = Settings(seed)
    made.maybe("local_header_rewrite_clients", ("", "permit_inet_interfaces", "static:all"), 0.5)
    for group in (form, mapping, masquerade, aliases, headers, strict):
        made.call(group, 0.5)
    for group in (copies, checks, limits):
        made.call(group, 0.35)
    parts = ("canonical", "virtual", "alias", "forward", "include", "generic")
    if made.chance.random() < 0.3:
        made.main["propagate_unmatched_extensions"] = ", ".join(made.some(parts, 3))
    options = ("no_header_body_checks", "no_address_mappings", "no_unknown_recipient_checks", "no_milters")
    if made.chance.random() < 0.15:
        made.main["receive_override_options"] = ", ".join(made.some(options, 2))
    families = ("headers", "headers", "addresses", "addresses", "mime-lines", "mime-tree", "bodies")
    return Configuration(seed, made.main, made.files, families)
