"""Every dialog, against the session object: all bytes of a write at once, and one by one."""

from pathlib import Path

import pytest

from tests.dialogs.dialog import Dialog, SessionServer, read_dialog, run_dialog

DIALOGS = [read_dialog(path) for path in sorted(Path(__file__).parent.glob("*.dialog"))]


@pytest.mark.parametrize("dialog", DIALOGS, ids=lambda dialog: dialog.name)
def test_dialog(dialog: Dialog) -> None:
    """The session keeps to the dialog."""
    run_dialog(dialog, SessionServer(dialog.options))


@pytest.mark.parametrize("dialog", [d for d in DIALOGS if "together" not in d.options], ids=lambda dialog: dialog.name)
def test_dialog_octet_by_octet(dialog: Dialog) -> None:
    """The same dialog when the network delivers single octets (those apart that need a group to arrive together)."""
    run_dialog(dialog, SessionServer(dialog.options, step=1))


def test_there_are_dialogs() -> None:
    """The files are found."""
    assert len(DIALOGS) >= 25
