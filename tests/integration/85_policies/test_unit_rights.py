"""The rights that the unit with root leaves are enough: with these and no others a system takes mail and delivers."""

import os
import re
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.instance import Options, StartError
from tests.support.mailboxes import DOMAIN, Boxes
from tests.support.processes import kernel_status
from tests.support.servers import Posthouse

UNIT = Path(__file__).parents[3] / "packaging/systemd/posthouse.service"
pytestmark = [pytest.mark.integration, pytest.mark.root]


class Limited(Posthouse):
    """A system that is started with the unit's CapabilityBoundingSet=, after set-permissions without it."""

    def start(self) -> None:
        """Start as systemd would."""
        done = self.command("postfix", "set-permissions")
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        rights = f"--bounding-set={bounding_set()}"
        argv = [
            "setpriv",
            rights,
            "--inh-caps=-all",
            self.program("postfix"),
            "-c",
            str(self.config_directory),
            "start",
        ]
        with tempfile.TemporaryFile() as output:
            started = subprocess.run(
                argv, stdout=output, stderr=output, timeout=60, check=False, env=self.environment()
            )
            output.seek(0)
            if started.returncode:
                raise StartError(output.read().decode(errors="replace") + self.log())


def bounding_set() -> str:
    """Give the unit's set as setpriv(1) wants it."""
    found = re.search(r"^CapabilityBoundingSet=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return ",".join(["-all", *(f"+{word.removeprefix('CAP_').lower()}" for word in found[1].split())])


@pytest.fixture
def limited() -> Iterator[Limited]:
    """Give a system that starts with these rights, with a mailbox of a user that is not ours."""
    system = Limited(Options(**Boxes(["alice"]).options()))  # type: ignore[arg-type]
    system.mail_directory.chmod(0o1777)
    yield system
    system.destroy()


def test_the_rights_of_the_unit_are_enough(limited: Limited) -> None:
    """A message goes in and is in its owner's mailbox; no process has a right that the unit does not give."""
    limited.start_and_greet()
    with smtplib.SMTP("127.0.0.1", limited.port, timeout=30) as client:
        client.sendmail("sender@example.test", [f"alice@{DOMAIN}"], "Subject: rights\r\n\r\nEnough.\r\n")
    limited.wait_queue_empty(30)
    delivered = list((limited.mail_directory / "alice/new").iterdir())
    assert len(delivered) == 1
    assert delivered[0].stat().st_uid not in (0, os.geteuid())
    assert " status=sent " in limited.log()
    allowed = int(kernel_status(limited.master_pid())["CapBnd"], 16)
    assert allowed.bit_count() == len(bounding_set().split(",")) - 1
    for process in limited.processes():
        assert int(kernel_status(process.pid)["CapEff"], 16) & ~allowed == 0, process
