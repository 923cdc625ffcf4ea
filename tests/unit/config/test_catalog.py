"""The catalog, the rows made from it, and the registry of what is built."""

from pathlib import Path

import pytest

from posthouse.commands import registry as commands_registry
from posthouse.config import catalog, deprecated
from posthouse.config.check_tables import KNOWN_TYPES
from posthouse.config.parameter import (
    Boolean,
    ConfigValueError,
    Enum,
    Integer,
    NameList,
    Parameter,
    Patterns,
    Raw,
    Restrictions,
    Size,
    String,
    Tables,
    Time,
)
from posthouse.config.parameters import MYHOSTNAME
from posthouse.config.registry import Registry
from posthouse.config.rows import check_setting, row_of
from posthouse.config.settings import Settings
from posthouse.config.webhook import Webhook
from posthouse.ipc.origin import Words
from posthouse.util.errors import ConfigError

BUILT = commands_registry.registry()


def test_the_catalog_is_complete() -> None:
    """Every parameter that Postfix 3.11 shows, and our own."""
    assert sum(entry.is_shown for entry in catalog.entries().values()) > 900
    assert len(catalog.families()) == 17
    assert {"network_owner", "queue_owner", "log_format", "maillog_stdout", "confinement"} <= catalog.entries().keys()


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("smtpd_timeout", "${stress?{10}:{300}}s"),
        ("virtual_maps", ""),
        ("uucp_destination_recipient_limit", "$default_destination_recipient_limit"),
        ("local_destination_recipient_limit", "1"),
        ("x_initial_destination_concurrency", "$initial_destination_concurrency"),
        ("my_own_macro", None),
        ("_time_limit", None),
        ("plain", None),
    ],
)
def test_defaults_by_name(name: str, default: str | None) -> None:
    """Parameters, members of families, and what is neither."""
    assert catalog.default_of(name) == default
    assert catalog.is_known(name) == (default is not None)


def test_misspelled_names_are_guessed() -> None:
    """The nearest parameter or macro, or nothing."""
    assert catalog.did_you_mean("mydestinaton") == "mydestination"
    assert catalog.did_you_mean("smtp_destination_concurency_limit") == "smtp_destination_concurrency_limit"
    assert catalog.did_you_mean("my_netwrks_x", ["my_networks_x"]) == "my_networks_x"
    assert catalog.did_you_mean("zzzzzzzz") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("biff", Boolean),
        ("smtpd_recipient_limit", Integer),
        ("message_size_limit", Size),
        ("smtpd_timeout", Time),
        ("mynetworks_style", Enum),
        ("syslog_facility", String),
        ("alias_maps", Tables),
        ("proxy_read_maps", String),
        ("mydestination", Patterns),
        ("smtpd_relay_restrictions", Restrictions),
        ("inet_interfaces", NameList),
        ("forward_path", Raw),
        ("uucp_recipient_refill_delay", Time),
    ],
)
def test_rows_have_the_type_of_their_class(name: str, kind: type) -> None:
    """Values of parameters that are not built are checked too."""
    assert type(row_of(name)) is kind


def test_there_is_no_row_for_a_macro() -> None:
    """Its value is the user's affair."""
    assert row_of("my_own_macro") is None
    check_setting("my_own_macro", "anything { $")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtpd_timeout", "ten"),
        ("biff", "maybe"),
        ("message_size_limit", "10M"),
        ("compatibility_level", "3."),
        ("compatibility_level", ""),
        ("alias_maps", "/etc/aliases"),
        ("mynetworks_style", "all"),
        ("smtpd_hard_error_limit", "0"),
        ("myhostname", ""),
        ("default_delivery_slot_discount", "101"),
    ],
)
def test_wrong_values_are_refused(name: str, value: str) -> None:
    """By class, limits and choices of the catalog."""
    with pytest.raises(ConfigValueError):
        check_setting(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compatibility_level", "3.11"),
        ("smtpd_timeout", "$other"),
        ("postscreen_dnsbl_allowlist_threshold", "-1"),
        ("forward_path", "$home/.forward"),
        ("postscreen_tls_security_level", ""),
    ],
)
def test_right_values_pass(name: str, value: str) -> None:
    """Also those with references, which are checked when expanded."""
    check_setting(name, value)


USUAL = [line.partition(" = ") for line in (Path(__file__).parent / "usual_values").read_text("ascii").splitlines()]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, value in USUAL])
def test_what_people_write_is_legal(name: str, value: str) -> None:
    """Values from manuals and how-tos, also of parameters that are not built: a false alarm would stop the start."""
    assert catalog.is_known(name)
    check_setting(name, value)


def test_every_default_is_legal() -> None:
    """But for a parameter that must be set before its daemon works."""
    settings = Settings.from_mapping({"compatibility_level": "3.11", "myhostname": "mail.example.com"})
    bad = []
    for name, entry in catalog.entries().items():
        row = row_of(name)
        assert row is not None
        try:
            if entry.status != "alias":
                settings[row]
        except ConfigError:
            bad.append(name)
    assert bad == ["virtual_mailbox_base"]


@pytest.mark.parametrize("row", BUILT.parameters.values(), ids=lambda row: row.name)
def test_built_rows_agree_with_the_catalog(row: Parameter[object]) -> None:
    """A row's default is what postconf -d shows; a new parameter of ours must be put into the catalog."""
    assert catalog.default_of(row.name) == row.default
    assert row.doc.endswith(".")
    ours, theirs = row_of(row.name), row
    assert ours is not None
    assert type(ours) in (type(theirs), *_WIDER.get(type(theirs), ()))
    if isinstance(ours, Integer | Time) and isinstance(theirs, Integer | Time):
        assert _lowest(theirs) >= _lowest(ours)


# The class in the catalog may say less than the row: text that is a list, a number of another width.
_WIDER: dict[type, tuple[type, ...]] = {
    Enum: (String,), Integer: (Size,), NameList: (String,), Patterns: (String,), Webhook: (String,),
    String: (type(row_of("compatibility_level")),), Words: (NameList,),
}  # fmt: skip


def _lowest(row: Integer | Time) -> float:
    return row.minimum if isinstance(row, Integer) else row.minimum_s


def test_a_parameter_is_no_member_of_a_family_by_accident() -> None:
    """extract_recipient_limit limits nothing of a transport "extract"; smtp_destination_recipient_limit is a member."""
    assert BUILT.find("extract_recipient_limit") is None
    assert BUILT.find("smtp_destination_recipient_limit") is not None


def test_the_registry_finds_rows_and_families() -> None:
    """By name, or by the end of the name."""
    found = Registry.of([], ["smtpd"], ["lmdb"])
    assert found.find("myhostname") is MYHOSTNAME
    row = found.find("uucp_destination_recipient_limit")
    assert row is not None
    assert row.default == "$default_destination_recipient_limit"
    assert found.find("_recipient_limit") is None
    assert found.find("nothing") is None


def test_programs_are_built_when_their_package_has_a_daemon() -> None:
    """Others are not there."""
    assert {"smtpd", "lmtp", "trivial-rewrite"} <= BUILT.programs
    assert "postscreen" not in BUILT.programs
    assert BUILT.table_types <= KNOWN_TYPES


def test_deprecated_names_have_known_replacements() -> None:
    """Each replacement exists."""
    for name, replacement in deprecated.REPLACEMENTS.items():
        assert name in catalog.entries()
        assert not replacement or replacement in catalog.entries()
        assert deprecated.advice(name)
