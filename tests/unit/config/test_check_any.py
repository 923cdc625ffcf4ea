"""Whatever stands in main.cf and master.cf: the checks give findings, and never raise."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from posthouse.config import catalog
from posthouse.config.check import check_directory
from posthouse.config.check_restrictions import KNOWN
from posthouse.config.check_services import KNOWN_PROGRAMS
from posthouse.config.findings import Finding
from tests.support.findings import GOOD_MAIN, GOOD_MASTER, found_in, whole

REGISTRY = whole()
NAMES = st.sampled_from(sorted(catalog.entries())) | st.text("abc_$", min_size=1, max_size=8)
WORDS = st.sampled_from(
    [
        *sorted(KNOWN), "$myhostname", "${x?{a}:{b}}", "${", "$(", "{", "}", "{ a", "!", "#", '"', "127.0.0.0/8",
        "[::1", "0/0", "texthash:/etc/services", "regexp:/etc/hosts", "inline:{a=b}", "pipemap:{", "proxy:x:y",
        "pcre:{{/(/ x}}", "unionmap:{inline:{a=b},}", "smtp:[x]:25", ":", "error:", "0", "-1", "5d", "yes",
        "=127.0.0.2", "a.b=1*2", "*", "strict", ",", "\t", "\x00", "\udcff", "9" * 30, "/etc/passwd",
        "[::1]", "static:OK",
    ]
)  # fmt: skip
VALUES = st.lists(WORDS | st.text(max_size=6), max_size=6).map(" ".join)
LINES = st.tuples(NAMES, VALUES).map(" = ".join)
SERVICES = st.tuples(
    st.sampled_from(["smtp", "25", "[::1]:25", "x", ":", "a:b", "smtp:smtp"]),
    st.sampled_from(["inet", "unix", "pass", "fifo", "unix-dgram"]),
    st.sampled_from(["n", "y", "-"]),
    st.sampled_from(["n", "y", "-"]),
    st.sampled_from(["n", "y", "-"]),
    st.sampled_from(["-", "0", "5?"]),
    st.sampled_from(["-", "0", "1", "7"]),
    st.sampled_from(sorted(KNOWN_PROGRAMS)),
    st.lists(st.tuples(NAMES, VALUES), max_size=3).map(
        lambda pairs: " ".join(f"-o {{ {name} = {value} }}" for name, value in pairs) or "user= argv="
    ),
).map(" ".join)


def checked(main: list[str], master: list[str]) -> list[Finding]:
    """Check lines appended to good files."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for file, text in (("main.cf", GOOD_MAIN + "\n".join(main)), ("master.cf", GOOD_MASTER + "\n".join(master))):
            (directory / file).write_bytes(text.encode("utf-8", "surrogateescape"))
        return found_in(directory, REGISTRY)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([], ["smtp inet n n n - - anvil -o { compatibility_level =  }"])
@given(st.lists(LINES, max_size=6), st.lists(SERVICES, max_size=3))
def test_no_configuration_raises(main: list[str], master: list[str]) -> None:
    """Each finding has an identifier, a place and words."""
    for finding in checked(main, master):
        assert finding.id
        assert finding.file
        assert finding.what


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_octets_raise(main: bytes, master: bytes) -> None:
    """Files that are no configuration at all."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "main.cf").write_bytes(main)
        (Path(name) / "master.cf").write_bytes(master)
        assert isinstance(check_directory(name, REGISTRY), list)


@pytest.mark.parametrize(
    ("main", "master"),
    [
        ("smtpd_reject_footer = Call $(555 0100", ""),
        ("smtpd_reject_footer = Call ${the postmaster", ""),
        ("virtual_alias_maps = texthash:/etc/a\0b", ""),
        ("virtual_alias_maps = hash:/etc/a\0b", ""),
        ("smtpd_tls_chain_files = /etc/a\0b", ""),
        ("inet_interfaces = \udcff", ""),
        ("inet_interfaces = a..b", ""),
        ("", "127.0.0.1:\udcff inet n - n - - smtpd"),
        ("", "127.0.0.1:26 inet n - n - - smtpd -o inet_interfaces=a..b"),
        ("", "127.0.0.1:26 inet n - n - - smtpd -o inet_protocols=ipv7"),
        ("", "127.0.0.1:a\0b inet n - n - - smtpd"),
    ],
)
def test_what_no_library_takes(main: str, master: str) -> None:
    """Octets that can be in no name of a file, host or port; brackets in a text that is for a client."""
    assert isinstance(checked([main], [master]), list)
