"""postfix(1): the tag of its log lines, and what it says of files that others may write."""

import os
import subprocess
from pathlib import Path

import pytest

from posthouse.commands.postfix.main import _warn_of_writable
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
