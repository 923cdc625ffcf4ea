"""docs/parameters.md: every parameter with its default, class, range, support and meaning, by area."""

from collections import Counter
from itertools import groupby
from typing import Final

from posthouse.commands.registry import registry
from posthouse.config import catalog
from posthouse.config.describe import Description, Support, describe

HEAD: Final = """\
# Parameters of main.cf

Made by `make docs` from the table in `src/posthouse/config`; `posthouse explain parameter NAME` shows one of them.

{counts}

**used**: some program of this release reads it. **accepted**: it means something in Postfix and nothing here, and the
table says why; setting it is a note of `posthouse check`. **not yet**: nothing reads it in this release; setting it to
anything but its default is a warning of `posthouse check` and at start, or an error where mail would be decided
wrongly.

Defaults are as `postconf -d` shows them; those with `<level` depend on compatibility_level, and `postconf -dx` shows
what they come to. Defaults that the host decides (myhostname, mydomain, mynetworks) are empty here. Times take a unit
(s, m, h, d, w); a bare number is seconds where the column "value" names no other unit. `<transport>` and `<service>`
stand for the first column of master.cf. "Since" is the release of Postfix; "ours" is Posthouse's own.
"""
AREAS: Final = {
    "routing-identity": "Who we are, and where mail goes",
    "general": "General",
    "process-model": "Processes and services",
    "install-security": "Users, directories, confinement",
    "logging-debug": "Log",
    "multi-instance": "Several instances",
    "tables": "Lookup tables",
    "smtpd": "SMTP server",
    "smtpd-access": "SMTP server: access",
    "smtpd-limits": "SMTP server: limits on clients",
    "policy": "SMTP server: policy services",
    "milter": "Milters",
    "sasl": "SASL",
    "tls-server": "TLS: server",
    "tls-client": "TLS: client",
    "tls-core": "TLS: in common",
    "tlsproxy": "tlsproxy",
    "requiretls": "REQUIRETLS",
    "postscreen": "postscreen",
    "address-rewriting": "Rewriting of addresses",
    "address-verification": "Address probes",
    "cleanup-content": "Headers and content",
    "smtputf8": "Internationalized mail",
    "verp": "VERP",
    "queue": "Queue and resources",
    "qmgr": "Scheduling of deliveries",
    "smtp-client": "SMTP client",
    "lmtp-client": "LMTP client",
    "local-delivery": "Local delivery",
    "virtual-delivery": "Virtual delivery",
    "bounce-dsn": "Notices",
    "etrn-flush": "ETRN and flush",
    "qmqpd": "QMQP",
}
TAIL: Final = """
## Names of your own

* **Any other name** is a macro: it does nothing by itself, and `$name` in a value stands for what it says. One that no
  value refers to is named by `posthouse check`, as it is most often a typing mistake.
* **Restriction classes**: each name in `smtpd_restriction_classes` is a restriction list, used by its name in other
  lists and in access tables.
* **Tables in main.cf**: with `ldap:foo` in a value, `foo_server_host` and the like are the attributes of that table.
  Only the old way of writing such tables needs them; a file of its own keeps passwords out of main.cf.
* **Functions**: `${domain_to_ascii{name}}` is the ASCII form of an internationalized domain name.
"""
WORDS: Final = {Support.USED: "used", Support.NO_EFFECT: "accepted", Support.MISSING: "not yet"}


def document() -> str:
    """Give the whole text."""
    built = registry()
    names = [*catalog.entries(), *(f"any{suffix}" for suffix in catalog.families())]
    found = [description for name in names if (description := describe(name, built)) is not None]
    order = list(AREAS)
    found.sort(key=lambda each: (order.index(each.area), _name(each)))
    parts = [HEAD.format(counts=_counts(found))]
    for area, group in groupby(found, key=lambda each: each.area):
        parts += [
            f"\n## {AREAS[area]}\n\n",
            "| name | default | value | since | support | what |\n",
            "|---|---|---|---|---|---|\n",
        ]
        parts += [_row(each) for each in group]
    return "".join(parts) + TAIL


def _counts(found: list[Description]) -> str:
    numbers = Counter(each.support for each in found)
    parts = [f"{numbers[support]} {support}" for support in Support]
    return f"{len(found)} parameters and families: {', '.join(parts)}."


def _name(each: Description) -> str:
    """Give the name as it is listed: a member of a family stands for all."""
    return each.family or each.name


def _row(each: Description) -> str:
    value = ", ".join(part for part in (each.kind, each.range.removesuffix(" seconds"), _unit(each)) if part)
    what = each.doc
    if each.reason:
        what += f" Accepted: {each.reason}."
    if each.replacement:
        what += f" Set `{each.replacement}` instead."
    since = "ours" if each.since == "posthouse" else each.since
    cells = (_code(_name(each)), _code(each.default), _plain(value), since, WORDS[each.support], _plain(what))
    return f"| {' | '.join(cells)} |\n"


def _unit(each: Description) -> str:
    if each.kind.startswith("time") and each.unit == "seconds":
        return ""  # what everybody expects
    return "" if each.unit == "SMTP reply code" else each.unit


def _code(text: str) -> str:
    """Show text as code in a cell of a table."""
    if not text:
        return ""
    mark, space = ("``", " ") if "`" in text else ("`", "")
    return mark + space + text.replace("|", "\\|") + space + mark


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
