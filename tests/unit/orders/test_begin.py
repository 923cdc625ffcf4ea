"""Root's part of the orders process: two files, one name, and no way back."""

import os
import pwd
from pathlib import Path

import pytest

from posthouse.commands.orders import begin
from posthouse.commands.orders.begin import Files, give_root_up, mail_owner, read_files
from posthouse.util.fatal import Fatal


def test_files_are_read_whole(tmp_path: Path) -> None:
    """Whatever is in them; a file that is not there is None."""
    (tmp_path / "main.cf").write_bytes(b"\0\xff\n")
    assert read_files(str(tmp_path)) == Files(str(tmp_path), b"\0\xff\n", None)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No directory, or something else in place of a file."""
    with pytest.raises(Fatal, match="none: there is no such directory; name it with -c or MAIL_CONFIG"):
        read_files(str(tmp_path / "none"))
    (tmp_path / "main.cf").mkdir()
    with pytest.raises(Fatal, match=r"main\.cf: cannot read it: Is a directory"):
        read_files(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"", []),
        (b"mail_owner = posthouse\n", ["posthouse"]),
        (b"a = b\nmail_owner=one\nmail_owner = two \t\r\n", ["two"]),
        (b"mail_owner = $other\n", []),
        (b"mail_owner = a b\n", []),
        (b" mail_owner = continued\n", []),
        (b"#mail_owner = x\n", []),
        (b"mail_owner = " + b"a" * 33, []),
    ],
)
def test_the_last_plain_name_is_mail_owner(text: bytes, names: list[str]) -> None:
    """Anything else is left to those who parse, without rights."""
    assert mail_owner(text) == names


def _who(main_cf: bytes | None) -> tuple[int, int, list[int]]:
    """Give root up in a child; returns user, group and groups."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            give_root_up(Files("/etc/postfix", main_cf, None))
            os.write(writer, repr((os.getresuid(), os.getresgid(), os.getgroups())).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        uids, gids, groups = eval(file.read())
    os.waitpid(pid, 0)
    assert len(set(uids)) == len(set(gids)) == 1
    return uids[0], gids[0], groups


@pytest.mark.root
def test_root_is_given_up_for_mail_owner_or_somebody_harmless() -> None:
    """An unknown user, or root himself, is not taken; root's group is left behind."""
    daemon = pwd.getpwnam("daemon")
    assert _who(b"mail_owner = daemon\n") == (daemon.pw_uid, daemon.pw_gid, [daemon.pw_gid])
    harmless = {pwd.getpwnam(name).pw_uid for name in begin.UNPRIVILEGED if _exists(name)}
    for main_cf in (None, b"mail_owner = nosuchuser\n", b"mail_owner = root\n"):
        uid, gid, groups = _who(main_cf)
        assert uid in harmless
        assert gid != 0
        assert 0 not in groups


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def test_without_a_user_there_are_no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root never parses: the reason names whom one could create."""
    monkeypatch.setattr(begin, "UNPRIVILEGED", ("nosuchuser",))
    with pytest.raises(Fatal, match="/etc/postfix: none of the users root, nosuchuser exists to read it"):
        give_root_up(Files("/etc/postfix", b"mail_owner = root\n", None))
