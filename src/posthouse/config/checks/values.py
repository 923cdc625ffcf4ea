"""Checks of each value by itself: its type and range, comments and quotes in it, and whether anything reads it."""

import re
from collections.abc import Iterator
from typing import Final

from posthouse.config import catalog, deprecated
from posthouse.config.checks.context import Context
from posthouse.config.checks.lists import DECISIVE, list_problems
from posthouse.config.describe import reason_without_effect
from posthouse.config.expand import expand_value
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding, Kind, Place
from posthouse.config.lists import split_tokens
from posthouse.config.parameter import NameList, Parameter, Patterns, Restrictions, String
from posthouse.config.rows import row_of
from posthouse.config.settings import Settings
from posthouse.config.usage import references, service_parameters
from posthouse.util.errors import ConfigError

BAD_VALUE = Kind(
    "bad-value",
    ERROR,
    "A value has the wrong type, is out of range, or cannot be expanded.",
    fix="correct it; posthouse explain parameter NAME shows what it may be",
)
COMMENT = Kind(
    "comment-in-value",
    WARNING,
    "A comment stands behind a value. A # begins a comment only where it is the first character of a line.",
    "the comment is part of the value",
    "put the comment on a line of its own",
)
QUOTES = Kind(
    "quotes-in-value",
    WARNING,
    "A value, or an item of a list, stands in quotes. main.cf knows no quotes.",
    "the quotes are part of the value",
    "take the quotes away",
)
NOT_SUPPORTED = Kind(
    "not-supported",
    WARNING,
    "The parameter exists in Postfix, and this release has nothing that reads it. It is an error where mail would be "
    "decided wrongly without it.",
    "it has no effect",
    "take it out, or wait for it",
)
# What happens without it, where "no effect" does not say enough.
_WITHOUT: Final = {
    "smtp_tls_security_level": "mail goes out without TLS, also where the value demands it",
    "lmtp_tls_security_level": "mail goes out without TLS, also where the value demands it",
    "smtp_tls_policy_maps": "mail goes out without TLS, also where the table demands it",
    "smtpd_tls_security_level": "mail is taken without TLS, also where the value demands it",
    "smtpd_milters": "mail is taken without asking them",
    "non_smtpd_milters": "mail is taken without asking them",
    "smtp_sasl_auth_enable": "nobody logs in to servers, and those that want it refuse the mail",
    "smtpd_sasl_auth_enable": "clients cannot log in, and are strangers",
    "mailbox_transport": "mail is delivered to mailboxes of this host",
    "mailbox_transport_maps": "mail is delivered to mailboxes of this host",
    "fallback_transport": "mail to unknown users is returned",
    "fallback_transport_maps": "mail to unknown users is returned",
}
NO_EFFECT = Kind(
    "without-effect",
    NOTE,
    "The parameter means something in Postfix and nothing here, and never will: Posthouse does it in another way.",
)
NO_EFFECT_WORDS: Final = " has no effect"
DEPRECATED = Kind(
    "deprecated", NOTE, "The parameter will be removed; another does its work.", "a later release will not know it"
)
NO_CLASS = Kind(
    "restriction-class-undefined",
    ERROR,
    "smtpd_restriction_classes names a list that is not set.",
    "what reaches it is answered with 451",
)
_QUOTED: Final = re.compile(r'"[^"]*"|\'[^\']*\'')
_FREE_TEXT: Final = ("string",)  # classes of values in which a # between words may be meant


def check_values(context: Context) -> Iterator[Finding]:
    """Check what main.cf sets, then what -o sets."""
    for name in context.configuration.main.values:
        yield from check_setting(context, context.settings, name)
    for service in context.services():
        try:
            settings = context.view(service)
        except ConfigError as error:  # one that the defaults of others are computed from
            where = Place(error.file, error.line) if error.file else Place(context.master_path, service.line)
            yield bad_value(error)._replace(file=where.file, line=where.line)
            continue
        for name, _ in service.overrides:
            yield from check_setting(context, settings, name)


def bad_value(error: ConfigError) -> Finding:
    """Make the finding of a value that cannot be read."""
    why, _, advice = error.why.partition("; ")
    return BAD_VALUE.at(Place(error.file, error.line), f"{error.parameter}: {why}", advice or None)


def check_setting(context: Context, settings: Settings, name: str) -> Iterator[Finding]:
    """Check one explicit setting: syntax, value, tables, and whether it does anything."""
    if name in catalog.READ_ONLY:
        return
    built = context.registry.find(name)
    row = built or row_of(name)
    place = context.place(name, settings)
    odd = list(_odd_text(place, name, row, settings.explicit[name]))
    try:
        value = settings.text(name) if row is None else settings[row]
    except ConfigError as error:
        context.bad.add(name)
        yield from (finding._replace(severity=ERROR) for finding in odd)
        if not odd:
            yield bad_value(error)
        return
    yield from odd
    if isinstance(row, Patterns) and isinstance(value, tuple):
        for problem in list_problems(context, settings, row, value):
            if built is None and problem.severity is ERROR and problem.kind.id.startswith("table-"):
                continue  # a file that nothing reads yet
            yield problem.at(place, name)
    if name in deprecated.REPLACEMENTS:
        yield DEPRECATED.at(place, f"{name} will be removed", f"instead, {deprecated.advice(name)}")
    elif built is None and row is not None and not _is_of_no_service(context, name):
        yield from _not_supported(settings, place, name, row)


def _odd_text(place: Place, name: str, row: Parameter[object] | None, raw: str) -> Iterator[Finding]:
    """Look for comments and quotes, which main.cf does not know inside a value."""
    if row is not None and not row.expanded:
        return  # a command or pattern of its own syntax
    words = list(split_tokens(raw))
    entry = catalog.entries().get(name)
    is_text = row is None or (isinstance(row, String) and entry is not None and entry.kind.startswith(_FREE_TEXT))
    at = next((at for at, word in enumerate(words) if word == "#" or (word[0] == "#" and not is_text)), -1)
    if at > 0 or (at == 0 and not is_text):
        shown = " ".join(words[at:])[:40]
        fix = f"write: {name} = {raw[: raw.index(words[at])].strip(' ,')}".rstrip()
        yield COMMENT.at(place, f'{name}: "{shown}" is no comment there', fix)
    is_list = isinstance(row, NameList)
    quoted = [word for word in words if _QUOTED.fullmatch(word)] if is_list else _QUOTED.findall(raw)
    if quoted and (is_list or quoted == [raw]):
        bare = raw
        for text in quoted:
            bare = bare.replace(text, text[1:-1])
        yield QUOTES.at(place, f"{name}: {quoted[0]} has quotes, which are not taken away", f"write: {name} = {bare}")


def _is_of_no_service(context: Context, name: str) -> bool:
    """Tell whether it belongs to a transport that is not there: the check of names says so."""
    return name not in catalog.entries() and name not in service_parameters(context.services())


def _not_supported(settings: Settings, place: Place, name: str, row: Parameter[object]) -> Iterator[Finding]:
    """Name a parameter of Postfix that nothing reads. A value that equals the default does no harm."""
    entry = catalog.entries().get(name)
    value = (settings.raw(name) or "") if entry is not None and entry.is_raw else settings.text(name)
    if value == expand_value(row.default, settings.raw).text:
        return
    reason = reason_without_effect(name)
    if reason:
        if value.lower() not in ("", "no"):  # what is switched off is off
            yield NO_EFFECT.at(place, f"{name}{NO_EFFECT_WORDS}: {reason}")
    elif name in DECISIVE:
        consequence, fix = "without it mail would be decided wrongly", "take it out, or wait for it"
        yield NOT_SUPPORTED.at(place, f"{name} is not built yet", fix, consequence, ERROR)
    else:
        yield NOT_SUPPORTED.at(place, f"{name} is not built yet", consequence=_WITHOUT.get(name))


def check_defaults(context: Context) -> Iterator[Finding]:
    """Check the values that are defaults: their references may lead to bad settings, the host may be odd."""
    for row in context.registry.parameters.values():
        if context.is_set(row.name) or row.default == "":
            continue
        try:
            _ = context.settings[row]
        except ConfigError as error:
            causes = [name for name in _reached_from(context, row.default) if context.is_set(name)]
            if not context.bad.intersection(causes):
                why, _, advice = error.why.partition("; ")
                yield BAD_VALUE.at(context.place(causes[0] if causes else ""), f"{row.name}: {why}", advice or None)


def _reached_from(context: Context, text: str) -> list[str]:
    """Give the names that a text leads to, through other values too."""
    found = references(text)
    for name in found:  # grows while it is walked
        found += [more for more in references(context.settings.raw(name) or "") if more not in found]
    return found


def check_restriction_classes(context: Context) -> Iterator[Finding]:
    """Check the lists that smtpd_restriction_classes names."""
    for name in dict.fromkeys(context.items("smtpd_restriction_classes")):
        row = Restrictions(name, "", doc="A restriction class.")
        if not context.is_set(name):
            what = f"smtpd_restriction_classes: there is no list {name}"
            yield NO_CLASS.at(context.place("smtpd_restriction_classes"), what, f"set {name}, or take it out")
            continue
        try:
            value = context.settings[row]
        except ConfigError as error:
            yield bad_value(error)
            continue
        for problem in list_problems(context, context.settings, row, value):
            yield problem.at(context.place(name), name)
