"""How many connections one user may have, and who belongs to the mail system at all."""

import os
import socket

import pytest

from posthouse.config.settings import Settings
from posthouse.ipc import own_users
from posthouse.ipc.own_users import Door, own_uids
from posthouse.ipc.record import PeerCredentials
from posthouse.ipc.user_limit import UserLimit
from tests.support.lookups import logged

SETTINGS = Settings.from_mapping({"mail_owner": "nobody"}, service_name="test", process_name="test")


def test_one_user_has_so_many_and_others_have_theirs() -> None:
    """Root and the process's own user are not limited; who goes makes room; it is logged once."""
    limit = UserLimit(2)
    with logged() as lines:
        assert [limit.admit(4321) for _ in range(4)] == [True, True, False, False]
        assert limit.admit(4322)
        assert all(limit.admit(uid) for uid in (0, os.geteuid()) for _ in range(5))
        limit.leave(4321)
        assert limit.admit(4321)
    assert lines == ["warning: uid 4321 has 2 connections; more are refused"]


def test_the_default_leaves_room_for_others() -> None:
    """A share of the process's descriptors."""
    limit = UserLimit()
    with logged():
        taken = sum(limit.admit(4321) for _ in range(5000))
    assert 1 <= taken <= 1000


def test_only_the_system_s_own_users_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's connection is closed; he is logged once in a while, however often he comes."""
    door = Door(SETTINGS, "inner")
    ours, theirs = socket.socketpair()
    with logged() as lines:
        assert door.admits(ours)
        monkeypatch.setattr(own_users, "peer_credentials", lambda _sock: PeerCredentials(1, 4321, 4321))
        for _ in range(3):
            one, other = socket.socketpair()
            assert not door.admits(one)
            assert other.recv(1) == b""
            other.close()
    assert lines == ["warning: uid 4321 may not use the inner service; connection closed"]
    ours.close()
    theirs.close()


def test_who_is_ours() -> None:
    """Root, this process, and the three users as far as they exist."""
    assert own_uids(SETTINGS) >= {0, os.geteuid(), 65534}
