"""sendmail(1) called in every wrong way: it is its caller and nobody else, and no half message is sent."""

import os
import resource
import shutil
from collections.abc import Callable

import pytest

from tests.support.attacker import Walls, act, execute
from tests.support.instance import Instance
from tests.support.servers import OURS

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
CONTENT = b"Subject: marked\n\nthe whole message, with its end\n"
END = "with its end"


def state(server: Instance) -> list[tuple[str, int, int, int]]:
    """Every file below the system's directories with its owner and mode; what moves on its own apart."""
    found = []
    for root in (server.queue_directory, server.data_directory, server.config_directory):
        for path in sorted(root.rglob("*")):
            if "posthouse" not in path.parts[-2:-1]:
                status = path.lstat()
                found.append((str(path), status.st_uid, status.st_gid, status.st_mode))
    return found


def test_environments(walls: Start) -> None:
    """Variables of the interpreter, the loader, the locale and ours: the message is the caller's, or there is none."""
    system = walls()
    home = system.mallory.home
    system.mallory.write(home / "sitecustomize.py", f"import os\nos.system('id -u >> {home}/ran')\n")
    own = home / "etc"
    act(system.mallory, shutil.copytree, system.server.config_directory, own)
    main_cf = (own / "main.cf").read_text() + "mail_owner = root\nauthorized_submit_users = static:all\n"
    system.mallory.write(own / "main.cf", main_cf.replace("myhostname = ", "myhostname = forged."))
    before = state(system.server)
    environments = [
        {"PYTHONPATH": str(home), "PYTHONHOME": "", "PYTHONINSPECT": "1", "PYTHONWARNINGS": "error"},
        {"PYTHONSTARTUP": "/etc/shadow", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "ascii"},
        {"TZ": ":/etc/shadow"}, {"TZ": "../../../../etc/passwd"}, {"TZ": "X" * 5000},
        {"HOME": "/root"}, {"HOME": ""}, {"NAME": "Root\nBcc: root"}, {"NAME": "\udcff\x1b[2J" * 100},
        {"MAIL_LOGTAG": "a\nb", "MAIL_DEBUG": "1", "MAIL_VERBOSE": "1"}, {"LANG": "xx_XX", "LC_ALL": "\udcff"},
        {"USER": "root", "LOGNAME": "root", "SUDO_UID": "0"}, {"LD_LIBRARY_PATH": str(home), "IFS": "/", "PATH": ""},
        {"MAIL_CONFIG": str(own)}, {"LISTEN_FDS": "3", "LISTEN_PID": "1"},
    ]  # fmt: skip
    taken = 0
    for environment in environments:
        content = CONTENT.replace(b"marked", b"marked%d" % taken)
        where = () if "MAIL_CONFIG" in environment else ("-C", str(system.server.config_directory))
        words = (str(OURS / "sendmail"), *where, "-i", system.mallory.name)
        done = execute(system.mallory, words, stdin=content, environment=environment)
        taken += done.returncode == 0
    assert taken > 10
    system.wait_mail(system.mallory, f"marked{taken - 1}")
    found = system.mailbox(system.mallory)
    assert found.count(END) == found.count("Subject: marked") >= taken
    assert found.count("from userid ") == found.count(f"from userid {system.mallory.uid})") >= taken
    assert "forged" not in found
    ran = home / "ran"  # the interpreter ran his code, as him
    assert not ran.exists() or set(ran.read_text().split()) == {str(system.mallory.uid)}
    system.unharmed()
    assert state(system.server) == before


def closed(*descriptors: int) -> Callable[[], object]:
    """Close descriptors before the program starts."""
    return lambda: list(map(os.close, descriptors))


def limited(name: int, value: int) -> Callable[[], object]:
    """Set a limit before the program starts."""
    return lambda: resource.setrlimit(name, (value, value))


def test_closed_descriptors_and_small_limits(walls: Start) -> None:
    """Closed standard descriptors, no room in files, no descriptors, no memory, no permissions for new files."""
    system = walls()
    prepared: list[Callable[[], object]] = [
        closed(1, 2),
        closed(0),
        closed(0, 1, 2),
        lambda: os.umask(0o777),
    ]
    prepared += [limited(resource.RLIMIT_FSIZE, size) for size in (0, 100)]
    prepared += [limited(resource.RLIMIT_NOFILE, count) for count in (3, 5)]
    prepared += [limited(resource.RLIMIT_AS, size << 20) for size in (1, 30)]
    prepared += [limited(resource.RLIMIT_CPU, 1), limited(resource.RLIMIT_NPROC, 1)]
    for down in (False, True):
        if down:
            system.server.stop()
        taken = 0
        for prepare in prepared:
            argv = [str(OURS / "sendmail"), "-C", str(system.server.config_directory), "-i", system.mallory.name]
            taken += execute(system.mallory, argv, stdin=CONTENT, prepare=prepare).returncode == 0
        assert taken >= 3
    files = [path for path in (system.server.queue_directory / "maildrop").iterdir() if path.stat().st_mode & 0o444]
    for path in files:
        assert path.stat().st_uid == system.mallory.uid
        assert path.read_bytes()[-5:-4] == b"E"  # the end record
    system.server.start_and_greet()
    system.server.wait_queue_empty(20)
    found = system.mailbox(system.mallory)
    assert found.count(END) == found.count("Subject: marked")


def test_names_and_options_that_lead_elsewhere(walls: Start) -> None:
    """argv[0] of another command, options that name files, addresses that look like options: as the caller, or not."""
    system = walls()
    sendmail, etc = str(OURS / "sendmail"), str(system.server.config_directory)
    secret = system.server.directory / "secret"
    secret.write_text("only root may read this\n")
    secret.chmod(0o600)
    before = state(system.server)
    lines = [
        [sendmail, "-C", str(secret), "-i", system.mallory.name],
        [sendmail, "-C", "/etc/shadow", "-bp"],
        [sendmail, "-C", etc, f"-oA{secret}", "-bi"],
        [sendmail, "-C", etc, "-oA/etc/passwd", "-I"],
        [sendmail, "-C", etc, f"-X{secret}", "-oQ/tmp", "-oee", "-ODefaultUser=0", "-i", system.mallory.name],
        [sendmail, "-C", etc, "-bd"],
        [sendmail, "-C", etc, "-bl"],
        [sendmail, "-C", etc, "-q1h"],
        [sendmail, "-C", etc, "-qI../../etc/passwd"],
        [sendmail, "-C", etc, "-qR" + "x" * 10_000],
        [
            sendmail,
            "-C",
            etc,
            "-f",
            "-bd\n",
            "-i",
            "--",
            "-bd",
            "-C/etc/shadow",
            "|id",
            "/etc/passwd",
            ":include:/etc/shadow",
        ],
        [sendmail, "-C", etc, "-i", "-t", "-F", "a\r\nBcc: b", "-V", "x" * 10_000, "-N", "always", "-B", "8BITMIME"],
        [str(OURS / "newaliases"), "-C", etc],
        [str(OURS / "postalias"), "-c", etc, f"texthash:{secret}"],
        [str(OURS / "postfix"), "-c", etc, "stop"],
        [str(OURS / "postfix"), "-c", etc, "reload"],
        [str(OURS / "postfix"), "-c", etc, "set-permissions"],
        [str(OURS / "postconf"), "-c", etc, "-e", "mail_owner=root"],
    ]
    said = b""
    for line in lines:
        done = execute(system.mallory, line, stdin=CONTENT)
        said += done.stdout + done.stderr
    for name in ("mailq", "newaliases", "-sendmail", "", "x\ny", "/"):
        done = execute(system.mallory, ["/bin/bash", "-c", 'exec -a "$0" "$@"', name, sendmail, "-C", etc, "x"])
        said += done.stdout + done.stderr
    assert b"only root may read" not in said
    assert b"root:" not in said
    assert b"Traceback" not in said, said[said.index(b"Traceback") :]
    system.unharmed()
    assert state(system.server) == before
    assert secret.stat().st_mode & 0o777 == 0o600
