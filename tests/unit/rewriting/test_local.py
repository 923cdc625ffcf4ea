"""Standard form of addresses, in both contexts, and the tokens beneath."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.settings import Settings
from posthouse.protocol.address import quote_address, split_address, unquote_address
from posthouse.rewriting.address_list import split_addresses
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.tokens import ATOM, Token, external, scan
from posthouse.util.errors import ConfigError
from tests.support.steps import is_linear

BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mail.example.org",
    "mydomain": "example.org",
    "myorigin": "origin.example.org",
    "append_dot_mydomain": "yes",
}


def _rewriter(**settings: str) -> Rewriter:
    return Rewriter(Settings.from_mapping({**BASE, **settings}))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("user@host.example.com", "user@host.example.com"),
        ("user", "user@origin.example.org"),
        ("user@host", "user@host.example.org"),
        ("user@host.", "user@host"),
        ("user@host.example.com.", "user@host.example.com"),
        ("user@host..", "user@host.."),
        ("user@", "user@"),
        ("user@.", "user@."),
        ("", ""),
        ('""', '""'),
        ("@", '""'),
        ("host!user", "user@host.example.org"),
        ("a!b!user", "b!user@a.example.org"),
        ("host!", '""@host.example.org'),
        ("user%host", "user@host.example.org"),
        ("a%b%host", "a%b@host.example.org"),
        ("%host", '""@host.example.org'),
        ("host!user@there.example", "host!user@there.example"),
        ("@a.example,@b.example:user@c.example", "user@c.example"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ('"a b"@host', '"a b"@host.example.org'),
        ('"a b"', '"a b"@origin.example.org'),
        ('"user@host"', '"user@host"@origin.example.org'),
        ("user @ host", "user@host.example.org"),
        ('"user"@host', "user@host.example.org"),
        ('us\\er."x y"@host', '"user.x y"@host.example.org'),
        ("a\\@b@host", '"a@b"@host.example.org'),
        ('"a\tb"@host', '"a b"@host.example.org'),
        ("user@[192.0.2.1", "user@[192.0.2.1]"),
        ("a|b@host", "a|b@host.example.org"),
        ("a,b@host", '"a, b"@host.example.org'),
        ('a!""', '""@a.example.org'),
        ("b\\", "b@origin.example.org"),
    ],
)
def test_the_local_context(address: str, expected: str) -> None:
    """Incomplete addresses get our domains."""
    assert _rewriter().rewrite(address) == expected


def test_a_comment_makes_a_bad_address() -> None:
    """It is no part of an address; dropped in silence it would hide what the address was."""
    assert _rewriter().rewrite("user@host.example.com (comment)") == "user@host.example.com (comment)"
    assert _rewriter().rewrite("(comment)user@host.example.com") == '"(comment) user"@host.example.com'


def test_the_remote_context() -> None:
    """Incomplete addresses get the domain that says they are, or nothing."""
    with_domain = _rewriter(remote_header_rewrite_domain="domain.invalid")
    assert with_domain.rewrites_remote
    assert with_domain.rewrite("user", "remote") == "user@domain.invalid"
    assert with_domain.rewrite("user@host", "remote") == "user@host.domain.invalid"
    without = _rewriter()
    assert not without.rewrites_remote
    assert without.rewrite("user", "remote") == "user"
    with pytest.raises(ConfigError):
        without.rewrite("user", "inherited")


@pytest.mark.parametrize(
    ("setting", "address", "expected"),
    [
        ("swap_bangpath", "host!user", "host!user@origin.example.org"),
        ("allow_percent_hack", "user%host", "user%host@origin.example.org"),
        ("append_at_myorigin", "user", "user"),
        ("append_dot_mydomain", "user@host", "user@host"),
    ],
)
def test_each_rule_can_be_turned_off(setting: str, address: str, expected: str) -> None:
    """By its parameter."""
    assert _rewriter(**{setting: "no"}).rewrite(address) == expected


def test_myorigin_may_be_a_file(tmp_path: object) -> None:
    """As Debian's /etc/mailname; one that is missing or empty is a configuration error."""
    path = f"{tmp_path}/mailname"
    with pytest.raises(ConfigError, match="No such file"):
        _rewriter(myorigin=path)
    with open(path, "w", encoding="ascii") as file:
        file.write("")
    with pytest.raises(ConfigError, match="is empty"):
        _rewriter(myorigin=path)
    with open(path, "w", encoding="ascii") as file:
        file.write("name.example\n")
    assert _rewriter(myorigin=path).rewrite("user") == "user@name.example"


ODD = st.text(alphabet='ab.@%!"\\[]() ,:;<>é', max_size=30)
REWRITER = _rewriter()


@given(st.one_of(ODD, st.text(max_size=60)))
def test_no_text_makes_rewriting_fail(text: str) -> None:
    """Whatever comes."""
    assert isinstance(REWRITER.rewrite(text), str)


LOCAL_PARTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
DOMAINS = st.from_regex(r"[a-z](?:\.[a-z0-9]{1,5}){0,3}|\[192\.0\.2\.[0-9]\]", fullmatch=True)


@given(LOCAL_PARTS, DOMAINS, st.sampled_from(["local", "remote"]))
def test_standard_form_is_final(local_part: str, domain: str, context: str) -> None:
    """Rewritten once more, an address stays as it is; its local part is never touched when it has a domain."""
    once = REWRITER.rewrite(quote_address(f"{local_part}@{domain}"), context)
    assert REWRITER.rewrite(once, context) == once
    assert split_address(unquote_address(once)).local_part == local_part


@given(ODD)
def test_tokens_survive_writing(text: str) -> None:
    """What is written in external form reads as the same tokens."""
    tokens = scan(text)
    assert scan(external(tokens)) == [token for token in tokens if token != Token(ATOM, "")]  # a lone backslash


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@b", ["a@b"]),
        ("a@b, c@d e,,f", ["a@b", "c@d", "e", "f"]),
        ('"a b"@c, d', ['"a b"@c', "d"]),
        ("Some Body <a@b>, c (comment)", ["a@b", "c"]),
        ('"x, y" <a@b>, "|cmd x"', ["a@b", '"|cmd x"']),
        ("user@[192.0.2.1]", ["user@[192.0.2.1]"]),
        ("g: a@b, c@d;", ["a@b", "c@d"]),
        ("<@x,@y:a@b>", ["@x,@y:a@b"]),
        ("a @ b . c d", ["a@b.c", "d"]),
        ("a.@b", ["a.@b"]),
        (":", []),
        ("", []),
        (" , ", []),
    ],
)
def test_lists_of_addresses(text: str, addresses: list[str]) -> None:
    """Commas or blanks separate; comments and names fall away."""
    assert split_addresses(text) == addresses


@pytest.mark.parametrize("second", ["", ":", "(", "<", "a "])
@pytest.mark.parametrize("first", ["a ", "a(b)", '""', "<", "(", "a,", "@a", "a!", "a%", "[", "\\"])
def test_work_is_linear(first: str, second: str) -> None:
    """Lists of addresses in tables, and rewriting."""
    for function in (split_addresses, REWRITER.rewrite):
        assert is_linear(function, lambda size: first * size + second * size + ">", 100)
