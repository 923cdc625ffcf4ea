"""metrics(8) and the probes in a system of one user without rights."""

import urllib.request
from pathlib import Path

from tests.support import net
from tests.support.instance import MASTER_CF
from tests.support.sandbox import Sandbox, need_sandbox
from tests.support.unprivileged import System, send


def test_it_serves_without_root(installed: Path, tmp_path: Path) -> None:
    """Numbers by HTTP; live and ready by HTTP and by exit status."""
    need_sandbox()
    with Sandbox() as place:
        system, port = System(place, installed), net.free_port()
        system.configure(net.free_port())
        metrics = f"{net.LOOPBACK}:{port} inet n - n - - metrics\n"
        system.write("master.cf", MASTER_CF.replace("{port}", str(system.port)) + metrics)
        with system.started(tmp_path / "stdout"):
            system.wait_greeting()
            send(system.port, "alice@box.test")
            assert get(port, "ready") == b"ready\n"
            assert b"\nposthouse_governor_up 1.0\n" in get(port, "metrics")
            for question in ("--live", "--ready"):
                command = [str(installed / "bin/posthouse"), "status", question, "-c", system.config_directory]
                done = place.run(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            assert system.stop() == 0
        assert "panic" not in system.printed()


def get(port: int, path: str) -> bytes:
    """Get a page."""
    with urllib.request.urlopen(f"http://{net.LOOPBACK}:{port}/{path}", timeout=30) as answer:
        assert answer.status == 200
        return bytes(answer.read())
