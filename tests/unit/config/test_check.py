"""The checks: each mistake is found, with its line, and a good configuration gives nothing."""

import os
from pathlib import Path

import pytest

from posthouse.config.check import check_directory, has_errors, service_names
from posthouse.config.check_restrictions import KNOWN
from posthouse.config.check_tables import check_file, check_table, tables_in
from posthouse.config.findings import Finding, Severity
from posthouse.config.load import load
from posthouse.config.parameter import NameList, Restrictions, Tables
from posthouse.config.registry import Registry

PROGRAMS = ("smtpd", "cleanup", "qmgr", "trivial-rewrite", "bounce", "local", "smtp", "pickup")
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
MASTER = """\
smtp      inet  n - n -   - smtpd
cleanup   unix  n - n -   0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n -   - trivial-rewrite
bounce    unix  - - n -   0 bounce
defer     unix  - - n -   0 bounce
"""
GOOD = "compatibility_level = 3.11\nmyhostname = mail.example.com\nalias_maps =\nlocal_recipient_maps =\n"


class Checker:
    """Writes a configuration and checks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, main: str = "", master: str = MASTER, *, good: str = GOOD) -> list[Finding]:
        """Check `main` after four good lines."""
        (self.directory / "main.cf").write_text(good + main)
        (self.directory / "master.cf").write_text(master)
        return check_directory(str(self.directory), REGISTRY)

    def only(self, main: str, master: str = MASTER) -> str:
        """Give the one finding of `main`, without the directory."""
        findings = self(main, master)
        assert len(findings) == 1, findings
        return str(findings[0]).replace(f"{self.directory}/", "")


@pytest.fixture
def check(tmp_path: Path) -> Checker:
    """Make a checker."""
    return Checker(tmp_path)


def test_a_good_configuration_gives_nothing(check: Checker) -> None:
    """No finding, and so no error."""
    assert check() == []
    assert not has_errors(check())


def test_a_directory_without_files_is_good(tmp_path: Path) -> None:
    """Everything has a default; only the alias file may be missing."""
    assert [finding for finding in check_directory(str(tmp_path), REGISTRY) if "alias" not in finding.what] == []


MISTAKES = [
    ("smtpd_timeout = ten\n", 'main.cf:5: error: smtpd_timeout: "ten" is not a time; write a number and one of'),
    ("max_use = 0\n", "main.cf:5: error: max_use: 0 is too small; the least is 1"),
    ("max_use = $a\na = 0\n", "main.cf:5: error: max_use: 0 is too small"),
    ("relayhost = ${x\n", 'main.cf:5: error: relayhost: truncated macro reference: "${x"'),
    ("mynetworks_style = all\n", 'main.cf:5: error: mynetworks_style: "all" is not one of: class, subnet, host'),
    ("  x = y\n", ""),
    ("relayhost = a\nrelayhost = b\n", "main.cf:6: warning: relayhost is set here and on line 5; the later one"),
    (
        "relayhots = a\n",
        'main.cf:5: warning: unused parameter: relayhots; it has no effect; did you mean "relayhost"?',
    ),
    ("zzz = a\n", "main.cf:5: warning: unused parameter: zzz; it has no effect"),
    ("relayhost = $relay_hosts\n", "main.cf:5: warning: relayhost refers to $relay_hosts, which is not set; it is"),
    ("process_name = x\n", "main.cf:5: warning: process_name cannot be set; it has no effect; take it out"),
    ("virtual_maps =\n", 'main.cf:5: note: virtual_maps will be removed; instead, specify "virtual_alias_maps"'),
    ("always_bcc = x\n", "main.cf:5: note: always_bcc is not built yet; it has no effect"),
    ("always_bcc =\n", ""),
    (
        "smtpd_helo_restrictions = reject\n",
        "main.cf:5: error: smtpd_helo_restrictions is not built yet; without it",
    ),
    (
        "transport_maps = lmbd:/x\n",
        'main.cf:5: error: transport_maps: there is no table type "lmbd" (lmbd:/x); did you mean "lmdb"?',
    ),
    (
        "canonical_maps = xyzzy:/x\n",
        'main.cf:5: error: canonical_maps: there is no table type "xyzzy" (xyzzy:/x); see "postconf -m"',
    ),
    (
        "canonical_maps = ldap:x\n",
        'main.cf:5: warning: canonical_maps: table type "ldap" is not built yet (ldap:x);',
    ),
    ("transport_maps = ldap:x\n", 'main.cf:5: error: transport_maps: table type "ldap" is not built yet (ldap:x);'),
    (
        "transport_maps = proxy:texthash:/no/file\n",
        "main.cf:5: error: transport_maps: texthash:/no/file: there is no such file",
    ),
    ("mydestination = /no/file\n", "main.cf:5: error: mydestination: /no/file: there is no such file"),
    ("mydestination = !/no/file\n", "main.cf:5: error: mydestination: /no/file: there is no such file"),
    (
        "canonical_maps = lmdb:/no/file\n",
        "main.cf:5: error: canonical_maps: lmdb:/no/file: neither /no/file.lmdb nor /no/file exists",
    ),
    (
        "smtpd_recipient_restrictions = check_client_access { hasch:/x, a=b }\n",
        'main.cf:5: error: smtpd_recipient_restrictions: there is no table type "hasch"',
    ),
    (
        "smtpd_recipient_restrictions = permit_mynetwork\n",
        'main.cf:5: error: smtpd_recipient_restrictions: there is no restriction "permit_mynetwork"; did you',
    ),
    (
        "smtpd_recipient_restrictions = check_client_access\n",
        "main.cf:5: error: smtpd_recipient_restrictions: check_client_access stands at the end, without what it needs",
    ),
    (
        "smtpd_recipient_restrictions = check_relay_domains\n",
        "main.cf:5: error: smtpd_recipient_restrictions: check_relay_domains is gone since Postfix 3.9; use permit",
    ),
    (
        "smtpd_recipient_restrictions = reject_rbl_client a.b=127.0.0.[1;2]\n",
        "main.cf:5: warning: smtpd_recipient_restrictions: the restriction reject_rbl_client is not there yet; what",
    ),
    (
        "smtpd_recipient_restrictions = check_policy_service { inet:127.0.0.1:10023, timeout=5s }, qq\n",
        'main.cf:5: error: smtpd_recipient_restrictions: there is no restriction "qq"; see SMTPD_ACCESS_README',
    ),
    (
        "smtpd_restriction_classes = strict\nstrict = rejekt\n",
        'main.cf:6: error: strict: there is no restriction "rejekt"; did you mean "reject"?',
    ),
    ("smtpd_restriction_classes = strict\nstrict = {\n", "main.cf:6: error: strict: missing '}'"),
    (
        "transport_maps = lmdb:/etc/services/x\n",
        "main.cf:5: error: transport_maps: lmdb:/etc/services/x: cannot read /etc/services/x.lmdb: Not a directory",
    ),
    ("mail_owner = root\n", "main.cf:5: error: mail_owner must not be root; name a user of its own"),
    ("default_privs = posthouse\n", "main.cf: error: mail_owner and default_privs are the same user, posthouse"),
    (
        "maillog_file = /etc/x\n",
        "main.cf:5: error: maillog_file: /etc/x is below none of maillog_file_prefixes (/var",
    ),
    ("maillog_file = /var/log/x\n", ""),
    ("maillog_file = /var/log/x\nmaillog_stdout = yes\n", ""),
    ("maillog_stdout = no\n", ""),
    ("maillog_stdout = yes\n", "main.cf:5: warning: maillog_stdout copies maillog_file, which is not set"),
    ("maillog_file = /dev/stdout\n", ""),
    (
        "message_size_limit = 0\n",
        "main.cf:5: warning: mailbox_size_limit (51200000) is smaller than message_size_limit (0)",
    ),
    (
        "mailbox_size_limit = 5\n",
        "main.cf:5: warning: mailbox_size_limit (5) is smaller than message_size_limit (10240000)",
    ),
    ("mailbox_size_limit = 0\n", ""),
    ("minimal_backoff_time = 2h\n", "main.cf:5: error: minimal_backoff_time is longer than maximal_backoff_time"),
    (
        "bounce_queue_lifetime = 5s\n",
        "main.cf:5: warning: bounce_queue_lifetime is shorter than minimal_backoff_time",
    ),
    (
        "virtual_alias_domains = Mail.example.com\n",
        "main.cf:5: warning: do not list domain mail.example.com in BOTH mydestination",
    ),
    ("virtual_maps = x\n", 'main.cf:5: error: virtual_maps: "x" is no lookup table; write type:name'),
    ("multi_instance_name = $e\ne =\n", "main.cf:5: error: syslog_name: the value must not be empty"),
    (
        "relay_domains = mail.example.com\n",
        "main.cf:5: warning: do not list domain mail.example.com in BOTH mydestination and relay_domains",
    ),
    ("compatibility_level = x\n", ""),
]


@pytest.mark.parametrize(("main", "finding"), MISTAKES)
def test_each_mistake_is_found(check: Checker, main: str, finding: str) -> None:
    """With severity, place and advice; nothing else is found."""
    if not finding:
        assert not [found for found in check(main) if "stray" in found.what]
    else:
        assert check.only(main).startswith(finding)


def test_a_restriction_class_without_a_list_is_an_error(check: Checker) -> None:
    """smtpd would know no rule of it."""
    shown = [str(finding) for finding in check("smtpd_restriction_classes = strict\n")]
    assert shown[0].endswith(
        "main.cf:5: error: smtpd_restriction_classes: there is no list strict; set strict, or take it out"
    )


def test_files_of_parameters_that_nobody_reads_do_not_matter(check: Checker) -> None:
    """Debian's example names tables that are not there; an unknown type is a mistake all the same."""
    assert check.only("smtp_sasl_password_maps = texthash:/no/file\n").startswith("main.cf:5: note: smtp_sasl_password")
    assert has_errors(check("smtp_sasl_password_maps = hasch:/no/file\n"))


def test_a_wrong_level_is_an_error(check: Checker) -> None:
    """The error stands where the level does."""
    findings = check(good="myhostname = a.b\ncompatibility_level = x\nalias_maps=\nlocal_recipient_maps=\n")
    assert has_errors(findings)


def test_a_missing_level_is_a_note(check: Checker) -> None:
    """The old defaults hold then."""
    findings = check(good="myhostname = a.b\nalias_maps=\nlocal_recipient_maps=\n")
    assert [str(finding.severity.name) for finding in findings] == ["NOTE"]
    assert "compatibility_level is not set, so it is 0" in findings[0].what


def test_a_bad_host_name_is_an_error(check: Checker) -> None:
    """Start-up would fail."""
    findings = check(
        "myhostname = under score\n", good="compatibility_level = 3.11\nalias_maps=\nlocal_recipient_maps=\n"
    )
    assert 'myhostname: "under score" is no host name' in findings[0].what
    assert findings[0].text.endswith("for example mail.example.com")


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
    assert [finding.line for finding in findings] == [1, 1, 8]


def test_index_files_are_looked_for(check: Checker, tmp_path: Path) -> None:
    """A source text without its index needs postmap or newaliases; with it all is well."""
    (tmp_path / "aliases").write_text("")
    (tmp_path / "map").write_text("")
    aliases = check.only(f"alias_database = hash:{tmp_path}/aliases\n")
    assert aliases.startswith("main.cf:5: warning: alias_database: ")
    assert 'run "newaliases" or "postalias ' in aliases
    assert 'run "postmap lmdb:' in check.only(f"canonical_maps = lmdb:{tmp_path}/map\n")
    (tmp_path / "map.lmdb").write_text("")
    assert check(f"canonical_maps = lmdb:{tmp_path}/map\n") == []
    assert "is a directory" in check.only(f"canonical_maps = texthash:{tmp_path}\n")
    assert check(f"canonical_maps = texthash:{tmp_path}/map inline:{{a=b}} texthash:relative lmdb:relative\n") == []


def test_files_that_others_can_write_are_told(check: Checker, tmp_path: Path) -> None:
    """They decide what root does."""
    check()
    (tmp_path / "main.cf").chmod(0o666)
    findings = check_directory(str(tmp_path), REGISTRY)
    assert [finding.what for finding in findings] == ["others than its owner can write it"]


def test_files_of_another_owner_are_told(check: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To root only: without root they are one's own."""
    check()
    real = os.stat(tmp_path / "main.cf")
    other = os.stat_result((*real[:4], 12345, *real[5:10]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "stat", lambda *_args, **_names: other)
    assert "it belongs to user 12345" in check_directory(str(tmp_path), REGISTRY)[0].what


@pytest.mark.parametrize("user", [0, 1000])
def test_unreadable_tables(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    """An error for everybody: the check has the rights of the daemons, and they could not read it either."""

    def refuse(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert [problem[0] for problem in check_file("/x", "/x")] == [Severity.ERROR]
    assert [problem[0] for problem in check_table("lmdb", "/x", frozenset({"lmdb"}))] == [Severity.ERROR]


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


@pytest.mark.parametrize(
    ("entry", "finding"),
    [
        ("x unix - - n - - smptd", 'error: x/unix: there is no program "smptd"; did you mean "smtpd"?'),
        ("x unix - - n - - qqqqqq", 'error: x/unix: there is no program "qqqqqq"; take the service out'),
        ("x unix - - n - 1 verify", "note: x/unix: verify is not built yet; the service is left out"),
        ("x unix - - n - 5 pickup", "error: x/unix: the process limit of pickup must be 1, not 5; write 1 in column 7"),
        ("x unix - - n - 5 cleanup", "warning: x/unix: the process limit of cleanup should be 0, not 5"),
        ("x unix - n y - - local", "error: x/unix: local cannot run chrooted; write n in column 5"),
        ("x unix - n n - - smtp", "warning: x/unix: smtp needs no privileges"),
        ("[::1 inet - - n - - smtpd", 'error: "[::1" is no endpoint'),
        ("x unix - - n - - smtp -o max_use=0", "error: max_use: 0 is too small"),
        (
            "x unix - - n - - smtp -o max_usee=0",
            'warning: unused parameter: max_usee (service x); it has no effect; did you mean "max_use"?',
        ),
        ("x unix - - n - - smtp { a }b", "warning: syntax error after '}'"),
    ],
)
def test_each_mistake_in_master_cf_is_found(check: Checker, entry: str, finding: str) -> None:
    """With the entry's line."""
    assert check.only("", MASTER + entry + "\n").startswith(f"master.cf:7: {finding}")


def test_missing_essential_services_are_told(check: Checker) -> None:
    """Mail would wait."""
    assert 'there is no service "qmgr"' in check.only("", MASTER.replace("qmgr ", "qmgrx"))


def test_service_parameters_of_a_configuration(check: Checker, tmp_path: Path) -> None:
    """Names that exist because of master.cf."""
    check("", MASTER + "uucp unix - - n - - local\n")
    assert "uucp_recipient_limit" in service_names(load(str(tmp_path)))
