"""A hostile .forward: what it names, what it runs, and what it never ends."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.attacker import Walls, act
from tests.support.net import LOOPBACK

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
SECRET = "only-root-may-read-this"


def wait_status(system: Walls, count: int, word: str = " status=") -> list[str]:
    """Wait for so many results of deliveries; the lines."""
    deadline = time.monotonic() + 20
    while len(lines := [line for line in system.server.log().splitlines() if word in line]) < count:
        assert time.monotonic() < deadline, system.server.log()[-3000:]
        time.sleep(0.02)
    return lines


def deliver(system: Walls, address: str = "", *, sender: str = "") -> str:
    """Send a message to the attacker, from nobody so that nothing is returned; what became of it."""
    seen = system.server.log().count(" status=")
    system.send(system.mallory, address or system.mallory.address, "-f", sender)
    return wait_status(system, seen + 1)[seen]


def everything_said(system: Walls) -> str:
    """Log, mailboxes and queue: all that the attacker may get to see, and more."""
    listing = system.server.command("postqueue", "-p").stdout.decode()
    return system.server.log() + system.mailbox(system.mallory) + listing


def plant(path: Path, mode: int, size: int = 0) -> None:
    """Write a file that runs a command."""
    path.write_text("|id\n")
    if size:
        os.truncate(path, size)
    path.chmod(mode)


def test_forward_files_that_are_none(walls: Start) -> None:
    """Links to what only root may read, FIFOs, devices, giants, files of others: not read, or not believed."""
    system = walls()
    secret = system.server.directory / "secret"
    secret.write_text(f"{SECRET}@example.test, |echo {SECRET}\n")
    secret.chmod(0o600)
    alices = system.alice.write(system.alice.home / ".forward", f"{SECRET}@example.test\n", 0o644)
    path = system.mallory.home / ".forward"
    tried: dict[str, Callable[[], object]] = {
        "root's": lambda: path.symlink_to(secret),
        "alice's": lambda: path.symlink_to(alices),
        "shadow": lambda: path.symlink_to("/etc/shadow"),
        "memory": lambda: path.symlink_to("/proc/self/maps"),
        "environment": lambda: path.symlink_to("/proc/self/environ"),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "terminal": lambda: path.symlink_to("/dev/tty"),
        "loop": lambda: path.symlink_to(path),
        "fifo": lambda: os.mkfifo(path, 0o600),
        "directory": path.mkdir,
        "giant": partial(plant, path, 0o644, 1 << 40),
        "for all": partial(plant, path, 0o666),
    }
    for attempt in tried.values():
        act(system.mallory, attempt)
        deliver(system)
        act(system.mallory, path.rmdir if path.is_dir() and not path.is_symlink() else path.unlink)
    system.alice.write(path, "|id\n", 0o644)  # of another user, in the attacker's home
    assert "delivered to mailbox" in deliver(system)
    path.unlink()
    alices.unlink()
    system.unharmed()
    assert "[heap]" not in everything_said(system)
    assert "uid=" + str(system.mallory.uid) + "(" not in everything_said(system)
    assert SECRET not in everything_said(system)


SCRIPT = """#!/bin/sh
exec >> {out} 2>&1
id
env
ls -l /proc/self/fd
grep -E "Cap|NoNew|Groups" /proc/self/status
cat /proc/$PPID/environ
exit 0
"""


def test_a_command_is_the_user_and_nothing_more(walls: Start) -> None:
    """Ids, groups, capabilities, descriptors and environment of a login; nothing of ours."""
    system = walls()
    out = system.mallory.home / "out"
    script = system.mallory.write(system.mallory.home / "script", SCRIPT.format(out=out), 0o755)
    system.mallory.forward(f"|{script}\n")
    hack = f"touch${{IFS}}{system.mallory.home}/hacked"
    for odd in (
        f'"{system.mallory.name}+$({hack});{hack}"@example.test',
        f"{system.mallory.name}+`{hack}`|$PATH&'@example.test",
    ):
        assert "status=sent" in deliver(system, odd, sender=f"'`{hack}`'@client.test")
    said = out.read_text()
    assert f"uid={system.mallory.uid}({system.mallory.name}) gid={system.mallory.gid}" in said
    assert "(root)" not in said.split("\n")[0]
    capabilities = [line.split() for line in said.splitlines() if line.startswith("Cap")]
    assert {value for name, value in capabilities if name != "CapBnd:"} == {"0" * 16}  # a login keeps its bounding set
    names = {line.split("=")[0] for line in said.splitlines() if "=" in line and line.split("=")[0].isupper()}
    known = "SENDER RECIPIENT ORIGINAL_RECIPIENT LOCAL DOMAIN USER LOGNAME EXTENSION HOME SHELL PATH PWD SHLVL OLDPWD _"
    exported = {"TZ", "LANG", "MAIL_CONFIG"}  # export_environment
    assert names <= {*known.split(), *exported, "CLIENT_ADDRESS", "CLIENT_HOSTNAME", "CLIENT_PROTOCOL", "CLIENT_HELO"}
    assert "$(" not in said
    opened = [line.split(" -> ")[0].split()[-1] for line in said.splitlines() if " -> " in line]
    assert set(opened) <= {"0", "1", "2", "3"}  # 3: the directory that ls reads
    assert not (system.mallory.home / "hacked").exists()
    assert "POSTHOUSE" not in said.upper().replace(str(system.server.directory).upper(), "")
    system.unharmed()


HOSTILE = {
    "forks away": "setsid sh -c 'sleep 20' & exit 0",
    "ignores signals": "trap '' TERM HUP INT; sleep 20; sleep 20",
    "writes for ever": "yes",
    "kills its parent": "kill -9 $PPID; kill -9 -1",
    "reads nothing": "exec <&-; sleep 0.1; exit 0",
    "says control characters": "printf '5.7.1 \\033[2J\\r\\n\\000 forged'; exit 77",
    "fork away": "for i in 1 2 3 4 5 6 7 8 9; do sleep 20 & done",
}


def test_commands_that_misbehave(walls: Start) -> None:
    """They end with their time at the latest, and meanwhile others get their mail."""
    system = walls(command_time_limit="1s")
    for command in HOSTILE.values():
        system.mallory.forward(f'"|{command}"\n')
        system.send(system.alice, system.mallory.address)  # one of them kills whatever is the attacker's
        system.normal_mail()
    lines = wait_status(system, len(HOSTILE), word=f"to=<{system.mallory.address}>")
    assert any("time limit exceeded" in line for line in lines)
    assert not [line for line in system.server.maillog.read_bytes().split(b"\n") if set(line) & set(range(32))]
    act(system.mallory, lambda: os.kill(-1, 9) if os.fork() == 0 else os.wait() and None)
    system.unharmed()


def test_one_user_s_slow_commands_do_not_take_every_place(walls: Start) -> None:
    """However many addresses he has: extensions of his name are one destination."""
    system = walls(command_time_limit="30s")
    system.mallory.forward('"|sleep 30"\n')
    many = [f"{system.mallory.name}+{number}@example.test" for number in range(150)]
    done = system.run(system.mallory, "sendmail", "-i", "--", *many, stdin=b"Subject: x\n\nx\n")
    assert done.returncode == 0
    system.normal_mail()
    system.unharmed()


def test_files_that_are_not_his(walls: Start) -> None:
    """Files of root, of another user, devices, /proc: not a byte; as the user he may write to his own only."""
    system = walls()
    watched = [system.server.maillog, system.alice.home]
    before = [(path.stat().st_ino, path.stat().st_uid, path.stat().st_mode) for path in watched]
    names = ["/etc/passwd", "/etc/shadow", "/dev/full", "/dev/tty", "/dev/mem", "/proc/self/mem", "/proc/self/fd/1"]
    names += [
        f"{system.server.maillog}",
        f"{system.alice.home}/new",
        f"{system.server.queue_directory}/pid/x",
        "/root/x/",
    ]
    names += [
        "/../../etc/cron.d/x",
        f"{system.server.queue_directory}/maildrop/../public/qmgr",
        "/tmp/nul\0",
        "/dev/null",
    ]
    for name in names:
        system.mallory.forward(f"{name}\n")
        said = deliver(system)
        assert ("status=sent" in said) == (name == "/dev/null"), said
    assert [(path.stat().st_ino, path.stat().st_uid, path.stat().st_mode) for path in watched] == before
    for path, colons in ((Path("/etc/passwd"), 6), (Path("/etc/shadow"), 8)):  # tests beside this one make accounts
        assert path.stat().st_uid == 0
        assert {line.count(":") for line in path.read_text().splitlines()} == {colons}
    assert not list(system.alice.home.iterdir())
    system.unharmed()


def test_includes_that_lead_elsewhere_or_have_no_end(walls: Start) -> None:
    """Files of root, relative names, FIFOs, our own memory, files that include themselves a thousand times."""
    system = walls()
    secret = system.server.directory / "secret"
    secret.write_text(f"{SECRET}@example.test\n")
    secret.chmod(0o600)
    home = system.mallory.home
    act(system.mallory, lambda: os.mkfifo(home / "fifo"))
    system.mallory.write(home / "self", f":include:{home}/self\n" * 1000)
    system.mallory.write(home / "commands", "|id\n/etc/passwd\n")
    system.mallory.write(home / "long", ",".join(f"{number:x}" for number in range(12_000)))
    elsewhere = [
        secret,
        "secret",
        "../../etc/passwd",
        "/etc/shadow",
        home / "fifo",
        "/proc/self/maps",
        "/dev/zero",
        "/x\0",
    ]
    for name in [*elsewhere, home / "self", home / "commands", home / "long"]:
        system.mallory.forward(f":include:{name}\n")
        assert "status=sent" not in deliver(system), name
    system.mallory.forward(f":include:{home}/self\n:include:{home}/long\n" * 30)
    deliver(system)
    system.unharmed()
    assert SECRET not in everything_said(system)
    assert "[heap]" not in everything_said(system)


def test_loops_and_thousands_of_lines(walls: Start) -> None:
    """Forwarding to oneself by other names, to each other, to odd addresses: bounded, and bounced."""
    system = walls()
    odd = [
        "-oQ/tmp",
        "--help",
        "|",
        "/",
        "\\",
        "\\root",
        '"',
        "(",
        "<>",
        "@",
        "a b c",
        "\x1b[2J@x",
        "x\0y",
        "é@\udcff",
        "!",
        "%s%n",
        ":",
    ]
    system.mallory.forward("\n".join(odd))
    system.send(system.mallory, system.mallory.address)
    system.mallory.forward(f"{system.mallory.name}+a\n{system.mallory.name}+b@{LOOPBACK}\n")
    system.send(system.mallory, system.mallory.address)
    system.alice.forward(f"{system.mallory.name}\n\\{system.alice.name}\n")
    system.mallory.forward(f"{system.alice.name}\n")
    system.send(system.mallory, system.mallory.address)
    system.normal_mail()
    system.mallory.forward("/dev/null\n" * 6000)
    system.send(system.mallory, system.mallory.address)
    system.mallory.forward("\n".join(f"u{number}@refused.test" for number in range(4000)))
    system.send(system.mallory, system.mallory.address, "-f", "")
    system.normal_mail()
    (system.alice.home / ".forward").unlink()
    system.unharmed()
