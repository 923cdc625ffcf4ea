"""What is known about parameters: complete, in one place each, and true about support."""

import subprocess
import sys

import pytest

from posthouse.commands import registry as commands_registry
from posthouse.config import catalog, deprecated, describe
from posthouse.config.describe import Support
from posthouse.config.settings import Settings

BUILT = commands_registry.registry()
FAMILIES = {entry.name: f"any{suffix}" for suffix, entry in catalog.families().items()}
ALL = {**{name: name for name in catalog.entries()}, **FAMILIES}


def test_the_manual_has_a_line_for_every_parameter_and_no_other() -> None:
    """Families are there by the name of the family."""
    assert list(describe.manual()) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_is_documented_in_one_place(name: str) -> None:
    """What has a row of code is documented there, and only there; everything else in manual.tsv."""
    found = describe.describe(ALL[name], BUILT)
    assert found is not None
    line = describe.manual()[name]
    is_built = BUILT.find(ALL[name]) is not None
    assert bool(line.doc) != is_built, "the row of code documents it; take the text out of manual.tsv"
    assert found.doc.endswith(".")
    assert found.area
    assert found.default == (catalog.default_of(name) if name == ALL[name] else found.default)
    assert not (is_built and line.reason), "it is built, so it has an effect"


def test_a_parameter_that_is_built() -> None:
    """Class, range and unit come from its row."""
    found = describe.describe("smtpd_timeout", BUILT)
    assert found is not None
    assert found.support is Support.USED
    assert (found.kind, found.range, found.unit) == ("time", "1.. seconds", "seconds")
    assert found.default == "${stress?{10}:{300}}s"
    assert found.programs == ("smtpd",)


def test_a_parameter_that_is_not_built() -> None:
    """Class and range come from the catalog."""
    found = describe.describe("tls_ssl_options", BUILT)
    assert found is not None
    assert (found.support, found.reason) == (Support.MISSING, "")
    found = describe.describe("smtpd_sasl_response_limit", BUILT)
    assert found is not None
    assert found.range == "12288.."


def test_a_parameter_without_effect_has_a_reason() -> None:
    """The reason is for people, so it is a clause that can stand behind "because"."""
    found = describe.describe("daemon_directory", BUILT)
    assert found is not None
    assert found.support is Support.NO_EFFECT
    assert found.reason == describe.reason_without_effect("daemon_directory")
    assert describe.reason_without_effect("uucp_delivery_slot_cost")
    assert not describe.reason_without_effect("relayhost")
    assert not describe.reason_without_effect("my_own_name")


def test_a_member_of_a_family() -> None:
    """Of a transport that main.cf may invent; a transport of ours has a default of its own."""
    found = describe.describe("uucp_destination_recipient_limit", BUILT)
    assert found is not None
    assert found.family == "<transport>_destination_recipient_limit"
    assert found.default == "$default_destination_recipient_limit"
    found = describe.describe("local_destination_recipient_limit", BUILT)
    assert found is not None
    assert (found.family, found.default) == ("", "1")


@pytest.mark.parametrize(
    ("name", "unit", "limits"),
    [
        ("message_size_limit", "bytes", "0.."),
        ("smtpd_min_data_rate", "bytes per second", "1.."),
        ("default_delivery_slot_discount", "percent", "0..100"),
        ("unverified_sender_defer_code", "SMTP reply code", "200..499"),
        ("postscreen_dnsbl_allowlist_threshold", "", ".."),
        ("postscreen_dnsbl_max_ttl", "hours", "1.. seconds"),
        ("myhostname", "", "not empty"),
        ("smtpd_recipient_restrictions", "", ""),
    ],
)
def test_ranges_and_units(name: str, unit: str, limits: str) -> None:
    """As main.cf takes them."""
    found = describe.describe(name, BUILT)
    assert found is not None
    assert (found.unit, found.range) == (unit, limits)


def test_replacements_of_old_names() -> None:
    """As the deprecation table says."""
    found = describe.describe("smtpd_use_tls", BUILT)
    assert found is not None
    assert found.replacement == deprecated.REPLACEMENTS["smtpd_use_tls"] == "smtpd_tls_security_level"


def test_names_that_come_from_outside_main_cf_are_used() -> None:
    """The settings themselves know them."""
    settings = Settings.from_mapping({}, service_name="a", process_name="b", config_directory="/c")
    assert {name for name in describe.FROM_OUTSIDE if settings.raw(name)} == describe.FROM_OUTSIDE
    for name in describe.FROM_OUTSIDE:
        found = describe.describe(name, BUILT)
        assert found is not None
        assert found.support is Support.USED


def test_no_daemon_and_no_quick_command_loads_the_texts() -> None:
    """They are for people; a process that only works pays nothing for them."""
    code = (
        "import sys, posthouse.skeleton.child, posthouse.commands.postconf, posthouse.commands.postqueue\n"
        "sys.exit('posthouse.config.describe' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_no_parameter_is_not_described() -> None:
    """A name of the user's own."""
    assert describe.describe("my_own_name", BUILT) is None
