"""postfix(1): the tag of its log lines, and what it says of files that others may write."""

import os
import subprocess
from pathlib import Path

import pytest

from posthouse.commands.postfix import control
from posthouse.commands.postfix.left_behind import left_behind
from posthouse.commands.postfix.main import _warn_of_writable
from posthouse.config.load import load_settings
from tests.support.servers import OURS


@pytest.mark.parametrize(
    ("tag", "shown"), [(None, "postfix-in/postfix-script["), ("mine", "mine/postfix-script[")], ids=["name", "logtag"]
)
def test_the_tag_of_its_lines(tag: str | None, shown: str, tmp_path: Path) -> None:
    """syslog_name, which is the name of the instance by default; MAIL_LOGTAG comes before it."""
    log = tmp_path / "maillog"
    log.touch()
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nmulti_instance_name = postfix-in\nqueue_directory = {tmp_path}\n"
        f"data_directory = {tmp_path}\nmaillog_file = {log}\nmaillog_file_prefixes = {tmp_path}\n"
    )
    (tmp_path / "master.cf").touch()
    environment = {"PATH": os.environ["PATH"], **({"MAIL_LOGTAG": tag} if tag else {})}
    done = subprocess.run(
        [OURS / "postfix", "-c", tmp_path, "status"], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert f" {shown}" in log.read_text()
    assert "the Postfix mail system is not running" in log.read_text()


def test_files_that_others_may_write_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The directory too: who may write there may replace the files."""
    for name in ("main.cf", "master.cf"):
        (tmp_path / name).touch(0o644)
    tmp_path.chmod(0o755)
    _warn_of_writable(str(tmp_path))
    assert not capsys.readouterr().err
    (tmp_path / "main.cf").chmod(0o664)
    tmp_path.chmod(0o757)
    _warn_of_writable(str(tmp_path))
    assert [line.partition("writable: ")[2] for line in capsys.readouterr().err.splitlines()] == [
        str(tmp_path),
        f"{tmp_path}/main.cf",
    ]


def configured(tmp_path: Path, **more: str) -> Path:
    """Make a configuration with its queue below it; returns the queue directory."""
    settings = {"queue_directory": f"{tmp_path}/queue", "data_directory": f"{tmp_path}/data", **more}
    lines = [f"{name} = {value}\n" for name, value in {"compatibility_level": "3.6", **settings}.items()]
    (tmp_path / "main.cf").write_text("".join(lines))
    (tmp_path / "master.cf").touch()
    (tmp_path / "queue" / "pid").mkdir(parents=True)
    return tmp_path / "queue"


def test_mail_that_postfix_left_in_the_directory_is_named(tmp_path: Path) -> None:
    """Its queue is files, which ours does not deliver: how many there are, and where."""
    queue = configured(tmp_path)
    assert not left_behind(load_settings(str(tmp_path), "postfix"))
    for name in ("deferred/4/43DA6D56", "deferred/6/6B729DA4", "hold/4DA3FD6A"):
        (queue / name).parent.mkdir(parents=True, exist_ok=True)
        (queue / name).touch()
    said = left_behind(load_settings(str(tmp_path), "postfix"))
    assert said.startswith(f"3 messages of Postfix in {queue} (deferred 2, hold 1); ")


def test_marks_of_services_that_failed_are_of_one_master(tmp_path: Path) -> None:
    """A start forgets them: else the postmaster is told that what runs well fails to start."""
    queue = configured(tmp_path)
    (queue / "pid" / "throttled.postlog").mkdir()
    (queue / "pid" / "master.pid").touch()
    control.forget_throttled(load_settings(str(tmp_path), "postfix"))
    assert os.listdir(queue / "pid") == ["master.pid"]


@pytest.mark.root
@pytest.mark.parametrize("command", ["start", "stop", "reload", "status", "check"])
def test_who_may_not_look_is_not_told_that_nothing_runs(command: str, tmp_path: Path) -> None:
    """A stranger cannot see master's lock, so the answer is that he may not ask."""
    configured(tmp_path)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o055 != 0o055:
            path.chmod(0o755)
    done = subprocess.run(
        [OURS / "postfix", "-c", tmp_path, command],
        env={"PATH": os.environ["PATH"]}, user="nobody", group="nogroup", extra_groups=[], cwd="/",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the postfix command is reserved for the superuser" in done.stderr
    assert "not running" not in done.stderr
