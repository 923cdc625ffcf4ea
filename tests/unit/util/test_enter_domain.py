"""util/process.py: a process enters its domain where our policy is in force, and does not go on where it may not."""

import fcntl
import os
from pathlib import Path

import pytest

from posthouse.util.process import enter_domain

ENFORCED = "posthouse-warm (enforce)\n"
LABEL = "system_u:system_r:posthouse_warm_t:s0\0"


@pytest.fixture
def current(tmp_path: Path) -> Path:
    """Give the place of a file that stands for the kernel's."""
    return tmp_path / "current"


def _enter(current: Path, before: str, name: str) -> tuple[str, bytes]:
    """Enter a domain from another: what is said, and what the file holds; writing begins at its beginning."""
    current.write_text(before)
    return enter_domain(name, str(current)), current.read_bytes()


def test_without_proc_nothing_is_entered(current: Path) -> None:
    """A kernel without security modules, or a container without /proc."""
    assert enter_domain("smtpd", str(current)) == ""
    assert not current.exists()


def test_this_machine_lets_a_process_go_on() -> None:
    """No policy of ours is loaded where the tests run, so the real kernel changes nothing either."""
    assert enter_domain("smtpd") == ""


@pytest.mark.parametrize(
    "before", [ENFORCED, "posthouse (enforce)\n", "posthouse-runas (complain)", "posthouse//&site\n"]
)
def test_apparmor_changes_the_profile(current: Path, before: str) -> None:
    """From master's, a part's, one that only complains, and one that a site has put another on."""
    wanted = "changeprofile posthouse-trivial-rewrite"
    assert _enter(current, before, "trivial-rewrite") == (wanted, wanted.encode())


@pytest.mark.parametrize("level", [":s0", ":s0-s0:c0.c1023", ""])
@pytest.mark.parametrize("end", ["\0", "\n", ""])
def test_selinux_changes_the_type_alone(current: Path, level: str, end: str) -> None:
    """User, role and level stay; a level may hold colons, and a policy may have none."""
    wanted = f"system_u:system_r:posthouse_trivial_rewrite_t{level}"
    before = f"system_u:system_r:posthouse_master_t{level}{end}"
    assert _enter(current, before, "trivial-rewrite") == (wanted, wanted.encode())


@pytest.mark.parametrize(
    "before",
    [
        "",
        "unconfined\n",
        "docker-default (enforce)\n",
        "posthousekeeper (enforce)\n",
        "my-posthouse-warm (enforce)\n",
        "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
        "posthouse_u:posthouse_r:container_t:s0:c1,c2\0",
        "system_u:system_r:container_t:posthouse_x\0",
        "h\xe9 (enforce)\n",
    ],
)
def test_foreign_domains_are_left_alone(current: Path, before: str) -> None:
    """Ours is not in force: an administrator without it, or a container's, must not stop the mail."""
    assert _enter(current, before, "smtpd") == ("", before.encode())


@pytest.mark.parametrize("before", [ENFORCED, LABEL])
def test_a_refused_change_ends_the_process(before: str) -> None:
    """Fails closed: warm is confined, so a daemon that stayed in warm's domain would have warm's rights."""
    descriptor = os.memfd_create("current", os.MFD_ALLOW_SEALING)
    os.write(descriptor, before.encode())
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)  # the kernel answers EPERM, as it does there
    with pytest.raises(PermissionError):
        enter_domain("smtpd", f"/proc/self/fd/{descriptor}")
    os.close(descriptor)


def test_a_process_that_cannot_tell_where_it_is_ends(tmp_path: Path) -> None:
    """What is not "no such module" may be our own policy without the rule for reading it."""
    with pytest.raises(IsADirectoryError):
        enter_domain("smtpd", str(tmp_path))
