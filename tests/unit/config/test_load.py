"""Loading a configuration directory: the settings of each service."""

from pathlib import Path

import pytest

from posthouse.config.load import config_directory, load, load_settings
from posthouse.config.parameters import MYNETWORKS, SYSLOG_NAME
from posthouse.config.settings import Origin
from posthouse.util.errors import ConfigError


def test_the_directory_is_chosen() -> None:
    """Option, environment, default."""
    assert config_directory("/a", {"MAIL_CONFIG": "/b"}) == "/a"
    assert config_directory(None, {"MAIL_CONFIG": "/b"}) == "/b"
    assert config_directory(None, {}) == "/etc/postfix"


def test_services_lay_their_settings_on_top(tmp_path: Path) -> None:
    """-o beats main.cf for that service; read-only names stay."""
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmyhostname = a.example\nbiff = no\n")
    (tmp_path / "master.cf").write_text(
        "relay unix - - n - - smtp\n -o syslog_name=postfix/$service_name -o process_name=x\n"
        "other inet n - n - - smtpd\n -o myhostname=b.test\n"
    )
    configuration = load(str(tmp_path))
    relay, other = configuration.master.services
    settings = configuration.settings("smtp", relay)
    assert settings[SYSLOG_NAME] == "postfix/relay"
    assert settings.text("process_name") == "smtp"
    assert settings.origins["syslog_name"] == Origin(f"{tmp_path}/master.cf", 1)
    assert settings.facts["mydomain"] == "example"
    assert configuration.settings("smtpd", other).text("mydomain") == "test"
    command = configuration.settings("postfix")
    assert (command.service_name, command[SYSLOG_NAME], command.config_directory) == (
        "postfix",
        "postfix",
        str(tmp_path),
    )


def test_without_main_cf_the_newest_level_holds(tmp_path: Path) -> None:
    """There is no old installation to protect; with one, level 0 does."""
    assert load_settings(str(tmp_path), "x").text("compatibility_level") == "3.11"
    assert not load_settings(str(tmp_path), "x").is_set("compatibility_level")
    assert load(str(tmp_path)).settings("x")[MYNETWORKS]
    (tmp_path / "main.cf").write_text("")
    assert load_settings(str(tmp_path), "x").text("compatibility_level") == "0"


def test_commands_may_override(tmp_path: Path) -> None:
    """Their -o options."""
    assert load_settings(str(tmp_path), "x", {"syslog_name": "here"})[SYSLOG_NAME] == "here"


def test_bad_files_stop(tmp_path: Path) -> None:
    """With the file and line."""
    (tmp_path / "main.cf").write_text("x\n")
    with pytest.raises(ConfigError, match=r"main\.cf:1: "):
        load(str(tmp_path))
