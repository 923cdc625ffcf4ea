"""Commands with a main.cf that cannot be read: one line says where, and no command shows its insides."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import OURS

COMMANDS = [
    ["mailq"], ["postqueue", "-p"], ["postqueue", "-j"], ["postqueue", "-f"], ["postsuper"], ["postsuper", "-d", "ALL"],
    ["postcat", "-q", "4jYL3G6Gn2zqw"], ["qshape"], ["postlog", "text"], ["sendmail", "-bp"], ["sendmail", "-q"],
    ["posthouse", "drain"], ["posthouse", "drain", "--off"], ["posthouse", "status"], ["posthouse", "queue", "verify"],
    ["posthouse", "status", "--ready"], ["postfix", "status"],
    ["postmap", "-q", "x", "inline:{x=y}"], ["postconf", "-n"], ["postmulti", "-l"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_line_that_is_no_setting(words: list[str], tmp_path: Path) -> None:
    """It is named with its file and number, and the exit status is a failure."""
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nthis is nonsense\n")
    (tmp_path / "master.cf").touch()
    done = subprocess.run(
        [OURS / words[0], *words[1:]],
        env={"PATH": os.environ["PATH"], "MAIL_CONFIG": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode > 0
    assert "missing '=' after attribute name" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
