"""confine/domain.py: a process enters its domain where our policy is in force, and does not go on where it may not."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.confine.domain import DomainError, enter_domain, next_program

ENFORCED = "posthouse-warm (enforce)\n"
LABEL = "system_u:system_r:posthouse_warm_t:s0\0"


def _apparmor(root: Path, current: str, enabled: str = "Y\n") -> Path:
    parameters = root / "sys/module/apparmor/parameters"
    parameters.mkdir(parents=True)
    (parameters / "enabled").write_text(enabled)
    return _attributes(root / "proc/thread-self/attr/apparmor", current)


def _selinux(root: Path, current: str) -> Path:
    (root / "sys/fs/selinux").mkdir(parents=True)
    (root / "sys/fs/selinux/enforce").write_text("1")
    return _attributes(root / "proc/thread-self/attr", current)


def _attributes(directory: Path, current: str) -> Path:
    directory.mkdir(parents=True)
    (directory / "current").write_text(current)
    (directory / "exec").write_text("")
    return directory


def test_without_a_security_module_nothing_is_entered(tmp_path: Path) -> None:
    """A kernel that has neither is the usual case."""
    assert enter_domain("smtpd", str(tmp_path)) == ""
    with next_program("warm", str(tmp_path)) as entered:
        assert entered == ""


def test_this_machine_lets_a_process_go_on() -> None:
    """No profile of ours is loaded where the tests run, so the real kernel changes nothing either."""
    assert enter_domain("smtpd") == ""


def test_apparmor_changes_the_profile(tmp_path: Path) -> None:
    """The name is written as aa_change_profile(2) does; a package's name becomes the daemon's."""
    attributes = _apparmor(tmp_path, ENFORCED)
    assert enter_domain("trivial_rewrite", str(tmp_path)) == "posthouse-trivial-rewrite"
    assert (attributes / "current").read_text().startswith("changeprofile posthouse-trivial-rewrite")


def test_an_old_kernel_has_one_directory_for_all_modules(tmp_path: Path) -> None:
    """Before Linux 5.8 AppArmor's attributes were the common ones."""
    parameters = tmp_path / "sys/module/apparmor/parameters"
    parameters.mkdir(parents=True)
    (parameters / "enabled").write_text("Y\n")
    attributes = _attributes(tmp_path / "proc/thread-self/attr", ENFORCED)
    assert enter_domain("qmgr", str(tmp_path)) == "posthouse-qmgr"
    assert (attributes / "current").read_text().startswith("changeprofile posthouse-qmgr")


@pytest.mark.parametrize("current", ["unconfined\n", "docker-default (enforce)\n", "posthousekeeper (enforce)\n"])
def test_foreign_profiles_are_left_alone(tmp_path: Path, current: str) -> None:
    """Ours is not in force: an administrator without it, or a container's, must not stop the mail."""
    attributes = _apparmor(tmp_path, current)
    assert enter_domain("smtpd", str(tmp_path)) == ""
    assert (attributes / "current").read_text() == current


def test_disabled_apparmor_is_none(tmp_path: Path) -> None:
    """The module may be there and switched off."""
    _apparmor(tmp_path, ENFORCED, enabled="N\n")
    assert enter_domain("smtpd", str(tmp_path)) == ""


def test_selinux_changes_the_type_alone(tmp_path: Path) -> None:
    """User, role and level stay."""
    attributes = _selinux(tmp_path, LABEL)
    wanted = "system_u:system_r:posthouse_trivial_rewrite_t:s0"
    assert enter_domain("trivial-rewrite", str(tmp_path)) == wanted
    assert (attributes / "current").read_text().startswith(wanted)


def test_a_level_with_categories_is_kept(tmp_path: Path) -> None:
    """A level may hold colons."""
    _selinux(tmp_path, "system_u:system_r:posthouse_warm_t:s0-s0:c0.c1023\0")
    assert enter_domain("dns", str(tmp_path)) == "system_u:system_r:posthouse_dns_t:s0-s0:c0.c1023"


def test_unconfined_under_selinux_is_left_alone(tmp_path: Path) -> None:
    """Without the module the system runs in init's or the administrator's domain."""
    _selinux(tmp_path, "unconfined_u:unconfined_r:unconfined_t:s0\0")
    assert enter_domain("smtpd", str(tmp_path)) == ""


@pytest.mark.parametrize("prepare", [_apparmor, _selinux])
def test_a_refused_change_ends_the_process(tmp_path: Path, prepare: Callable[[Path, str], Path]) -> None:
    """Fails closed: warm is confined, so a daemon that stayed in warm's domain would have warm's rights."""
    text = ENFORCED if prepare is _apparmor else LABEL
    attributes = prepare(tmp_path, text)
    descriptor = os.memfd_create("current", os.MFD_ALLOW_SEALING)
    os.write(descriptor, text.encode())
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)  # the kernel answers EPERM, as it does there
    for name in ("current", "exec"):
        (attributes / name).unlink()
        (attributes / name).symlink_to(f"/proc/self/fd/{descriptor}")
    with pytest.raises(DomainError, match="does not let this process"):
        enter_domain("smtpd", str(tmp_path))
    with pytest.raises(DomainError, match="does not let this process"), next_program("warm", str(tmp_path)):
        pytest.fail("the program was started all the same")
    os.close(descriptor)


def test_the_next_program_is_put_into_a_domain_and_no_further_one(tmp_path: Path) -> None:
    """What is started meanwhile begins there; afterwards the old state is back."""
    attributes = _apparmor(tmp_path, "posthouse (enforce)\n")
    with next_program("warm", str(tmp_path)) as entered:
        assert entered == "posthouse-warm"
        assert (attributes / "exec").read_text() == "exec posthouse-warm"
    assert (attributes / "exec").read_text().startswith("exec posthouse")
