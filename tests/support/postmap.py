"""Debian's postmap: what Postfix finds in a table."""

import subprocess
from pathlib import Path

from tests.support.peers import find_peer, peer_environment

MAIN_CF = "compatibility_level = 3.6\nsmtputf8_enable = yes\nmyhostname = mail.test\n"


def ask_postfix(spec: str, keys: list[str], directory: Path) -> list[str | None]:
    """Look keys up; "error" where there is one. directory: for a main.cf."""
    (directory / "main.cf").write_text(MAIN_CF)
    command = [find_peer("postmap"), "-c", str(directory), "-q"]
    done = _run([*command, "-", spec], "".join(f"{key}\n" for key in keys))
    if "fatal" not in done.stderr:
        answers = dict(line.split("\t", 1) for line in done.stdout.splitlines())
        return [answers.get(key) for key in keys]
    found: list[str | None] = []
    for key in keys:  # one by one: it ends at the first error
        done = _run([*command, key, spec])
        failed = "fatal" in done.stderr
        found.append("error" if failed else done.stdout.removesuffix("\n") if done.returncode == 0 else None)
    return found


def _run(command: list[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    environment = peer_environment()
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, env=environment, check=False)
