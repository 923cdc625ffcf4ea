"""Checks of restriction lists: words that mean nothing, that have no argument, or that are not built yet.

A word that means nothing is answered with 451 by smtpd(8), for all mail that reaches it; better to hear it at start.
Sources: SMTPD_ACCESS_README, postconf(5); facts/restrictions.tsv.
"""

import difflib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from posthouse.config.findings import ERROR, WARNING, Kind, Problem
from posthouse.config.lists import ListSyntaxError, parse_items

UNKNOWN = Kind(
    "unknown-restriction",
    ERROR,
    "A restriction list has a word that is neither a restriction nor a class that smtpd_restriction_classes names.",
)
NO_ARGUMENT = Kind(
    "restriction-without-argument", ERROR, "A restriction that needs an argument stands at the end of its list."
)
GONE = Kind("restriction-removed", ERROR, "A restriction list has a word that Postfix 3.9 took out.")
NOT_BUILT = Kind(
    "restriction-not-built",
    WARNING,
    "Postfix has the restriction, and this release does not.",
    "what it is asked about is answered with 451",
    "take it out",
)
UNREACHABLE = Kind(
    "unreachable-restriction",
    WARNING,
    "A restriction stands behind one that always decides (permit, reject, defer), so it is never asked.",
    "it has no effect",
)
DUPLICATE = Kind(
    "duplicate-restriction",
    WARNING,
    "A restriction list has the same restriction twice; what the first one let through, the second lets through too.",
    "the second has no effect",
    "take one out",
)

_WHOSE: Final = ("client", "reverse_client_hostname", "helo", "sender", "recipient")
_ACCESS: Final = frozenset(
    {
        *(f"check_{whose}{record}_access" for whose in _WHOSE for record in ("", "_a", "_mx", "_ns")),
        "check_ccert_access", "check_sasl_access", "check_etrn_access",
    }
)  # fmt: skip
CHECK_ADDRESS_MAP: Final = "check_address_map"  # a word of local_header_rewrite_clients; its table follows
_OTHERS_WITH_ARGUMENT: Final = frozenset(
    {
        "check_policy_service", "permit_dnswl_client", "permit_rhswl_client", "reject_rbl_client", "reject_rbl",
        "reject_rhsbl_client", "reject_rhsbl_reverse_client", "reject_rhsbl_helo", "reject_rhsbl_sender",
        "reject_rhsbl_recipient", "sleep",
    }
)  # fmt: skip
WITH_ARGUMENT: Final = _ACCESS | _OTHERS_WITH_ARGUMENT
# Every word of Postfix 3.11; which of them are built says the registry.
KNOWN: Final = WITH_ARGUMENT | frozenset(
    {
        "permit", "reject", "defer", "defer_if_permit", "defer_if_reject", "warn_if_reject",
        "reject_unauth_pipelining", "reject_plaintext_session", "reject_multi_recipient_bounce",
        "permit_inet_interfaces", "permit_mynetworks", "permit_sasl_authenticated", "permit_tls_clientcerts",
        "permit_tls_all_clientcerts", "reject_unknown_client_hostname", "reject_unknown_client",
        "reject_unknown_reverse_client_hostname", "reject_invalid_helo_hostname", "reject_invalid_hostname",
        "reject_non_fqdn_helo_hostname", "reject_non_fqdn_hostname", "reject_unknown_helo_hostname",
        "reject_unknown_hostname", "reject_authenticated_sender_login_mismatch",
        "reject_known_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch",
        "reject_sender_login_mismatch", "reject_non_fqdn_sender", "reject_unknown_sender_domain",
        "reject_unknown_address", "reject_unlisted_sender", "reject_unverified_sender", "permit_auth_destination",
        "permit_mx_backup", "reject_unauth_destination", "defer_unauth_destination", "reject_non_fqdn_recipient",
        "reject_unknown_recipient_domain", "reject_unlisted_recipient", "check_recipient_maps",
        "reject_unverified_recipient",
    }
)  # fmt: skip
# Gone since Postfix 3.9, and what stands for them.
REMOVED: Final = {
    "check_relay_domains": "permit_mynetworks, reject_unauth_destination",
    "permit_naked_ip_address": "permit_mynetworks or permit_sasl_authenticated",
    "reject_maps_rbl": "reject_rbl_client with a domain",
}
REPEATABLE: Final = frozenset({"sleep", "check_policy_service"})  # what a second one does is its own business
# Access checks that look something up for every recipient.
_ALWAYS_ASKED: Final = frozenset({"check_client_access", "check_recipient_access", "check_sender_access"})
_FIRST_ARGUMENT_ONLY: Final = frozenset({"check_policy_service", "check_ccert_access"})  # { argument, name=value ... }


class Word(NamedTuple):
    """A restriction as it stands in a list, with its argument ("" if it takes none or none is there)."""

    name: str
    argument: str


def words_of(items: Sequence[str]) -> Iterator[Word]:
    """Read a list; "{ name argument }" is taken apart, the argument of check_policy_service is not."""
    words = [word for item in items for word in _unbraced(item)]
    position = 0
    while position < len(words):
        name = words[position]
        position += 1
        argument = ""
        if name.lower() in WITH_ARGUMENT and position < len(words):
            argument = words[position]
            position += 1
        yield Word(name, argument)


def _unbraced(item: str) -> Sequence[str]:
    """Take "{ name argument }" apart; a brace behind a word that wants an argument is its argument and stays."""
    if not (item.startswith("{") and item.endswith("}")):
        return (item,)
    try:
        inner = parse_items(item[1:-1])
    except ListSyntaxError:
        return (item,)
    return inner if inner and inner[0].lower() in KNOWN else (item,)


def tables_of(items: Sequence[str]) -> tuple[str, ...]:
    """Give the lookup tables of a list: arguments of check_x_access, and type:name alone."""
    found = []
    for word in words_of(items):
        name = word.name.lower()
        if name in _ACCESS and word.argument:
            found.append(_first(word.argument) if name in _FIRST_ARGUMENT_ONLY else word.argument)
        elif name not in WITH_ARGUMENT and ":" in word.name:
            found.append(word.name)
    return tuple(found)


def _first(argument: str) -> str:
    inner = argument[1:-1].strip() if argument.startswith("{") else argument
    return next(iter(parse_items(inner)), "")


def check_restrictions(items: Sequence[str], classes: frozenset[str], built: frozenset[str]) -> Iterator[Problem]:
    """Check one list. classes: smtpd_restriction_classes, in lower case; built: words that work in this release."""
    words = list(words_of(items))
    for word in words:
        name = word.name.lower()
        if name in WITH_ARGUMENT and not word.argument:
            yield NO_ARGUMENT.problem(f"{name} stands at the end, without what it needs", "add its argument")
        if name in REMOVED:
            yield GONE.problem(f"{name} is gone since Postfix 3.9", f"use {REMOVED[name]}")
        elif name in KNOWN:
            if name not in built:
                yield NOT_BUILT.problem(f"the restriction {name} is not there yet")
        elif name not in classes and ":" not in name:
            guess = difflib.get_close_matches(name, sorted(KNOWN | classes), n=1, cutoff=0.7)
            fix = f'did you mean "{guess[0]}"?' if guess else "see SMTPD_ACCESS_README for the restrictions there are"
            yield UNKNOWN.problem(f'there is no restriction "{word.name}"', fix)
    yield from _order_problems(words)


def _order_problems(words: Sequence[Word]) -> Iterator[Problem]:
    """Find what is never reached, and what stands twice."""
    seen: set[tuple[bool, str, str]] = set()
    decided, warned = "", False
    for word in words:
        name = word.name.lower()
        if name == "warn_if_reject":
            warned = True
            continue
        shown = f"{word.name} {word.argument}".strip()
        if decided:
            fix = f"move it before {decided}, or take it out"
            yield UNREACHABLE.problem(f"{shown} stands behind {decided}, which always decides", fix)
            return  # what follows is no news
        key = (warned, name, word.argument)
        if key in seen and name not in REPEATABLE and name in KNOWN:
            yield DUPLICATE.problem(f"{shown} stands twice")
        seen.add(key)
        decided = shown if decides_always(word) and not (warned and name != "permit") else ""
        warned = False


def decides_always(word: Word) -> bool:
    """Tell whether nothing that follows in the list is ever asked."""
    name = word.name.lower()
    if name in ("permit", "reject", "defer"):
        return True
    kind, _, value = (word.argument if name in _ACCESS else word.name).partition(":")
    return kind == "static" and name in _ALWAYS_ASKED and value.split(" ")[0].upper() in ("OK", "PERMIT", "REJECT")
