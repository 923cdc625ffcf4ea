"""The checks: each mistake is found, with its line, and a good configuration gives nothing."""

import os
from pathlib import Path

import pytest

from posthouse.config.check import check_directory, has_errors, service_names
from posthouse.config.check_restrictions import KNOWN
from posthouse.config.check_services import KNOWN_PROGRAMS
from posthouse.config.check_tables import check_file, check_table, tables_in
from posthouse.config.findings import Finding, Severity
from posthouse.config.load import load
from posthouse.config.parameter import NameList, Restrictions, Tables
from posthouse.config.registry import Registry
from tests.support.findings import GOOD_MASTER

PROGRAMS = tuple(KNOWN_PROGRAMS - {"verify"})
REGISTRY = Registry.of(
    [
        Restrictions("smtpd_recipient_restrictions", "", doc="."),
        Tables("smtpd_sender_login_maps", "", doc="."),
        NameList("smtpd_restriction_classes", "", doc="."),
    ],
    PROGRAMS,
    ["lmdb", "hash", "texthash", "pipemap", "inline", "static", "proxy", "unix"],
    KNOWN - {"reject_rbl_client"},
)
MASTER = GOOD_MASTER
GOOD = "compatibility_level = 3.11\nmyhostname = mail.example.com\nalias_maps =\nlocal_recipient_maps =\n"


class Checker:
    """Writes a configuration and checks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, main: str = "", master: str = MASTER, *, good: str = GOOD) -> list[Finding]:
        """Check `main` after four good lines."""
        (self.directory / "main.cf").write_text(good + main)
        (self.directory / "master.cf").write_text(master)
        return check_directory(str(self.directory), REGISTRY, as_root=True)

    def only(self, main: str, master: str = MASTER) -> str:
        """Give the one finding of `main`, without the directory."""
        findings = self(main, master)
        assert len(findings) == 1, findings
        return f"[{findings[0].id}] {findings[0]}".replace(f"{self.directory}/", "")


@pytest.fixture
def check(tmp_path: Path) -> Checker:
    """Make a checker."""
    return Checker(tmp_path)


def test_a_good_configuration_gives_nothing(check: Checker) -> None:
    """No finding, and so no error."""
    assert check() == []
    assert not has_errors(check())


def test_a_directory_without_files_is_good(tmp_path: Path) -> None:
    """Everything has a default; only the name of the host may be one that nobody can look up."""
    assert {finding.id for finding in check_directory(str(tmp_path), REGISTRY)} <= {"host-name-not-full"}


RELEASE = [  # what depends on what this release has
    (
        "process_name = x\n",
        "[read-only-name] main.cf:5: warning: process_name cannot be set; it has no effect; take it out",
    ),
    ("always_bcc = x\n", "[not-supported] main.cf:5: warning: always_bcc is not built yet; it has no effect"),
    (
        "daemon_directory = /usr/lib/postfix/sbin\n",
        "[without-effect] main.cf:5: note: daemon_directory has no effect: daemons are modules of the package, not",
    ),
    (
        "smtpd_milters = inet:localhost:8891, { unix:/run/x.sock, connect_timeout=10s }\n",
        "[not-supported] main.cf:5: warning: smtpd_milters is not built yet; mail is taken without asking them",
    ),
    ("biff = no\n", ""),
    ("always_bcc =\n", ""),
    (
        "smtpd_helo_restrictions = reject\n",
        "[not-supported] main.cf:5: error: smtpd_helo_restrictions is not built yet; without it",
    ),
    (
        "canonical_maps = ldap:x\n",
        '[table-not-built] main.cf:5: warning: canonical_maps: table type "ldap" is not built yet (ldap:x);',
    ),
    (
        "transport_maps = ldap:x\n",
        '[table-not-built] main.cf:5: error: transport_maps: table type "ldap" is not built yet (ldap:x);',
    ),
    (
        "smtpd_recipient_restrictions = reject_rbl_client a.b=127.0.0.[1;2]\n",
        "[restriction-not-built] main.cf:5: warning: smtpd_recipient_restrictions: the restriction reject_rbl_client",
    ),
    (
        "transport_maps = lmdb:/etc/services/x\n",
        "[table-unreadable] main.cf:5: error: transport_maps: lmdb:/etc/services/x: cannot read /etc/services/x.lmdb:",
    ),
    (
        "transport_maps = proxy:texthash:/no/file\n",
        "[table-missing] main.cf:5: error: transport_maps: texthash:/no/file: there is no such file",
    ),
    (
        "smtpd_recipient_restrictions = check_client_access { hasch:/x, a=b }\n",
        '[unknown-table-type] main.cf:5: error: smtpd_recipient_restrictions: there is no table type "hasch"',
    ),
    ("maillog_file = /var/log/x\nmaillog_stdout = yes\n", ""),
    ("maillog_stdout = no\n", ""),
    ("maillog_file = /dev/stdout\n", ""),
    ("mailbox_size_limit = 0\n", ""),
]


@pytest.mark.parametrize(("main", "finding"), RELEASE)
def test_what_this_release_has_is_told(check: Checker, main: str, finding: str) -> None:
    """With identifier, severity, place and advice; nothing else is found."""
    if not finding:
        assert check(main) == []
    else:
        assert check.only(main).startswith(finding)


def test_files_of_parameters_that_nobody_reads_do_not_matter(check: Checker) -> None:
    """Debian's example names tables that are not there; an unknown type is a mistake all the same."""
    assert check.only("smtp_sasl_password_maps = texthash:/no/file\n").startswith(
        "[not-supported] main.cf:5: warning: smtp"
    )
    assert has_errors(check("smtp_sasl_password_maps = hasch:/no/file\n"))


def test_a_wrong_level_is_an_error(check: Checker) -> None:
    """The error stands where the level does."""
    findings = check(good="myhostname = a.b\ncompatibility_level = x\nalias_maps=\nlocal_recipient_maps=\n")
    assert has_errors(findings)


def test_a_missing_level_is_a_note(check: Checker) -> None:
    """The old defaults hold then."""
    guard = "smtpd_recipient_restrictions = reject_unauth_destination\n"
    findings = check(guard, good="myhostname = a.b\nalias_maps=\nlocal_recipient_maps=\n")
    assert [finding.id for finding in findings] == ["level-not-set"]
    assert "compatibility_level is not set, so it is 0" in findings[0].what


def test_wrong_syntax_stops_everything_else(check: Checker) -> None:
    """Both files are looked at."""
    findings = check("oops\n", "oops\n")
    assert [(os.path.basename(finding.file), finding.line) for finding in findings] == [
        ("main.cf", 5),
        ("master.cf", 1),
    ]


def test_a_host_fact_that_cannot_be_computed_is_an_error(check: Checker) -> None:
    """mynetworks needs inet_interfaces."""
    findings = check("inet_protocols = ipv9\n")
    assert any("ipv9" in finding.what for finding in findings if finding.severity is Severity.ERROR)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """It is named."""
    assert check_directory(str(tmp_path / "none"), REGISTRY)[0].file == str(tmp_path / "none")


def test_stray_lines_and_doubled_services_are_told(check: Checker) -> None:
    """They read well and mean nothing."""
    findings = check(master=" -o a=b\n" + MASTER + MASTER.splitlines()[0] + "\n", good="  x = y\n" + GOOD)
    assert [finding.line for finding in findings] == [1, 1, 14]


def test_files_that_others_can_write_are_told(check: Checker, tmp_path: Path) -> None:
    """They decide what root does."""
    check()
    (tmp_path / "main.cf").chmod(0o666)
    findings = check_directory(str(tmp_path), REGISTRY, as_root=True)
    assert [(finding.id, finding.what) for finding in findings] == [
        ("file-writable", "others than its owner can write it")
    ]


def test_files_of_another_owner_are_told(check: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To root only: without root they are one's own."""
    check()
    real = os.stat(tmp_path / "main.cf")
    other = os.stat_result((*real[:4], 12345, *real[5:10]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "stat", lambda *_args, **_names: other)
    found = {finding.what for finding in check_directory(str(tmp_path), REGISTRY) if finding.id == "file-owner"}
    assert found == {"it belongs to user 12345, who can so become root"}


@pytest.mark.parametrize("user", [0, 1000])
def test_unreadable_tables(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    """An error for everybody: the check has the rights of the daemons, and they could not read it either."""

    def refuse(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert [problem.severity for problem in check_file("/x", "/x")] == [Severity.ERROR]
    assert [problem.severity for problem in check_table("lmdb", "/x", frozenset({"lmdb"}))] == [Severity.ERROR]
    assert [problem.kind.id for problem in check_file("/x", "/x", as_root=True)] == ["not-checked"]


def test_files_of_settings_of_tables(tmp_path: Path) -> None:
    """One that is not there is found; a name without a file has its settings in main.cf."""
    built = frozenset({"pgsql"})
    (problem,) = check_table("pgsql", f"{tmp_path}/users.cf", built)
    assert (problem.severity, problem.what) == (Severity.ERROR, f"pgsql:{tmp_path}/users.cf: there is no such file")
    (tmp_path / "users.cf").write_text("query = SELECT 1\n")
    assert not list(check_table("pgsql", f"{tmp_path}/users.cf", built))
    assert not list(check_table("pgsql", "users", built))


def test_tables_are_found_in_composites() -> None:
    """And in restrictions, and behind proxy:."""
    items = ("pipemap:{lmdb:/a, static:b}", "!proxy:hash:/c", "{ check_x inline:{d=e} }", "name", "unionmap:x")
    assert list(tables_in(items)) == [
        ("pipemap", "{lmdb:/a, static:b}"),
        ("lmdb", "/a"),
        ("static", "b"),
        ("proxy", "hash:/c"),
        ("hash", "/c"),
        ("inline", "{d=e}"),
        ("unionmap", "x"),
    ]


def test_a_program_that_is_not_built_is_a_note(check: Checker) -> None:
    """The service is left out."""
    found = check.only("", MASTER + "x unix - - n - 1 verify\n")
    assert found.startswith("[program-not-built] master.cf:13: note: x/unix: verify is not built yet; the service is")


def test_service_parameters_of_a_configuration(check: Checker, tmp_path: Path) -> None:
    """Names that exist because of master.cf."""
    check("", MASTER + "uucp unix - - n - - local\n")
    assert "uucp_recipient_limit" in service_names(load(str(tmp_path)))
