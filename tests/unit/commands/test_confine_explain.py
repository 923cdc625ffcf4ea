"""posthouse confine explain: what is said of each kind of line."""

import io
import json
import os
import re
from pathlib import Path

import pytest

from posthouse.commands.confine import messages
from posthouse.commands.confine.explain import main
from posthouse.commands.confine.messages import Denial, parse

AUDIT = 'auid=4294967295 uid=994 gid=993 ses=4294967295 pid=77 comm="{comm}" exe="/usr/bin/python3.11"'
SECCOMP = "type=1326 audit(1700000000.123:45): {audit} sig=0 arch={arch} syscall={number} compat=0 ip=0x7f code=0x50001"
OURS = "Nov 23 03:00:00 mail postfix/{program}[4242]: error: the kernel refused an operation ({why}){rest}; {see}"
SEE = "see posthouse confine explain"
PLACE = " in open_it, line 20 of /opt/posthouse/tables/x.py: {code}"
DECLARED = re.compile(r"(/\S+/daemons/(\w+)/daemon\.py):(\d+)")


def seccomp(comm: str, number: int, arch: str = "c000003e") -> str:
    """Make a record of the filter of system calls."""
    return SECCOMP.format(audit=AUDIT.format(comm=comm), arch=arch, number=number)


def apparmor(fields: str) -> str:
    """Make a line of AppArmor's."""
    return f'audit: type=1400 audit(1.1:51): apparmor="DENIED" {fields}'


def selinux(rights: str, fields: str, daemon: str, kind: str) -> str:
    """Make a line of SELinux's."""
    who = f"scontext=system_u:system_r:posthouse_{daemon}_t:s0 tcontext=system_u:object_r:x_t:s0 tclass={kind}"
    return f"type=AVC msg=audit(2.2:52): avc:  denied  {{ {rights} }} for  pid=9 {fields} {who} permissive=0"


def landlock(fields: str, comm: str) -> str:
    """Make two records of Landlock's: what was refused, and whose domain that is."""
    return f'type=1423 audit(1:1): domain=1 blockers={fields}\ntype=1424 audit(1:1): domain=1 comm="{comm}"'


def ours(program: str, why: str, rest: str) -> str:
    """Make a line as skeleton/confined.py has it logged."""
    return OURS.format(program=program, why=why, rest=rest, see=SEE)


@pytest.fixture
def etc(tmp_path: Path) -> str:
    """Give a configuration directory."""
    (tmp_path / "main.cf").write_text(
        "compatibility_level = 3.11\nqueue_directory = /srv/queue\n"
        "smtpd_client_restrictions = check_client_access cidr:/etc/mail/clients\n"
    )
    return str(tmp_path)


def explain(etc: str, capsys: pytest.CaptureFixture[str], *lines: str) -> str:
    """Run the command on some lines."""
    assert main(["-c", etc, "\n".join(lines)]) == 0
    return capsys.readouterr().out


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            ours("smtpd", "Permission denied", " '/srv/x.lmdb'" + PLACE.format(code="file = open(path)")),
            Denial("the kernel", "smtpd", messages.READ, "/srv/x.lmdb"),
        ),
        (
            ours("qmgr", "Permission denied", " '/srv/x'" + PLACE.format(code="os.open(path, os.O_WRONLY)")),
            Denial("the kernel", "qmgr", messages.WRITE, "/srv/x"),
        ),
        (
            ours("submission/smtpd", "Operation not permitted", PLACE.format(code="socket.socket(socket.AF_INET)")),
            Denial("the kernel", "smtpd", messages.CALL, "socket", capability=True),
        ),
        (seccomp("smtpd", 101), Denial("seccomp", "smtpd", messages.CALL, "ptrace")),
        (seccomp("smtpd", 117, "c00000b7"), Denial("seccomp", "smtpd", messages.CALL, "ptrace")),
        (seccomp("smtpd", 9999), Denial("seccomp", "smtpd", messages.CALL, "system call 9999")),
        (apparmor('operation="open" profile="posthouse-local" name="/srv/aliases" comm="python3" denied_mask="r"'),
         Denial("AppArmor", "local", messages.READ, "/srv/aliases")),
        (apparmor('operation="mknod" profile="posthouse-smtpd" name="/tmp/x" requested_mask="c" denied_mask="c"'),
         Denial("AppArmor", "smtpd", messages.WRITE, "/tmp/x")),
        (apparmor('operation="create" profile="posthouse-smtpd" family="inet" sock_type="stream" denied_mask="create"'),
         Denial("AppArmor", "smtpd", messages.CALL, "socket inet")),
        (selinux("write", 'comm="postlogd" name="maillog"', "postlogd", "file"),
         Denial("SELinux", "postlogd", messages.WRITE, "maillog")),
        (selinux("name_connect", 'comm="smtpd" dest=25', "smtpd", "tcp_socket"),
         Denial("SELinux", "smtpd", messages.CONNECT, "25")),
        ("postfix/master[1]: warning: process smtpd pid 77 killed by signal 31 (a system call that its rules",
         Denial("seccomp", "smtpd", messages.CALL, "by the convention of another machine, or of x32 (SIGSYS)")),
    ],
)  # fmt: skip
def test_a_line_is_understood(line: str, expected: Denial) -> None:
    """Who, what and by which wall."""
    assert parse([line]) == [expected]


@pytest.mark.parametrize(
    ("blockers", "rest", "what", "detail"),
    [
        ("fs.read_file", 'path="/etc/x" dev="vda2" ino=1', messages.READ, "/etc/x"),
        ("fs.make_reg,fs.refer", 'path="/tmp" dev="vda2" ino=1', messages.WRITE, "/tmp"),
        ("net.connect_tcp", "daddr=192.0.2.1 dest=25", messages.CONNECT, "25"),
        ("net.bind_tcp", "saddr=127.0.0.1 src=2525", messages.BIND, "2525"),
        ("scope.signal", 'opid=1 ocomm="systemd"', messages.SIGNAL, "systemd"),
        ("ptrace", 'opid=1 ocomm="master"', messages.TRACE, "master"),
    ],
)
def test_landlock_names_a_domain_and_another_line_the_process(blockers: str, rest: str, what: str, detail: str) -> None:
    """By the domain, or by the number of the record; without either nobody is named."""
    denied = f"type=1423 audit(1.2:50): domain=195ba459b blockers={blockers} {rest}"
    domain = 'type=1424 audit(1.1:49): domain=195ba459b status=allocated mode=enforcing pid=3 comm="virtual"'
    call = 'type=1300 audit(1.2:50): arch=c000003e syscall=257 success=no exit=-13 comm="cleanup"'
    expected = Denial("Landlock", "", what, detail)
    assert parse([denied]) == [expected]
    assert [denial.program for denial in parse([domain, denied])] == ["virtual"]
    assert [denial.program for denial in parse([denied, call])] == ["cleanup"]


def test_a_line_of_the_json_log_is_the_same() -> None:
    """log_format = json."""
    text = "error: the kernel refused an operation (Permission denied) '/etc/x'; see posthouse confine explain"
    line = json.dumps({"program": "postfix/cleanup", "pid": 7, "message": text})
    assert parse([line]) == [Denial("the kernel", "cleanup", messages.READ, "/etc/x")]


def test_what_is_no_denial_is_passed_over(capsys: pytest.CaptureFixture[str], etc: str) -> None:
    """Other lines between them are no trouble; with nothing else the exit status says so."""
    assert (
        parse(["", "postfix/smtpd[1]: connect from x", "{broken", '{"message": 3}', "type=1300 audit(1:2): x=y"]) == []
    )
    assert main(["-c", etc, "postfix/smtpd[1]: connect from x"]) == 1
    assert "none of these lines" in capsys.readouterr().err
    assert main(["-x"]) == 64


# --- advice ----------------------------------------------------------------------------------------------------------


def test_a_file_becomes_a_table_or_a_declaration(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With file and line of the declaration, which is there."""
    said = explain(etc, capsys, ours("smtpd", "Permission denied", " '/srv/x'" + PLACE.format(code="open(path)")))
    assert "name it as a table in a parameter that this daemon reads" in said
    assert 'reads=("/srv/x",) in Privileges(' in said
    match = DECLARED.search(said)
    assert match is not None
    path, package, line = match.groups()
    assert package == "smtpd"
    assert "Privileges(" in Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        (seccomp("trivial_rewrite", 56), "threads=True in Privileges( at "),
        (seccomp("cleanup", 41), 'network=("connect",) in Privileges( at '),
        (seccomp("smtpd", 83), 'writes=("DIRECTORY",) in Privileges( at '),
        (ours("pickup", "Permission denied", " '/srv/d/x'" + PLACE.format(code="os.unlink(x)")), 'writes=("/srv/d",)'),
        (landlock("net.connect_tcp dest=25", "bounce"), 'network=("connect",) in Privileges( at '),
    ],
)  # fmt: skip
def test_the_field_that_would_allow_it_is_named(
    etc: str, capsys: pytest.CaptureFixture[str], line: str, advice: str
) -> None:
    """What the filter would let through with another declaration is found out from the filter itself."""
    assert advice in explain(etc, capsys, line)


@pytest.mark.parametrize(
    "line",
    [
        seccomp("smtpd", 101),  # ptrace
        seccomp("smtpd", 59),  # execve
        seccomp("smtpd", 425),  # io_uring_setup
        seccomp("smtpd", 9999),
        ours("cleanup", "Permission denied", " '/etc/shadow'" + PLACE.format(code="open(p)")),
        ours("smtpd", "Permission denied", " '/srv/queue/posthouse/queue.db'" + PLACE.format(code="open(p)")),
        landlock('scope.signal ocomm="qmgr"', "smtpd"),
        landlock("net.bind_tcp src=25", "smtpd"),
        apparmor('operation="capable" profile="posthouse-smtpd" capname="sys_admin"'),
    ],
)
def test_what_should_stay_refused_is_said(etc: str, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """No declaration is offered."""
    said = explain(etc, capsys, line)
    assert "should stay refused" in said
    assert "Privileges(" not in said


def test_what_the_rules_allow_is_a_matter_of_permissions(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A table that is named already, and that the user may not read."""
    said = explain(
        etc, capsys, ours("smtpd", "Permission denied", " '/etc/mail/clients'" + PLACE.format(code="open(p)"))
    )
    assert "the rules allow it already" in said
    assert "postfix reload" in said


def test_policies_must_be_made_anew(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """AppArmor and SELinux hold what was generated once."""
    line = 'apparmor="DENIED" operation="open" profile="posthouse-local" name="/srv/a" denied_mask="r"'
    assert "posthouse policies" in explain(etc, capsys, line)


def test_others_denials_are_named_as_such(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine's audit log has more than ours."""
    assert "no daemon of Posthouse" in explain(etc, capsys, seccomp("firefox", 101))


def test_lines_come_from_standard_input_and_equal_ones_once(
    etc: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `posthouse confine explain - </var/log/mail.log` gives them."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{seccomp('smtpd', 101)}\n" * 3 + f"{seccomp('local', 101)}\n"))
    assert main(["-c", etc, "-"]) == 0
    assert capsys.readouterr().out.count("ptrace") == 2


def test_the_same_as_json(etc: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels and texts of the lines, for programs."""
    assert main(["-c", etc, seccomp("trivial_rewrite", 56)]) == 0
    text = capsys.readouterr().out
    assert main(["-c", etc, "--json", seccomp("trivial_rewrite", 56)]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    lines = [
        ("daemon", shown["daemon"]),
        ("refused", shown["refused"]),
        ("by", shown["by"]),
        *map(tuple, shown["advice"]),
    ]
    assert text == "".join(f"{label:<10} {words}\n" for label, words in lines)


def test_a_broken_configuration_still_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the message itself says, and where the declaration is."""
    os.rmdir(tmp_path)
    assert main(["-c", str(tmp_path), seccomp("trivial_rewrite", 56)]) == 0
    captured = capsys.readouterr()
    assert "without the configuration" in captured.err
    assert "threads=True" in captured.out
