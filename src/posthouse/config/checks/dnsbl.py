"""Checks of DNS block lists: answers that are not filtered, and lists that have ended."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from posthouse.config.check_restrictions import words_of
from posthouse.config.checks.context import Context
from posthouse.config.findings import WARNING, Finding, Kind, Place

UNFILTERED = Kind(
    "dnsbl-without-filter",
    WARNING,
    "A DNS block list is used without a filter on its answers.",
    "an answer that means an error of the list, or a domain that was sold, rejects all mail",
)
DEAD = Kind(
    "dnsbl-ended",
    WARNING,
    "A DNS block list is named that is known to have ended.",
    "it lists nobody, or everybody",
    "take it out",
)
# Lists that their operators have closed; a name below one of these counts too.
ENDED: Final = frozenset(
    {
        "ahbl.org", "bl.csma.biz", "blackholes.easynet.nl", "dsbl.org", "dul.maps.vix.com", "inputs.orbz.org",
        "ix.dnsbl.manitu.net", "njabl.org", "opm.blitzed.org", "orbs.org", "ordb.org", "proxies.relays.monkeys.com",
        "rbl.maps.vix.com", "relays.osirusoft.com", "rfc-ignorant.org", "sbl.csma.biz", "sorbs.net",
        "spamcannibal.org",
    }
)  # fmt: skip
_REJECTING: Final = ("reject_rbl", "reject_rhsbl")
_LISTS: Final = (
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
)  # fmt: skip
_SITES: Final = "postscreen_dnsbl_sites"
_WEIGHT: Final = re.compile(r"\*\s*([+-]?[0-9]+)$", re.ASCII)


def check_lists(context: Context) -> Iterator[Finding]:
    """Look at the block lists of restrictions and of postscreen(8)."""
    for service, settings in context.readers("smtpd", "postscreen"):
        own = {name for name, _ in service.overrides} if service else set(context.configuration.main.values)
        for name in (*_LISTS, _SITES, *context.items("smtpd_restriction_classes", settings)):
            if name in own:
                for site in _sites(name, context.items(name, settings)):
                    yield from _check(context.place(name, settings), name, site)


def _sites(name: str, items: Sequence[str]) -> Iterator[str]:
    """Give the lists that a value names: "domain" or "domain=filter"."""
    if name == _SITES:
        yield from (_WEIGHT.sub("", item) for item in items if not _is_allowlist(item))
    else:
        yield from (word.argument for word in words_of(items) if word.name.lower().startswith(_REJECTING))


def _is_allowlist(item: str) -> bool:
    """Tell whether a site's answers count in favour of a client."""
    match = _WEIGHT.search(item)
    return match is not None and match[1].startswith("-")


def _check(place: Place, name: str, site: str) -> Iterator[Finding]:
    domain, equals, _ = site.partition("=")
    labels = domain.lower().rstrip(".").split(".")
    parents = {".".join(labels[at:]) for at in range(len(labels))}
    if parents & ENDED:
        yield DEAD.at(place, f"{name}: {domain} has ended")
    elif domain and not equals and "$" not in domain:
        fix = f"write: {domain}=127.0.0.[2..11], with the answers that the list documents"
        yield UNFILTERED.at(place, f"{name}: {domain} counts whatever it answers", fix)
