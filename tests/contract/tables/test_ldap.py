"""ldap: tables beside Debian's Postfix: the same settings, the same directory (slapd), the same answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import pytest

from posthouse.util.errors import ConfigError, TableError
from tests.support import certificates
from tests.support.lookups import logged, opener, run_async
from tests.support.postmap import ask_postfix
from tests.support.scripted_server import ScriptedServer, Talk
from tests.support.table_rigs import SlapdRig

ENTRIES: Final = """
dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example
objectClass: organizationalUnit
ou: groups

dn: uid=ann,ou=people,dc=example
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Ann
mail: ann@example.org
mail: a.ann@example.org
userPassword: annspw

dn: uid=bob,ou=people,dc=example
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
mail: bob@example.org

dn: uid=nomail,ou=people,dc=example
objectClass: inetOrgPerson
uid: nomail
cn: No Mail
sn: Mail

dn: uid=quote\\2c\\22x\\22\\3d,ou=people,dc=example
objectClass: inetOrgPerson
uid: quote,"x"=
cn: Quote
sn: Quote
mail: quote@example.org

dn: cn=both,ou=groups,dc=example
objectClass: groupOfNames
objectClass: extensibleObject
cn: both
mail: both@example.org
member: uid=ann,ou=people,dc=example
member: uid=bob,ou=people,dc=example

dn: cn=outer,ou=groups,dc=example
objectClass: groupOfNames
cn: outer
member: cn=both,ou=groups,dc=example
member: uid=gone,ou=people,dc=example
member: uid=nomail,ou=people,dc=example

dn: cn=loop,ou=groups,dc=example
objectClass: groupOfNames
cn: loop
member: cn=loop,ou=groups,dc=example

dn: cn=host,ou=groups,dc=example
objectClass: groupOfNames
objectClass: extensibleObject
cn: host
mailHost: hub.example.org
mail: host@example.org
member: uid=ann,ou=people,dc=example

dn: cn=urls,ou=groups,dc=example
objectClass: groupOfURLs
cn: urls
memberURL: ldap:///ou=people,dc=example?mail?sub?(uid=bob)
memberURL: ldap:///ou=people,dc=example??one?(uid=ann)
memberURL: ldap:///ou=people,dc=example?sn?one?(uid=ann)

dn: cn=badurl,ou=groups,dc=example
objectClass: groupOfURLs
cn: badurl
memberURL: ldap:///ou=people,dc=example?mail?sub?((uid=bob)

dn: cn=alias,ou=groups,dc=example
objectClass: alias
objectClass: extensibleObject
cn: alias
aliasedObjectName: uid=bob,ou=people,dc=example

dn: ou=elsewhere,dc=example
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:1/dc=elsewhere
"""
SCHEMA: Final = """\
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'memberURL' SUP labeledURI )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'mailHost' SUP mail )
objectclass ( 1.3.6.1.4.1.99999.3 NAME 'groupOfURLs' SUP top STRUCTURAL MUST cn MAY memberURL )
"""
MAIL: Final = "result_attribute = mail"
BY_UID: Final = f"query_filter = (uid=%s)\n{MAIL}"
GROUP: Final = "query_filter = (cn=%s)\nspecial_result_attribute = member, memberURL"
# settings; the keys that are asked
CASES: Final = {
    "one attribute": (BY_UID, ["ann", "ANN", "bob", "nomail", "nobody", "*", "a*", 'quote,"x"=']),
    "several attributes": ("query_filter = uid=%s\nresult_attribute = mail, sn", ["bob", "nomail"]),
    "a format": (f"{BY_UID}\nresult_format = smtp:[%d]:%u-%S", ["ann", "bob"]),
    "the old name of the format": (f"{BY_UID}\nresult_filter = <%s>", ["bob"]),
    "a format that results do not fit": ("query_filter = (uid=%s)\nresult_attribute = sn\nresult_format = %d", ["bob"]),
    "parts of the key": (f"query_filter = (&(uid=%u)(mail=%s))\n{MAIL}", ["bob@example.org", "bob", "@example.org"]),
    "labels of the key": (f"query_filter = (mail=bob@%2.%1)\n{MAIL}", ["x@example.org", "x@org", "example.org"]),
    "a domain": (
        f"query_filter = (mail=%s)\n{MAIL}\ndomain = example.org",
        ["bob@example.org", "bob@example.com", "bob"],
    ),
    "a key in the base": (
        f"search_base = uid=%s,ou=people,dc=example\nquery_filter = (uid=*)\n{MAIL}",
        ["bob", "gone"],
    ),
    "quotes in the base": (
        f"search_base = uid=%s,ou=people,dc=example\nquery_filter = (uid=*)\n{MAIL}",
        ['quote,"x"=', "bob,ou=people,dc=example", "bob+cn=Bob", " bob"],
    ),
    "a base that is not there": (f"search_base = ou=gone,dc=example\n{BY_UID}", ["bob"]),
    "scope one": (f"{BY_UID}\nscope = one", ["bob"]),
    "scope one, lower": (f"{BY_UID}\nscope = one\nsearch_base = ou=people,dc=example", ["bob"]),
    "scope base": (
        f"query_filter = (uid=%s)\n{MAIL}\nscope = base\nsearch_base = uid=bob,ou=people,dc=example",
        ["bob"],
    ),
    "expansion limit": (f"{BY_UID}\nexpansion_limit = 1", ["ann", "bob"]),
    "size limit": (f"query_filter = (objectClass=inetOrgPerson)\n{MAIL}\nsize_limit = 1", ["x"]),
    "size limit that suffices": (f"{BY_UID}\nsize_limit = 1\nexpansion_limit = 2", ["ann"]),
    "a group": (f"{GROUP}\n{MAIL}", ["both", "outer", "loop", "urls"]),
    "leaves": (f"{GROUP}\nresult_attribute =\nleaf_result_attribute = mail", ["both", "outer", "host", "Ann"]),
    "terminal": (f"{GROUP}\n{MAIL}\nterminal_result_attribute = mailHost", ["host", "both"]),
    "recursion limit": (f"{GROUP}\n{MAIL}\nrecursion_limit = 2", ["both", "outer"]),
    "recursion limit that suffices": (f"{GROUP}\n{MAIL}\nrecursion_limit = 3", ["outer"]),
    "expansion limit in a group": (f"{GROUP}\n{MAIL}\nexpansion_limit = 3", ["both", "urls"]),
    "an alias": (f"query_filter = (cn=%s)\n{MAIL}", ["alias"]),
    "an alias that is followed": (
        f"search_base = cn=alias,ou=groups,dc=example\nscope = base\nquery_filter = (uid=%s)\n{MAIL}\ndereference = 3",
        ["bob"],
    ),
    "a referral": (f"search_base = ou=elsewhere,dc=example\n{BY_UID}", ["bob"]),
    "a login": (f"{BY_UID}\nbind = yes\nbind_dn = uid=ann,ou=people,dc=example\nbind_pw = annspw", ["bob"]),
    "a wrong password": (f"{BY_UID}\nbind = simple\nbind_dn = uid=ann,ou=people,dc=example\nbind_pw = x", ["bob"]),
    "nobody of that name": (f"{BY_UID}\nbind = yes\nbind_dn = uid=gone,dc=example\nbind_pw = x", ["bob"]),
    "a broken filter of a URL": (f"{GROUP}\n{MAIL}", ["badurl"]),
}


class Directory(SlapdRig):
    """A directory with people, groups, references; TLS with a certificate of a test authority."""

    more_entries: ClassVar[str] = ENTRIES
    tls: ClassVar[certificates.Files]

    def command(self) -> list[str]:
        """Add the certificate to the settings, and ldaps: to the places."""
        type(self).tls = certificates.make(self.home)
        type(self).more_config = f"{SCHEMA}TLSCertificateFile {self.tls.cert}\nTLSCertificateKeyFile {self.tls.key}\n"
        command = super().command()
        at = command.index("-h") + 1
        command[at] += f" ldaps://127.0.0.1:{self.port + 1}/"
        return command

    def settings(self, *lines: str) -> str:
        """Write settings; those that are given replace what all have."""
        all_have = (
            f"server_host = ldap://127.0.0.1:{self.port}",
            "search_base = dc=example",
            "bind = no",
            "timeout = 10",
        )
        merged = {line.partition(" =")[0]: line for line in (*all_have, *lines)}
        return self._file(*merged.values())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Run one for all tests here that do not stop it."""
    if reason := Directory.why_not() or certificates.why_not():
        pytest.skip(reason)
    with Directory(tmp_path_factory.mktemp("directory")) as rig:
        yield rig


def ask(spec: str, keys: list[str]) -> list[str | None]:
    """Look keys up with our table; "error" where there is one."""

    async def body() -> list[str | None]:
        opened = opener()
        table = opened.open(spec)
        found: list[str | None] = []
        for key in keys:
            try:
                found.append(await table.lookup(key))
            except TableError:
                found.append("error")
        opened.close()
        return found

    return run_async(body())


def values(found: list[str | None]) -> list[set[str] | None]:
    """Give results without their order, which is the server's."""
    return [None if value is None else set(value.split(",")) for value in found]


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_postfix(directory: Directory, case: str, tmp_path: Path) -> None:
    """Each setting does what it does in Debian's Postfix."""
    lines, keys = CASES[case]
    spec = directory.settings(*lines.split("\n"))
    assert values(ask(spec, keys)) == values(ask_postfix(spec, keys, tmp_path))


def test_known_answers(directory: Directory) -> None:
    """What the comparison cannot show: that it is not the same nothing."""
    spec = directory.settings(*BY_UID.split("\n"))
    assert ask(spec, ["ann", "nobody", "*", 'quote,"x"=']) == [
        "ann@example.org,a.ann@example.org", None, None, "quote@example.org",
    ]  # fmt: skip
    spec = directory.settings(*GROUP.split("\n"), MAIL)
    assert ask(spec, ["both", "outer", "loop", "urls"]) == [
        "both@example.org,ann@example.org,a.ann@example.org,bob@example.org",
        "both@example.org,ann@example.org,a.ann@example.org,bob@example.org",
        "error",
        "bob@example.org,ann@example.org,a.ann@example.org",
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("server_host = ldaps://127.0.0.1:{ldaps}\ntls_require_cert = yes\ntls_ca_cert_file = {ca}", "bob@example.org"),
        ("server_host = ldaps://127.0.0.1:{ldaps}\ntls_require_cert = no", "bob@example.org"),
        ("server_host = ldaps://127.0.0.1:{ldaps}", "bob@example.org"),
        ("server_host = ldaps://127.0.0.1:{ldaps}\ntls_require_cert = yes\ntls_ca_cert_file = {other}", "error"),
        ("server_host = ldaps://127.0.0.1:{port}", "error"),
        ("start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = {ca}", "bob@example.org"),
        ("start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = {other}", "error"),
        ("start_tls = yes", "bob@example.org"),
        ("server_host = {local}", "bob@example.org"),
        ("server_host = {local}\nbind = sasl\nsasl_mechs = GSSAPI EXTERNAL", "bob@example.org"),
        ("server_host = {local}\nbind = sasl\nsasl_mechs = PLAIN\nbind_dn = ann\nbind_pw = x", "error"),
        ("server_host = ldap://127.0.0.1:1 ldap://127.0.0.1:{port}", "bob@example.org"),
        ("server_host = 127.0.0.1:1, 127.0.0.1\nserver_port = {port}", "bob@example.org"),
        ("server_host = ldap://127.0.0.1:1 ldap://127.0.0.1:2", "error"),
        ("server_host = localhost:{port}", "bob@example.org"),
    ],
)
def test_ways_to_the_server(directory: Directory, lines: str, expected: str) -> None:
    """TLS with and without a certificate that counts, StartTLS, UNIX sockets, SASL, and a server that is away."""
    filled = lines.format(
        port=directory.port,
        ldaps=directory.port + 1,
        ca=directory.tls.ca,
        other=directory.tls.other_ca,
        local=directory.local_url,
    )
    assert ask(directory.settings(*BY_UID.split("\n"), *filled.split("\n")), ["bob", "bob"]) == [expected, expected]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("search_base =", "search_base: it is missing"),
        ("query_filter = (uid=%s", "query_filter: .*missing"),
        ("query_filter = (uid=%x)", "query_filter: "),
        ("scope = tree", "scope: .*tree"),
        ("version = 2", "version: "),
        ("bind = maybe", "bind: "),
        ("bind = sasl\nsasl_mechs = GSSAPI", "sasl_mechs: none of them is here"),
        ("bind = sasl\nsasl_mechs = PLAIN\nsasl_minssf = 56", "sasl_minssf: "),
        ("dereference = 4", "dereference: "),
        ("server_host = ldap://h:0/", "server_host: "),
        ("tls_ca_cert_file = /nothing", "tls_ca_cert_file: TLS cannot be set up"),
        ("tls_cipher_suite = NONSENSE", "TLS cannot be set up"),
        ("result_attribute =", "result_attribute: "),
        ("recursion_limit = 0", "recursion_limit: "),
    ],
)
def test_wrong_settings(line: str, why: str, tmp_path: Path) -> None:
    """They are named with file, line and attribute when the table is opened."""
    (tmp_path / "l.cf").write_text(f"search_base = dc=example\n{BY_UID}\n{line}\n")
    with pytest.raises(ConfigError, match=why):
        opener().open(f"ldap:{tmp_path}/l.cf")


def test_settings_without_effect(tmp_path: Path) -> None:
    """They are said, as is what nobody knows."""
    (tmp_path / "l.cf").write_text(f"search_base = dc=example\n{BY_UID}\ndebuglevel = 1\ncache = yes\nserverhost = x\n")
    with logged() as lines:
        opener().open(f"ldap:{tmp_path}/l.cf")
    assert len([line for line in lines if "has no effect" in line]) == 2
    assert any("unused parameter: serverhost" in line for line in lines)


def test_a_server_that_hangs_before_one_that_answers(directory: Directory) -> None:
    """The next one is asked when the time for an attempt is over, and the first is left alone for a while."""
    with ScriptedServer(Talk.hang) as hanging:
        servers = f"server_host = ldap://127.0.0.1:{hanging.port} ldap://127.0.0.1:{directory.port}"
        spec = directory.settings(*BY_UID.split("\n"), servers, "timeout = 2")
        assert ask(spec, ["bob", "bob", "nobody"]) == ["bob@example.org", "bob@example.org", None]
        assert len(hanging.talks) == 1


def test_a_referral_where_they_are_wanted(directory: Directory) -> None:
    """With chase_referrals a search that only a referral would complete is an error, not half an answer."""
    assert ask(directory.settings(*BY_UID.split("\n"), "chase_referrals = 1"), ["bob"]) == ["error"]
