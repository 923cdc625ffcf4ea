"""What docs/containers.md says of a system without root, shown on one: whose files and commands there are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import net
from tests.support.sandbox import Sandbox, Who, need_sandbox
from tests.support.unprivileged import System, send

OTHER = 64100  # the uid of anna and bob, who have accounts and homes; nobody else may look into bob's
MOUNTS = f"""\
mount -t tmpfs etc /mnt
cp -a /etc/. /mnt
echo anna:x:{OTHER}:{OTHER}::/var/lib/anna:/bin/sh >>/mnt/passwd
echo bob:x:{OTHER}:{OTHER}::/var/lib/bob:/bin/sh >>/mnt/passwd
mount --move /mnt /etc
mount -t tmpfs lib /var/lib
mkdir -m 0755 /var/lib/anna
mkdir -m 0700 /var/lib/bob
echo elsewhere@relay.test >/var/lib/anna/.forward
chown -R {OTHER}:{OTHER} /var/lib/anna /var/lib/bob
"""
LOCAL = """\
mydestination = $myhostname
local_recipient_maps = proxy:unix:passwd.byname $alias_maps
mail_spool_directory = {state}/mail/
virtual_mailbox_domains =
alias_maps = inline:{{{{command=\"|id -u >{state}/who\"}}}}
"""


@pytest.fixture
def system(installed: Path) -> Iterator[System]:
    """Make a system with local users; it is not started yet."""
    need_sandbox()
    with Sandbox(mounts=MOUNTS) as place:
        made = System(place, installed)
        made.configure(net.free_port(), LOCAL.format(state=place.state))
        yield made


def test_mail_of_every_user_is_the_one_users_and_a_forward_of_others_is_not_followed(
    system: System, tmp_path: Path
) -> None:
    """Mailboxes and commands have his rights; a .forward that is not his is named in the log and left alone."""
    own = system.place.who.uid
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        send(system.port, "anna@mail.example.test", "command@mail.example.test")
        system.wait_log("to=<anna@mail.example.test>")
        system.wait_log("to=<command@mail.example.test>")
        mail = system.place.path(system.place.state / "mail")
        [message] = list((mail / "anna" / "new").iterdir())
        assert message.stat().st_uid == own
        assert system.place.path(system.place.state / "who").read_text() == f"{own}\n"
        assert "anna: /var/lib/anna/.forward" in system.log()
        assert "the file is ignored" in system.log()


def test_a_mailbox_in_the_home_of_others_stays_empty_and_the_mail_waits(system: System, tmp_path: Path) -> None:
    """home_mailbox needs the rights of its owner: the delivery is deferred, with the reason."""
    main = system.place.path(f"{system.config_directory}/main.cf").read_text()
    system.write("main.cf", main + "home_mailbox = Maildir/\n")
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        send(system.port, "anna@mail.example.test")
        system.wait_log("status=deferred")
        assert "to=<anna@mail.example.test>" in system.log()


def test_a_home_that_cannot_be_looked_into_holds_the_mail_up_unless_forward_path_is_empty(
    system: System, tmp_path: Path
) -> None:
    """Whether there is a .forward cannot be known; without one to look for, the mailbox is used."""
    main = system.place.path(f"{system.config_directory}/main.cf").read_text()
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        send(system.port, "bob@mail.example.test")
        system.wait_log("status=deferred (cannot access /var/lib/bob/.forward: Permission denied)")
        system.write("main.cf", main + "forward_path =\n")
        assert system.command("postfix", "reload").returncode == 0
        system.wait_log("reload -- version")
        send(system.port, "bob@mail.example.test")
        system.wait_log("status=sent (delivered to maildir)")


def test_other_users_submit_mail_and_the_one_user_steers_the_queue(system: System, tmp_path: Path) -> None:
    """sendmail and postqueue need no rights of the system's user; postsuper is his."""
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        done = system.place.run(
            *system.argv("sendmail", "command@mail.example.test"), stdin="Subject: x\n\nText.\n", who=Who(OTHER, OTHER)
        )
        assert done.returncode == 0, done.stderr
        system.wait_log("to=<command@mail.example.test>")
        assert system.place.run(*system.argv("postqueue", "-p"), who=Who(OTHER, OTHER)).returncode == 0
        assert system.command("postsuper", "-h", "ALL").returncode == 0
