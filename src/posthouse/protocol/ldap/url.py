"""LDAP URLs: ldap://host/name?attributes?scope?filter, as an entry may refer to others with. No I/O.

Source: RFC 4516. What it calls extensions is refused where it is critical and ignored otherwise.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

_URL: Final = re.compile(r"(ldap|ldaps|ldapi)://([^/?]*)(?:/([^?]*))?((?:\?[^?]*){0,4})", re.ASCII | re.IGNORECASE)
_SCHEME: Final = re.compile(r"ldap[si]?://", re.ASCII | re.IGNORECASE)
SCOPES: Final = {"base": 0, "one": 1, "sub": 2}


class LdapUrl(NamedTuple):
    """The parts of a URL. scope: 0 base, 1 one, 2 sub; attributes: none means all."""

    scheme: str
    host: str
    base: str
    attributes: tuple[str, ...]
    scope: int
    filter: str


def is_url(text: str) -> bool:
    """Whether a text is meant as an LDAP URL."""
    return _SCHEME.match(text) is not None


def parse_url(text: str) -> LdapUrl:
    """Take a URL apart. Raises ValueError."""
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no LDAP URL')
    attributes, scope, search, extensions = [*(found[4] or "").split("?")[1:], "", "", "", ""][:4]
    if scope.lower() not in ("", *SCOPES):
        raise ValueError(f'"{text}": there is no scope "{scope}"')
    if any(extension.startswith("!") for extension in extensions.split(",")):
        raise ValueError(f'"{text}" wants an extension that is not known here')
    names = tuple(name for name in (unquote(part) for part in attributes.split(",")) if name and name != "*")
    return LdapUrl(
        found[1].lower(),
        unquote(found[2]),
        unquote(found[3] or "", errors="surrogateescape"),
        names,
        SCOPES.get(scope.lower(), 0),
        unquote(search, errors="surrogateescape") or "(objectClass=*)",
    )
