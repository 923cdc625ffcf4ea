"""posthouse policies: what it prints and writes, and for which configuration."""

from pathlib import Path

import pytest

from posthouse.commands.policies import FILES, main
from posthouse.commands.posthouse import main as umbrella


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """Give a configuration directory with places of its own."""
    (tmp_path / "main.cf").write_text("compatibility_level = 3.11\nqueue_directory = /srv/queue\n")
    (tmp_path / "master.cf").write_text("127.0.0.1:2525 inet n - n - - smtpd\nlmtp unix - - n - - lmtp\n")
    return tmp_path


def test_paths_are_those_of_the_configuration(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And daemons that its master.cf does not have get no profile."""
    assert umbrella(["posthouse", "policies", "apparmor", "-c", str(configured), "-p", "/usr/local/ph"]) == 0
    text = capsys.readouterr().out
    assert "@{posthouse_queue} = /srv/queue\n" in text
    assert "@{posthouse_prefix} = /usr/local/ph\n" in text
    assert "profile posthouse-smtpd " in text
    assert "profile posthouse-local " not in text


def test_without_a_configuration_it_is_debians(capsys: pytest.CaptureFixture[str]) -> None:
    """-d needs no main.cf."""
    assert main(["systemd", "-d"]) == 0
    assert "ReadWritePaths=/var/spool/postfix /var/lib/postfix" in capsys.readouterr().out


def test_write_makes_every_file(configured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The paths are printed as they are made."""
    place = tmp_path / "made"
    assert main(["write", str(place), "-c", str(configured)]) == 0
    printed = capsys.readouterr().out.split()
    assert {str(place / name) for name in FILES} < set(printed)
    assert str(place / "man/smtpd.8") in printed
    assert all(Path(name).stat().st_size for name in printed)


def test_one_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """For man -l."""
    assert main(["manual", "warm", "-d"]) == 0
    assert capsys.readouterr().out.startswith('.\\" Made by')


@pytest.mark.parametrize(
    "words", [[], ["apparmour"], ["manual", "nosuchdaemon", "-d"], ["-x"], ["table", "more", "-d"]]
)
def test_other_words_get_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit status 64."""
    assert main([*words, *([] if "-d" in words else ["-d"])]) == 64
    assert "usage: posthouse policies" in capsys.readouterr().err


def test_a_configuration_with_a_mistake_makes_nothing(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mistake is named with its place."""
    (configured / "master.cf").write_text("smtp inet\n")
    assert main(["apparmor", "-c", str(configured)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "master.cf" in said.err
