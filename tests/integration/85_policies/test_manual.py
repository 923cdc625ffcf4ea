"""The manual pages are without mistakes, and say what the declarations say."""

from pathlib import Path

import pytest

from posthouse.commands.policies.manual import ManualError, manual_page, manual_pages
from posthouse.commands.policies.system import daemons
from tests.support.policy_tools import need_tools, run, tool

PAGES = {name: text for name, text in manual_pages().items() if not text.startswith(".so ")}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_renders_without_warnings(name: str, tmp_path: Path) -> None:
    """As "man -l" would show it."""
    need_tools()
    (tmp_path / name).write_text(PAGES[name], encoding="utf-8")
    checked = run(tool("mandoc"), "-T", "lint", "-W", "warning", tmp_path / name)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    shown = run(tool("mandoc"), "-T", "ascii", "-O", "width=100", tmp_path / name)
    assert shown.returncode == 0
    plain = shown.stdout.replace("\b", "")
    assert len(plain.splitlines()) > 20


def test_mandoc_would_find_mistakes(tmp_path: Path) -> None:
    """A page with a macro that does not exist is not passed."""
    need_tools()
    (tmp_path / "bad.8").write_text(PAGES["smtpd.8"].replace(".SH SECURITY", ".SX SECURITY"), encoding="utf-8")
    assert run(tool("mandoc"), "-T", "lint", "-W", "warning", tmp_path / "bad.8").returncode != 0


@pytest.mark.parametrize("daemon", daemons(), ids=lambda daemon: daemon.name)
def test_the_page_has_every_section_and_parameter(daemon: object) -> None:
    """What a reader looks for is there, and each parameter with its default."""
    declared = next(each for each in daemons() if each is daemon)
    text = manual_page(declared)
    for section in ("NAME", "DESCRIPTION", "SECURITY", "CONFIGURATION PARAMETERS", "FILES", "SEE ALSO", "LICENSE"):
        assert text.count(f".SH {section}\n") == 1
    for parameter in declared.parameters:
        assert f"\\fB{parameter.name} (default: " in text


def test_a_docstring_without_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new daemon whose manual would be empty fails the test and not the reader."""
    monkeypatch.setattr("posthouse.daemons.discard.daemon.__doc__", "Throws mail away.")
    with pytest.raises(ManualError, match="discard: the docstring must begin"):
        manual_page(next(daemon for daemon in daemons() if daemon.name == "discard"))
