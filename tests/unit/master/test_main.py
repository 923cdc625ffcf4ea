"""master's command line and surroundings, in processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from posthouse.ipc.orders_stream import format_failed
from posthouse.master.main import clean_environment, main, parse_arguments
from tests.unit.master.rig import Rig, wait_until

START = "import sys; from posthouse.master.main import main; from posthouse.master.helpers import Launch; "


def _master(tmp_path: Path, *argv: str, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run master with an orders process that only says what is wrong, and a warm that waits for its end."""
    (tmp_path / "failed").write_bytes(format_failed("main.cf:1: no"))
    script = f"cat {tmp_path}/failed >&3"
    warm = "exec cat <&3 >/dev/null"
    launch = f"Launch(('/bin/sh', '-c', {script!r}), ('/bin/sh', '-c', {warm!r}), environment={{}}, early='')"
    code = f"{START}sys.exit(main(sys.argv[1:], {launch}))"
    command = [sys.executable, "-I", "-c", code, *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_arguments_are_pairs() -> None:
    """-c DIRECTORY and -r DESCRIPTOR; what is no small number is none."""
    assert parse_arguments([]) == ("/etc/postfix", -1)
    assert parse_arguments(["-c", "/x", "-r", "7"]) == ("/x", 7)
    for text in ("-1", "1000", "x", "\u0661", "1_0", ""):
        assert parse_arguments(["-r", text]) == ("/etc/postfix", -1)


def test_the_environment_is_clean() -> None:
    """Names that are known, and a PATH of our own."""
    before = {"TZ": "UTC", "PATH": "/tmp", "LD_PRELOAD": "x", "HOME": "/root"}
    assert clean_environment(before) == {"LANG": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def test_a_failure_goes_to_standard_error_or_to_the_pipe(tmp_path: Path) -> None:
    """With -r whoever started it hears; a closed descriptor is nobody to tell."""
    done = _master(tmp_path, "-c", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "postfix/master: fatal: main.cf:1: no\n")
    reader, writer = os.pipe()
    done = _master(tmp_path, "-r", str(writer), pass_fds=[writer])
    os.close(writer)
    assert (done.returncode, done.stderr, os.read(reader, 100)) == (1, "", b"main.cf:1: no")
    os.close(reader)
    done = _master(tmp_path, "-r", "900")
    assert (done.returncode, done.stderr) == (1, "")


def test_what_it_starts_by_itself_gets_the_clean_environment(tmp_path: Path) -> None:
    """Without a launch of the tests' own: the real orders process, which finds no configuration here."""
    command = [sys.executable, "-I", "-m", "posthouse.master", "-c", str(tmp_path / "none")]
    kept = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**kept, "A": "b"})
    assert "there is no such directory" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("which", ["getresuid", "getresgid"])
def test_it_refuses_to_be_set_uid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    """A real id that differs from the effective one: somebody else started it with the rights of a file."""
    monkeypatch.setattr(os, which, lambda: (4242, os.geteuid(), 0))
    assert main([]) == 1
    assert "set-uid" in capsys.readouterr().err


def test_a_success_is_told_nowhere_but_in_the_pipe() -> None:
    """On a terminal nothing is said; it runs until it is told to stop."""
    rig = Rig({"name": "echo", "package": "echo"})
    try:
        argv = [sys.executable, "-I", str(Path(__file__).parent / "fakes" / "fake_master.py"), "-c", str(rig.directory)]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, user=rig.uid, group=rig.uid) as process:
            rig.wait_log("daemon started")
            assert rig.connect("echo").echoes()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
    finally:
        rig.close()


def test_more_processes_than_the_usual_limit_of_descriptors() -> None:
    """Each is a descriptor of master's: the hard limit counts for it, or the thousandth would be its end."""
    rig = Rig(*({"name": f"echo{number}", "package": "single", "prefork": True} for number in range(40)))
    try:
        assert rig.start(descriptors=64) == "ok"
        wait_until(lambda: len(rig.named("single")) == 40, "not all processes")
    finally:
        rig.close()
