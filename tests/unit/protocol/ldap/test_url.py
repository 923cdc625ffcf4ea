"""LDAP URLs: the examples of RFC 4516, and what is none."""

import pytest

from posthouse.protocol.ldap.url import LdapUrl, is_url, parse_url

ALL = "(objectClass=*)"
GOOD = {
    "ldap:///o=University%20of%20Michigan,c=US": LdapUrl("ldap", "", "o=University of Michigan,c=US", (), 0, ALL),
    "ldap://ldap1.example.net/o=X,c=US": LdapUrl("ldap", "ldap1.example.net", "o=X,c=US", (), 0, ALL),
    "ldap://h/o=X,c=US?postalAddress": LdapUrl("ldap", "h", "o=X,c=US", ("postalAddress",), 0, ALL),
    "ldap://h:6666/o=X??sub?(cn=Babs%20Jensen)": LdapUrl("ldap", "h:6666", "o=X", (), 2, "(cn=Babs Jensen)"),
    "LDAP://ldap1.example.com/c=GB?objectClass?ONE": LdapUrl(
        "ldap", "ldap1.example.com", "c=GB", ("objectClass",), 1, ALL
    ),
    "ldap://h/o=Question%3f,c=US?mail,cn": LdapUrl("ldap", "h", "o=Question?,c=US", ("mail", "cn"), 0, ALL),
    "ldap://h/o=X,c=US??sub??e-bindname=cn=y": LdapUrl("ldap", "h", "o=X,c=US", (), 2, ALL),
    "ldaps://h": LdapUrl("ldaps", "h", "", (), 0, ALL),
    "ldapi://%2Frun%2Fldapi": LdapUrl("ldapi", "/run/ldapi", "", (), 0, ALL),
    "ldap:///o=x?*": LdapUrl("ldap", "", "o=x", (), 0, ALL),
}


@pytest.mark.parametrize("text", GOOD)
def test_urls(text: str) -> None:
    """Their parts, with %XX read."""
    assert parse_url(text) == GOOD[text]
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["ldap:x", "http://x/", "ldap://h/o=x??down", "ldap://h/o=x????!bind", "ldap://h/a?b?c?d?e?f"]
)
def test_what_is_no_url(text: str) -> None:
    """Neither other schemes, nor unknown scopes, nor critical extensions."""
    with pytest.raises(ValueError, match=r"no LDAP URL|no scope|extension"):
        parse_url(text)
