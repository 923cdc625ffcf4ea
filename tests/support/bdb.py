"""Berkeley DB files for tests, by Debian's own tools: postmap(1), and db5.3_load(1) for what postmap does not write."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.peers import find_peer

POSTMAP: Final = find_peer("postmap")
DB_LOAD: Final = find_peer("db5.3_load")
HAS_POSTMAP: Final = POSTMAP.startswith("/usr/")
HAS_DB_LOAD: Final = os.path.exists(DB_LOAD)
MAIN_CF: Final = "compatibility_level = 3.6\nmeta_directory = /etc/postfix\nshlib_directory = /usr/lib/postfix\n"


def postmap(directory: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run Debian's postmap in a directory, which gets a main.cf."""
    if not (directory / "main.cf").exists():
        (directory / "main.cf").write_text(MAIN_CF + "inet_interfaces = 127.0.0.1\nmyhostname = mail.example\n")
        os.utime(directory / "main.cf", (1_000_000_000, 1_000_000_000))  # Postfix waits for one that is quite new
    return subprocess.run(
        [POSTMAP, *arguments],
        cwd=directory,
        env={**os.environ, "MAIL_CONFIG": str(directory)},
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def source(directory: Path, name: str, contents: Mapping[str, str]) -> None:
    """Write a source text of postmap, old enough for it not to wait for the clock."""
    (directory / name).write_text("".join(f"{key} {value}\n" for key, value in contents.items()))
    os.utime(directory / name, (1_000_000_000, 1_000_000_000))


def db_load(path: Path, kind: str, contents: Mapping[str, str], *settings: str) -> None:
    """Make a file of `kind` (hash, btree) with settings such as "db_lorder=4321" (byte order) or "db_pagesize=512"."""
    options = [option for setting in settings for option in ("-c", setting)]
    text = "".join(f"{key}\n{value}\n" for key, value in contents.items())
    done = subprocess.run(
        [DB_LOAD, "-T", "-t", kind, *options, str(path)], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
