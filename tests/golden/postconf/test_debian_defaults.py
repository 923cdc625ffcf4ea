"""Names and raw defaults of all parameters beside those of Debian's postconf: what differs is explained, or wrong.

And the defaults that depend on compatibility_level, each at the level that changes it (facts of the levels).
"""

import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from posthouse.config import catalog
from posthouse.config.level import CompatLevel
from posthouse.config.settings import Settings
from tests.support.peers import find_peer, peer_environment

POSTCONF: Final = find_peer("postconf")

# Where Postfix's own default changed, with the release that did (release notes; facts of the levels).
CHANGED: Final = {
    "address_verify_map": "3.11",
    "alias_database": "3.11",
    "alias_maps": "3.11",
    "import_environment": "3.11",
    "milter_default_action": "3.11",
    "postscreen_cache_map": "3.11",
    "proxy_read_maps": "3.11",
    "smtp_tls_dane_insecure_mx_policy": "3.10",
    "smtp_tls_security_level": "3.11",
    "smtpd_forbid_bare_newline": "3.9",
    "smtpd_forbid_unauth_pipelining": "3.9",
    "tls_eecdh_auto_curves": "3.11",
    "tls_export_cipherlist": "3.8",
    "tls_high_cipherlist": "3.8",
    "tls_low_cipherlist": "3.8",
    "tls_medium_cipherlist": "3.8",
    "tls_null_cipherlist": "3.8",
    "tlsproxy_client_policy_maps": "3.11",  # ${a:b} became ${a?{a}:{b}}, which is the same
    "tlsproxy_client_security_level": "3.11",
}
# What the host, the packager of Postfix, or Posthouse decides.
OWN: Final = frozenset(
    {
        "daemon_directory", "default_database_type", "html_directory", "mail_owner", "mail_release_date",
        "mail_version", "manpage_directory", "mydomain", "myhostname", "mynetworks", "readme_directory",
        "shlib_directory",
    }
)  # fmt: skip


class Debian(NamedTuple):
    """What the other side says."""

    version: CompatLevel
    defaults: dict[str, str]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Debian:
    """Run Debian's postconf -d with no service in master.cf."""
    if not POSTCONF:
        pytest.skip("Debian's postconf is not here: make peers")
    directory = tmp_path_factory.mktemp("debian")
    for name in ("main.cf", "master.cf"):
        (directory / name).touch()
    command = [POSTCONF, "-c", str(directory), "-d"]
    text = subprocess.run(command, env=peer_environment(), capture_output=True, check=True, text=True).stdout
    pairs = (line.partition(" =") for line in text.splitlines())
    defaults = {name: value.removeprefix(" ") for name, _, value in pairs}
    version = re.match(r"\d+\.\d+", defaults["mail_version"])
    assert version is not None
    return Debian(CompatLevel.parse(version[0]), defaults)


def test_defaults_are_those_of_debian(debian: Debian) -> None:
    """Word for word, but for what a later release changed, and for what is no affair of Postfix's code."""
    ours = {entry.name: entry.default for entry in catalog.entries().values() if entry.is_shown}
    differing = {name for name, default in ours.items() if debian.defaults.get(name, default) != default}
    later = {name for name, release in CHANGED.items() if CompatLevel.parse(release) > debian.version}
    assert differing - later - OWN == set()
    assert later - differing == set(), "these agree: take them out of the list"


def test_every_name_of_debian_is_known(debian: Debian) -> None:
    """Those that later releases dropped are old names here, which postconf does not list."""
    entries = catalog.entries()
    assert set(debian.defaults) - entries.keys() == set()
    dropped = {name for name in debian.defaults if not entries[name].is_shown} - catalog.READ_ONLY
    assert {entries[name].status for name in dropped} == {"alias"}


def test_what_debian_does_not_know_is_newer_or_ours(debian: Debian) -> None:
    """By the release that the catalog says."""
    missing = [entry for entry in catalog.entries().values() if entry.is_shown and entry.name not in debian.defaults]
    assert len(missing) > 50
    older = [
        entry.name
        for entry in missing
        if entry.status != "posthouse" and _release(entry.since) <= debian.version and not _needs_service(entry)
    ]
    assert older == []


def _release(since: str) -> CompatLevel:
    """Read the column "since"; a date is before all numbers."""
    number = since.removeprefix("src:")
    return CompatLevel.parse(number) if "<=" not in number else CompatLevel(0)


def _needs_service(entry: catalog.Entry) -> bool:
    """Tell whether Postfix has this one only for a service of master.cf."""
    return entry.status == "instance"


@pytest.mark.parametrize(
    ("level", "name", "default"),
    [
        ("0", "append_dot_mydomain", "yes"),
        ("1", "append_dot_mydomain", "no"),
        ("0", "smtpd_relay_restrictions", ""),
        ("1", "smtpd_relay_restrictions", "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"),
        ("0", "smtputf8_enable", "no"),
        ("1", "smtputf8_enable", "yes"),
        ("1", "mynetworks_style", "subnet"),
        ("2", "mynetworks_style", "host"),
        ("1", "relay_domains", "here.example"),
        ("2", "relay_domains", ""),
        ("1", "fast_flush_domains", "here.example"),
        ("2", "fast_flush_domains", ""),
        ("3.5", "smtpd_tls_fingerprint_digest", "md5"),
        ("3.6", "smtpd_tls_fingerprint_digest", "sha256"),
        ("3.5.9", "smtp_tls_fingerprint_digest", "md5"),
        ("3.6", "lmtp_tls_fingerprint_digest", "sha256"),
        ("3.5", "smtpd_relay_before_recipient_restrictions", "no"),
        ("3.10", "smtpd_relay_before_recipient_restrictions", "yes"),
        ("2", "respectful_logging", "no"),
        ("3.6", "respectful_logging", "yes"),
        ("3.10", "smtp_tls_security_level", ""),
        ("3.11", "smtp_tls_security_level", "may"),
        ("3.10", "tlsproxy_client_security_level", ""),
        ("3.11", "tlsproxy_client_security_level", "may"),
        ("3.11", "lmtp_tls_security_level", ""),
        ("0", "smtp_tlsrpt_skip_reused_handshakes", "no"),
    ],
)
def test_defaults_that_depend_on_the_level(level: str, name: str, default: str) -> None:
    """Each at the level before and at the level that changed it."""
    settings = Settings.from_mapping({"compatibility_level": level, "mydestination": "here.example"})
    assert settings.text(name) == default


def test_the_level_decides_no_other_default() -> None:
    """The table of levels is complete: no default without a row above refers to the level itself."""
    decided = {entry.name for entry in catalog.entries().values() if "compatibility_level" in entry.default}
    assert decided == {
        "append_dot_mydomain", "lmtp_tls_fingerprint_digest", "mynetworks_style", "relay_domains",
        "respectful_logging", "smtp_tls_fingerprint_digest", "smtp_tls_security_level",
        "smtpd_relay_before_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_tls_fingerprint_digest",
        "smtputf8_enable",
    }  # fmt: skip


def test_the_levels_expressions_are_debian_s(debian: Debian, tmp_path: Path) -> None:
    """Debian expands the same values from the same level, as far as its release knows them."""
    names = [name for name, value in debian.defaults.items() if "compatibility_level" in value]
    assert len(names) > 5
    (tmp_path / "master.cf").touch()
    for level in ("0", "1", "2", "3.6"):
        (tmp_path / "main.cf").write_text(f"compatibility_level = {level}\n", encoding="ascii")
        command = [POSTCONF, "-c", str(tmp_path), "-hx", *names]
        theirs = subprocess.run(command, env=peer_environment(), capture_output=True, check=True, text=True).stdout
        settings = Settings.from_mapping({"compatibility_level": level})
        ours = {name: settings.text(name) for name in names if name != "relay_domains"}
        pairs = dict(zip(names, theirs.splitlines(), strict=True))
        assert {name: pairs[name] for name in ours} == ours
