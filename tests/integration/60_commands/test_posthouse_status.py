"""`posthouse status`: what probes and administrators ask."""

import json
import re
import subprocess

from tests.support.instance import Instance
from tests.support.servers import OURS, Posthouse


def status(server: Instance, *options: str) -> "subprocess.CompletedProcess[bytes]":
    """Run it."""
    argv = [str(OURS / "posthouse"), "status", "-c", str(server.config_directory), *options]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60)


def test_it_tells_a_stopped_system_from_a_running_one(instances: list[Instance]) -> None:
    """The queue can be read either way; exit status and first word say whether anybody serves it."""
    server = Posthouse()
    instances.append(server)
    server.start_and_greet()
    for running in (True, False):
        said = status(server, "--json")
        assert (said.returncode, json.loads(said.stdout)["running"]) == ((0, True) if running else (69, False))
        said = status(server)
        assert said.stdout.splitlines()[0] == (b"running" if running else b"not running")
        assert re.search(rb"^  active +0$", said.stdout, re.MULTILINE)
        server.stop()
