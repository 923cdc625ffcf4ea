"""Nothing that is installed or made runs with other rights than its caller's."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Start
from tests.support import net


def set_uid_below(*directories: Path) -> str:
    """Give what find(1) finds, by the question that is asked of a distribution's packages."""
    argv = ["find", *map(str, directories), "-perm", "/6000"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_find_finds_one_where_one_is(tmp_path: Path) -> None:
    """The question can be answered with yes."""
    (tmp_path / "program").write_text("")
    (tmp_path / "program").chmod(0o4755)
    assert set_uid_below(tmp_path) == f"{tmp_path / 'program'}\n"


def test_an_installed_wheel_has_none(installed: Path) -> None:
    """The wheel with every package it needs; and it is complete."""
    done = subprocess.run(
        [str(installed / "bin" / "posthouse"), "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("posthouse ")
    assert len(list((installed / "bin").glob("post*"))) >= 9
    assert set_uid_below(installed) == ""


def test_the_environment_of_the_work_tree_has_none() -> None:
    """What `make setup` makes."""
    assert (Path(sys.prefix) / "bin" / "posthouse").exists()
    assert set_uid_below(Path(sys.prefix)) == ""


def test_what_a_system_makes_for_itself_has_none(posthouse: Start) -> None:
    """`postfix set-permissions` (as root), and a system that has run; without root the start makes the same."""
    server = posthouse(started=False)
    if os.geteuid() == 0:
        done = server.command("postfix", "set-permissions")
        assert done.returncode == 0, done.stderr
        assert (server.queue_directory / "maildrop").is_dir()
        assert set_uid_below(server.directory) == ""
    server.start_and_greet()
    assert net.greeting(server.port).startswith(b"220")
    assert (server.queue_directory / "maildrop").is_dir()
    assert set_uid_below(server.directory) == ""
