"""The rights that the unit with root leaves are enough: with these and no others a system takes mail and delivers."""

import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.instance import Options, StartError
from tests.support.mailboxes import DOMAIN, Boxes
from tests.support.processes import kernel_status
from tests.support.servers import Posthouse

# As MemoryDenyWriteExecute= does, where the kernel has it (Linux 6.3): prctl(2), PR_SET_MDWE. It outlives execve(2).
NO_NEW_CODE = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
UNIT = Path(__file__).parents[3] / "packaging/systemd/posthouse.service"
pytestmark = [pytest.mark.integration, pytest.mark.root]


class Limited(Posthouse):
    """A system that is started with the unit's CapabilityBoundingSet= and without new executable memory."""

    def start(self) -> None:
        """Start as systemd would; set-permissions has been run before, with all rights."""
        done = self.command("postfix", "set-permissions")
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        argv = [sys.executable, "-c", NO_NEW_CODE, shutil.which("setpriv") or "/usr/bin/setpriv"]
        argv += [f"--bounding-set={bounding_set()}", "--inh-caps=-all"]
        argv += [self.program("postfix"), "-c", str(self.config_directory), "start"]
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
