"""Settings: the order in which a value is looked up, expansion, and errors with their place."""

import os

import pytest

from posthouse.config.parameter import Integer, Raw, String, Time
from posthouse.config.parameters import (
    DEFAULT_DESTINATION_CONCURRENCY_LIMIT,
    ENABLE_LONG_QUEUE_IDS,
    FAMILIES,
    MYDESTINATION,
    MYNETWORKS_STYLE,
    PARAMETERS,
    RELAY_DOMAINS,
    TRANSPORT_DESTINATION_CONCURRENCY_LIMIT,
    stress_variants,
    uses_long_queue_ids,
)
from posthouse.config.settings import Identity, Origin, Settings
from posthouse.util.errors import ConfigError

TIMEOUT = Time("smtpd_timeout", "${stress?{10}:{300}}s", doc="", minimum_s=1)


def settings(**explicit: str) -> Settings:
    """Make settings from keyword arguments."""
    return Settings.from_mapping(
        {"myhostname": "mail.example.com", **explicit}, service_name="smtp", process_name="smtpd"
    )


def test_explicit_beats_default() -> None:
    """main.cf first, then the row's default."""
    assert settings()[TIMEOUT] == 300
    assert settings(smtpd_timeout="5m")[TIMEOUT] == 300
    assert settings(smtpd_timeout="5")[TIMEOUT] == 5


def test_references_are_expanded() -> None:
    """Through other parameters, macros and their defaults."""
    some = settings(mydestination="$myhostname, $mine", mine="a.example $mydomain")
    assert some[MYDESTINATION] == ("mail.example.com", "a.example", "example.com")
    assert some.expand("<$mine>") == "<a.example example.com>"


def test_values_are_kept() -> None:
    """The same object comes out the second time."""
    some = settings()
    assert some[MYDESTINATION] is some[MYDESTINATION]


def test_raw_values_are_not_expanded() -> None:
    """They are expanded by their daemon, at use."""
    row = Raw("forward_path", "$home/.forward", doc="")
    assert settings()[row] == "$home/.forward"
    assert settings(forward_path="$x")[row] == "$x"


def test_levels_choose_defaults() -> None:
    """Defaults depend on compatibility_level."""
    assert settings()[MYNETWORKS_STYLE] == "subnet"
    assert settings(compatibility_level="2")[MYNETWORKS_STYLE] == "host"
    assert settings(compatibility_level="3.11")[RELAY_DOMAINS] == ()
    assert settings(mydestination="a.example")[RELAY_DOMAINS] == ("a.example",)


def test_read_only_names_cannot_be_set() -> None:
    """They say who reads."""
    some = settings(process_name="x", service_name="y", process_id="z", config_directory="/x")
    assert some.text("process_name") == some.process_name == "smtpd"
    assert some.text("service_name") == some.service_name == "smtp"
    assert some.text("config_directory") == some.config_directory == "/etc/postfix"
    assert some.text("process_id") == str(os.getpid())


def test_unknown_names_are_empty() -> None:
    """text() never fails for a name; raw() tells that there is none."""
    assert settings().text("nobody_sets_this") == ""
    assert settings().raw("nobody_sets_this") is None


def test_families_have_defaults() -> None:
    """Every transport has its limits, local its own."""
    some = settings(default_destination_concurrency_limit="7", uucp_destination_concurrency_limit="3")
    limit = TRANSPORT_DESTINATION_CONCURRENCY_LIMIT
    assert (some[limit.of("smtp")], some[limit.of("uucp")], some[limit.of("local")]) == (7, 3, 2)
    assert some[DEFAULT_DESTINATION_CONCURRENCY_LIMIT] == 7
    assert some.text("other_destination_concurrency_limit") == "7"


def test_is_set_means_explicit() -> None:
    """A default does not count."""
    assert settings(relayhost="")._explicit["relayhost"] == ""
    assert settings(relayhost="").is_set("relayhost")
    assert not settings().is_set("relayhost")


def test_a_bad_value_names_its_place() -> None:
    """File and line when they are known."""
    row = Integer("smtpd_hard_error_limit", "20", doc="", minimum=1)
    origins = {row.name: Origin("/etc/postfix/main.cf", 7)}
    some = Settings({row.name: "many"}, Identity(), {}, origins)
    with pytest.raises(ConfigError) as caught:
        some[row]
    assert str(caught.value).startswith('/etc/postfix/main.cf:7: smtpd_hard_error_limit: "many" is not')
    with pytest.raises(ConfigError, match=r"^smtpd_hard_error_limit: "):
        settings(smtpd_hard_error_limit="x")[row]


@pytest.mark.parametrize("text", ["$relayhost", "${x", "${{a} b}"])
def test_wrong_syntax_in_a_value_is_an_error(text: str) -> None:
    """Circles and syntax errors are never silently empty."""
    with pytest.raises(ConfigError):
        settings(relayhost=text).text("relayhost")
    with pytest.raises(ConfigError):
        settings(relayhost=text)[String("relayhost", "", doc="")]
    with pytest.raises(ConfigError):
        settings(relayhost=text).expand("$relayhost${x")


def test_overlays_make_new_settings() -> None:
    """stress is laid on top; the other object stays as it was."""
    calm, stressed = stress_variants(settings())
    assert (calm[TIMEOUT], stressed[TIMEOUT]) == (300, 10)


def test_long_queue_ids_unless_refused() -> None:
    """Only an outright no gives short ones, though the default that is shown is no."""
    assert uses_long_queue_ids(settings())
    assert uses_long_queue_ids(settings(enable_long_queue_ids="yes"))
    assert not uses_long_queue_ids(settings(enable_long_queue_ids="no"))
    assert ENABLE_LONG_QUEUE_IDS.default == "no"


def test_names_from_the_host() -> None:
    """myhostname and mydomain are found when nothing is set, also when they refer to each other."""
    assert Settings.from_mapping({}).text("myhostname")
    assert Settings.from_mapping({"myhostname": "a.b.c"}).text("mydomain") == "b.c"
    assert Settings.from_mapping({"myhostname": "a"}).text("mydomain") == "localdomain"
    assert Settings.from_mapping({"mydomain": "$myhostname"}).text("myhostname")


def test_impossible_host_facts_are_errors() -> None:
    """The error names the parameter that was computed."""
    with pytest.raises(ConfigError, match=r"^mynetworks_style: .all. is not one of: class, subnet, host"):
        settings(mynetworks_style="all").text("mynetworks")


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_every_shared_default_is_legal(row: String) -> None:
    """At the newest level and at none."""
    for level in ("0", "3.11"):
        settings(compatibility_level=level)[row]


def test_every_family_default_is_legal() -> None:
    """For a transport with a default of its own and for any other."""
    for family in FAMILIES:
        for transport in ("local", "anything"):
            settings()[family.of(transport)]
