"""Internationalised domain names: A-labels for DNS and tables, U-labels for people. The only place that uses idna.

Names are processed by UTS 46, non-transitional, as Postfix does. Pure ASCII takes a short way without the library.
Sources: RFC 5890, RFC 5891, UTS 46; facts (SMTPUTF8).
"""

import encodings.punycode  # noqa: F401 - it and uts46data would be looked for on disk when the first such name comes
from functools import lru_cache
from typing import Final

import idna
import idna.uts46data

from posthouse.protocol.domain import MAX_HOSTNAME, is_hostname, is_mail_domain

# A longer name cannot become a host name, and the library's time grows with the square of a label's length.
MAX_CHARACTERS: Final = MAX_HOSTNAME


def domain_to_ascii(domain: str) -> str | None:
    """Return `domain` with A-labels; None: it is no valid name. Literals and ASCII names come back as they are."""
    if domain.isascii():
        return domain if is_mail_domain(domain) else None
    return _to_ascii(domain)


def domain_to_unicode(domain: str) -> str | None:
    """Return `domain` with U-labels; None: it is no valid name."""
    if domain.isascii() and "xn--" not in domain.lower():
        return domain if is_mail_domain(domain) else None
    return _to_unicode(domain)


def is_valid_domain(domain: str) -> bool:
    """Whether `domain`, ASCII or not, may stand behind the at sign."""
    if domain.isascii():
        return is_mail_domain(domain)
    return _to_ascii(domain) is not None


@lru_cache(maxsize=1024)
def _to_ascii(domain: str) -> str | None:
    if len(domain) > MAX_CHARACTERS:
        return None
    try:
        name = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None
    return name if is_hostname(name) else None


@lru_cache(maxsize=1024)
def _to_unicode(domain: str) -> str | None:
    ascii_name = _to_ascii(domain) if not domain.isascii() else domain
    if ascii_name is None or not is_hostname(ascii_name):
        return None
    try:
        return idna.decode(ascii_name)
    except (idna.IDNAError, UnicodeError):
        return None
