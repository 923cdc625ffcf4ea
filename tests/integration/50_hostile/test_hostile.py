"""The collected hostile sessions, strict: none may take the server down or get a message through that it should not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import SHARED, Start
from tests.support import net
from tests.support.instance import MASTER_CF
from tests.support.mailboxes import Boxes, give_away

RUNNER: Final = SHARED / "hostile" / "hostile_run.py"
# starttls and auth need extensions that are not built yet.
CATEGORIES: Final = (
    "smuggling",
    "line",
    "limit",
    "state",
    "param",
    "address",
    "helo",
    "pipelining",
    "utf8",
    "content",
    "bdat",
    "slow",
    "cross-protocol",
)
DOMAIN: Final = "example.test"
NAMES: Final = ("alice", "bob", "postmaster")


@pytest.mark.shared
def test_hostile_sessions(posthouse: Start, tmp_path: Path) -> None:
    """Every case gets its right answer, and the server greets after each."""
    slow_port = net.free_port()
    boxes = Boxes(NAMES).options(
        mydestination="",
        virtual_mailbox_domains=DOMAIN,
        mynetworks="192.0.2.0/24",
        message_size_limit="1000000",
        myhostname=f"mx.{DOMAIN}",
        smtpd_relay_restrictions="reject_unauth_destination",
        smtpd_helo_required="yes",
    )
    boxes["files"]["boxes"] = "".join(f"{name}@{DOMAIN} {name}/\n" for name in NAMES)
    slow = f"127.0.0.1:{slow_port} inet n - n - - smtpd\n  -o smtpd_timeout=4s -o smtpd_per_request_deadline=yes\n"
    server = posthouse(**boxes, master_cf=MASTER_CF + slow, started=False)
    give_away(server)
    server.start_and_greet()
    results = tmp_path / "results.json"
    ports = [str(server.port), "--slow-port", str(slow_port)]
    only = f" ({'|'.join(CATEGORIES)})$"
    command = [sys.executable, str(RUNNER), *ports, "--maildirs", str(server.mail_directory), "--only", only]
    done = subprocess.run(
        [*command, "--json", str(results)], capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path
    )
    assert results.exists(), done.stdout + done.stderr
    outcome = [tuple(row) for row in json.loads(results.read_text(encoding="utf-8"))]
    failed = [row for row in outcome if row[1].startswith("FAIL")]
    skipped = [row for row in outcome if row[1] == "SKIP" and "starttls" not in row[2] and "auth" not in row[2]]
    print(f"{len(outcome)} cases, {len(failed)} failed, {len(skipped)} skipped: {skipped}")
    assert "NOT ALIVE" not in done.stdout
    assert not failed, "\n".join(" ".join(row) for row in failed)
