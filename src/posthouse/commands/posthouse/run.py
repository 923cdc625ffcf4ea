"""posthouse run: a whole mail system to look at: state in ./var, no root, no main.cf, one message sent to itself.

It writes main.cf and master.cf to ./var/etc (so there is something to look at and to change), starts the system in the
foreground and ends it with Ctrl-C. Started by root it goes on as an unprivileged user.
"""

import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess  # starts our own programs and setpriv(1)
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

HOST: Final = "127.0.0.1"
PORT: Final = 2525
START_WAIT_S: Final = 20.0
DELIVERY_WAIT_S: Final = 20.0

MAIN_CF: Final = """\
# Written by "posthouse run"; change it, and run "postfix -c {etc} reload".
compatibility_level = 3.11
queue_directory = {state}/spool
data_directory = {state}/lib
mail_spool_directory = {state}/mail/
maillog_file = {state}/log/mail.log
maillog_file_prefixes = {state}/log
myhostname = posthouse.localdomain
mydestination = $myhostname, localhost.$mydomain, localhost
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
alias_maps =
"""


def main(words: list[str]) -> int:
    """Run until Ctrl-C or SIGTERM; returns the exit status."""
    if words:
        sys.stderr.write("usage: posthouse run\n")
        return 64
    state = Path.cwd() / "var"
    if os.geteuid() == 0:
        _as_user(state)
    user = pwd.getpwuid(os.geteuid()).pw_name
    etc = _write_configuration(state)
    if _is_taken():
        sys.stderr.write(f"posthouse run: {HOST}:{PORT} is in use; is another one running?\n")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs begin with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    command = [sys.executable, "-m", "posthouse.commands.postfix", "-c", str(etc), "start-fg"]
    system = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own program
    try:
        return _show(system, state, etc, user, began)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(system)


def _show(system: "subprocess.Popen[bytes]", state: Path, etc: Path, user: str, began: float) -> int:
    if not _wait_for_greeting(system):
        sys.stderr.write(f"posthouse run: it did not start; see {state}/log/mail.log\n")
        return 1
    steps = [("start to first 220", time.monotonic() - began)]
    place = _send_first_message(state / "mail" / user / "new", user, steps)
    if place is None:
        sys.stderr.write(f"posthouse run: the first message did not arrive; see {state}/log/mail.log\n")
        return 1
    _say(f"Posthouse is running on {HOST}:{PORT}. Its first message was delivered to\n  {place}\n")
    for name, seconds in steps:
        _say(f"  {name:<34} {seconds * 1000:8.1f} ms")
    binaries = Path(sys.executable).parent
    _say(f"\nconfiguration {etc}   log {state}/log/mail.log\nstop with Ctrl-C; send another one with:\n")
    _say(f"  printf 'Subject: hello\\n\\nHello again.\\n' | {binaries}/sendmail -C {etc} {user}@localhost\n")
    return system.wait()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _send_first_message(mailbox: Path, user: str, steps: list[tuple[str, float]]) -> Path | None:
    """Speak SMTP step by step, then watch the mailbox."""
    before = set(mailbox.glob("*")) if mailbox.is_dir() else set()
    address = f"{user}@localhost"
    clock = time.monotonic()
    with smtplib.SMTP(HOST, PORT) as client:
        clock = _step(steps, "connect, greeting", clock)
        client.ehlo("localhost")
        clock = _step(steps, "EHLO", clock)
        client.mail(address)
        clock = _step(steps, "MAIL FROM", clock)
        client.rcpt(address)
        clock = _step(steps, "RCPT TO", clock)
        client.data(f"From: {address}\r\nTo: {address}\r\nSubject: Welcome to Posthouse\r\n\r\nIt works.\r\n")
        clock = _step(steps, "DATA to 250, message is on disk", clock)
    deadline = time.monotonic() + DELIVERY_WAIT_S
    while time.monotonic() < deadline:
        new = set(mailbox.glob("*")) - before if mailbox.is_dir() else set()
        if new:
            _step(steps, "250 to mailbox, synced", clock)
            return new.pop()
        time.sleep(0.001)
    return None


def _step(steps: list[tuple[str, float]], name: str, since: float) -> float:
    now = time.monotonic()
    steps.append((name, now - since))
    return now


def _wait_for_greeting(system: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_WAIT_S
    while time.monotonic() < deadline and system.poll() is None:
        try:
            with socket.create_connection((HOST, PORT), timeout=START_WAIT_S) as probe:
                return probe.recv(4) == b"220 "
        except OSError:
            time.sleep(0.01)
    return False


def _is_taken() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            return True
    return False


def _stop(system: "subprocess.Popen[bytes]") -> None:
    """End the system as "postfix stop" does, and wait for it."""
    if system.poll() is None:
        _say("\nstopping ...")
        system.send_signal(signal.SIGTERM)
        try:
            system.wait(40)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            system.kill()
            system.wait()
    _say("stopped")


def _write_configuration(state: Path) -> Path:
    """Make ./var and its main.cf and master.cf, unless they are there already."""
    etc = state / "etc"
    for part in ("etc", "spool", "lib", "log", "mail"):
        (state / part).mkdir(parents=True, exist_ok=True)
    if not (etc / "main.cf").exists():
        (etc / "main.cf").write_text(MAIN_CF.format(etc=etc, state=state))
    if not (etc / "master.cf").exists():
        from posthouse.commands.orders.programs import STOCK_MASTER_CF

        stock = STOCK_MASTER_CF.decode()
        (etc / "master.cf").write_text(stock.replace("smtp       inet", f"{HOST}:{PORT} inet", 1))
    return etc


def _as_user(state: Path) -> NoReturn:
    """Go on as somebody without rights: who called sudo, the owner of this directory, or nobody.

    Where that user cannot reach the Python we run on (one in root's home, say), the run keeps the right to read files.
    """
    account = _find_user()
    state.mkdir(exist_ok=True)
    for path in (state, *state.rglob("*")):
        if path.relative_to(state).parts[:1] in ((), ("etc",), ("spool",), ("lib",), ("log",), ("mail",)):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SystemExit("posthouse run: started by root, and setpriv(1) is not here; run it as another user")
    rights = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--no-new-privs"]
    python = os.path.realpath(sys.executable)
    probe = subprocess.run([setpriv, *rights, python, "-c", ""], check=False, capture_output=True)  # noqa: S603 - ours
    keep = "+dac_read_search" if probe.returncode else "-all"
    caps = ["--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all"]
    if keep != "-all":
        caps = [f"--inh-caps=-all,{keep}", f"--bounding-set=-all,{keep}", f"--ambient-caps=-all,{keep}"]
        _say(f"note: user {account.pw_name} may not read {python}; the run keeps the capability to read files")
    _say(f"started by root: going on as user {account.pw_name}")
    os.execv(setpriv, [setpriv, *rights, *caps, sys.executable, "-m", "posthouse.commands.posthouse", "run"])  # noqa: S606


def _find_user() -> pwd.struct_passwd:
    for uid in (os.environ.get("SUDO_UID", ""), str(os.stat(".").st_uid)):
        if uid.isascii() and uid.isdigit() and int(uid) != 0:
            return pwd.getpwuid(int(uid))
    return pwd.getpwnam("nobody")
