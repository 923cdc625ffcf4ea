"""Debian's postmap, asked for keys: what a table of theirs gives."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.peers import find_peer, peer_environment

LIMIT_S = 60


def debians_postmap(directory: Path, table: str, keys: Sequence[str]) -> dict[str, str]:
    """Ask Debian's postmap for keys; skips where its package for the type is missing."""
    configuration = directory / "postfix"
    configuration.mkdir(exist_ok=True)
    (configuration / "main.cf").write_text("compatibility_level = 3.6\nsmtputf8_enable = yes\n", encoding="ascii")
    done = subprocess.run(
        [find_peer("postmap"), "-c", str(configuration), "-q", "-", table],
        input="".join(f"{key}\n" for key in keys).encode(),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
        env=peer_environment(),
    )
    if b"unsupported dictionary type" in done.stderr:
        pytest.skip(f"Debian's postfix-{table.partition(':')[0]} is not here: make peers")
    assert not done.stderr.replace(b"empty lookup result", b"").count(b"fatal"), done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    return {key: value for key, _, value in (line.partition("\t") for line in lines)}
