"""The SELinux module, in Debian's whole policy with its neverallow rules, allows what was meant and no more."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from posthouse.commands.orders.begin import Files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.policies.selinux import selinux_te
from posthouse.commands.policies.selinux_files import selinux_fc, selinux_if
from posthouse.commands.policies.system import System, daemons, default_system, describe
from tests.support.policy_tools import PYTHON, build_module, link_policy, need_tools, run, tool

ODD = b"""\
queue_directory = /srv/queue.{2}
maillog_file = /srv/log/mail.log
maillog_file_prefixes = /srv
relocated_maps = tcp:127.0.0.1:1999
virtual_alias_maps = socketmap:unix:/run/maps/socket:aliases
virtual_mailbox_base = /srv/boxes
alias_maps = texthash:/srv/tables/aliases
"""
_RULE = re.compile(r"^allow (\S+) (\S+):(\S+) (?:\{ ([^}]*) \}|(\S+));")
CLASSES = "tcp_socket,process,capability,capability2,cap_userns,file,sock_file"


class Linked(NamedTuple):
    """The policy with our module, and what the compiler said of one with a module that must not pass."""

    directory: Path
    broken: subprocess.CompletedProcess[str]


class Rule(NamedTuple):
    """One allow rule as sesearch prints it."""

    source: str
    target: str
    kind: str
    rights: frozenset[str]


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Linked:
    """Link Debian's policy with our module, and at the same time with one that breaks a rule of Debian's besides."""
    need_tools()
    good, bad = tmp_path_factory.mktemp("selinux"), tmp_path_factory.mktemp("bad")
    write_module(good, default_system())
    module = build_module(good, "posthouse")
    (bad / "bad.te").write_text(
        "policy_module(bad, 1.0)\ngen_require(`\n\ttype posthouse_smtpd_t, shadow_t;\n')\n"
        "allow posthouse_smtpd_t shadow_t:file read_file_perms;\n"
    )
    with ThreadPoolExecutor(2) as threads:
        ours = threads.submit(link_policy, good, module)
        broken = threads.submit(link_policy, bad, module, build_module(bad, "bad"))
    result = ours.result()
    assert result.returncode == 0, result.stdout + result.stderr
    return Linked(good, broken.result())


@pytest.fixture(scope="module")
def directory(linked: Linked) -> Path:
    """Give the directory where the module was built and linked."""
    return linked.directory


@pytest.fixture(scope="module")
def rules(directory: Path) -> list[Rule]:
    """Give every rule whose source is one of our domains."""
    return list(_search(directory, "-s", "posthouse_domain", "-c", CLASSES))


def write_module(place: Path, system: System) -> None:
    """Write the module's three files."""
    for name, text in (("te", selinux_te(system)), ("fc", selinux_fc(system)), ("if", selinux_if(system))):
        (place / f"posthouse.{name}").write_text(text, encoding="utf-8")


def _search(directory: Path, *options: str) -> Iterator[Rule]:
    found = run(PYTHON, tool("sesearch"), "-A", *options, directory / "policy")
    assert found.returncode == 0, found.stderr
    for line in found.stdout.splitlines():
        match = _RULE.match(line)
        if match is not None:
            yield Rule(match[1], match[2], match[3], frozenset((match[4] or match[5]).split()))


def _pairs(rules: list[Rule], kind: str, *rights: str) -> set[tuple[str, str]]:
    """Who may do one of these to whom; names without prefix and suffix."""
    wanted = [rule for rule in rules if rule.kind == kind and rule.rights & set(rights)]
    return {(_short(rule.source), _short(rule.target)) for rule in wanted}


def _short(name: str) -> str:
    return name.removeprefix("posthouse_").removesuffix("_t")


def test_a_module_for_odd_places_compiles(tmp_path: Path) -> None:
    """Paths with characters that mean something in an expression, a port of its own, chroot."""
    need_tools()
    master = b"127.0.0.1:2525 inet n - y - - smtpd\nrewrite unix - - n - - trivial-rewrite\n"
    master += b"127.0.0.1:9154 inet n - n - - metrics\n"
    write_module(tmp_path, describe(parse_configuration(Files("/etc/mail+(2)", ODD, master))))
    build_module(tmp_path, "posthouse")
    rules_text = (tmp_path / "posthouse.te").read_text(encoding="utf-8")
    assert "semanage port -a -t smtp_port_t -p tcp 2525" in rules_text
    assert "allow posthouse_smtpd_t self:capability { sys_chroot };" in rules_text
    assert "type posthouse_metrics_t" in rules_text
    labels = (tmp_path / "posthouse.fc").read_text(encoding="utf-8").splitlines()
    assert "/srv/queue\\.\\{2\\}\t-d\tgen_context(system_u:object_r:posthouse_queue_t,s0)" in labels
    assert "/etc/mail\\+\\(2\\)/.*\t\tgen_context(system_u:object_r:posthouse_etc_t,s0)" in labels


def test_neverallow_rules_are_on(linked: Linked) -> None:
    """A module that reads the shadow file without the attribute for it does not link; so what links means something."""
    assert linked.broken.returncode != 0
    assert "neverallow" in (linked.broken.stdout + linked.broken.stderr)


def test_only_the_clients_connect_out(rules: list[Rule]) -> None:
    """smtp to SMTP and LMTP ports (to all when the administrator says so), dns to name servers."""
    assert _pairs(rules, "tcp_socket", "name_connect") == {
        ("dns", "dns_port"),
        ("smtp", "smtp_port"),
        ("smtp", "lmtp_port"),
        ("smtp", "port_type"),
    }


def test_only_master_binds_ports(rules: list[Rule]) -> None:
    """Daemons get their listening sockets from it."""
    ports = {pair for pair in _pairs(rules, "tcp_socket", "name_bind") if not pair[1].endswith("ephemeral_port")}
    assert {source for source, _ in ports} <= {"master"}
    assert ("master", "smtp_port") in ports


def test_domains_are_left_where_they_must_be_and_nowhere_else(rules: list[Rule]) -> None:
    """By dyntransition from master, warm and runas, by exec from a recipient's command alone."""
    programs = {("command", name) for name in ("dovecot_deliver", "mailman_mail", "procmail", "spamc")}
    assert _pairs(rules, "process", "transition") == programs
    assert _pairs(rules, "process", "setexec") == set()
    names = {_short(daemon.name.replace("-", "_")) for daemon in daemons()} - {"metrics"}  # not in master.cf
    from_warm = {("warm", name) for name in (*names, "runas")}
    others = {("master", "orders"), ("master", "warm"), ("runas", "mailbox"), ("runas", "command")}
    assert _pairs(rules, "process", "dyntransition") == from_warm | others
    changing = {source for source, _ in _pairs(rules, "process", "setcurrent")}
    assert changing == {"master", "warm", "runas"}


def test_a_domain_has_no_program_as_its_door(rules: list[Rule]) -> None:
    """Only master is entered by running something, and by its own file."""
    assert _pairs(rules, "file", "entrypoint") == {("master", "exec")}


def test_only_init_enters(directory: Path) -> None:
    """Nobody else's process becomes one of ours."""
    into = _search(directory, "-t", "posthouse_domain", "-c", "process", "-p", "transition,dyntransition")
    assert {(rule.source, rule.target) for rule in into if not rule.source.startswith("posthouse_")} == {
        ("init_t", "posthouse_master_t"),
        ("initrc_t", "posthouse_master_t"),
    }


def test_rights_of_root_are_those_of_the_parts_that_are_root(rules: list[Rule]) -> None:
    """No daemon has any; nobody overrides permissions of files, administers the system or changes its root."""
    found = {_short(rule.source): rule.rights for rule in rules if rule.kind.startswith("cap")}
    assert found == {
        "master": {"net_bind_service", "kill", "dac_read_search"},
        "warm": {"setuid", "setgid", "setpcap"},
        "runas": {"setuid", "setgid"},
        "orders": {"setuid", "setgid", "dac_read_search"},
    }


def test_only_a_recipients_command_runs_a_shell(rules: list[Rule]) -> None:
    """master runs the interpreter; nothing else executes anything."""
    runs = _pairs(rules, "file", "execute_no_trans")
    assert runs == {("master", "bin"), ("master", "exec"), ("command", "bin"), ("command", "shell_exec")}


def test_lent_mail_is_read_and_not_opened(rules: list[Rule]) -> None:
    """Only qmgr opens what is in the queue; delivery agents get descriptors."""
    assert {source for source, _ in _pairs(_to(rules, "content"), "file", "read")} > {"smtp", "local", "mailbox"}
    assert _pairs(_to(rules, "content"), "file", "open") == {("qmgr", "content")}
    assert _pairs(_to(rules, "store"), "file", "open", "read", "write") == {("qmgr", "store")}


def test_sockets_are_reached_by_who_declares_them(rules: list[Rule]) -> None:
    """A broken smtpd talks to five services, and to no delivery agent."""
    reached = {target for source, target in _pairs(rules, "sock_file", "write") if source == "smtpd"}
    ours = {target for target in reached if target.endswith("_sock")}
    private = {f"private_{name}_sock" for name in ("dns", "governor", "proxymap", "rewrite")}
    assert ours == {"public_cleanup_sock", *private}


def test_every_file_of_the_system_gets_a_label(directory: Path) -> None:
    """Our entries stand beside those that Debian's policy has for the same directories."""
    contexts = (directory / "contexts").read_text(encoding="utf-8")
    for path, kind in (
        ("/var/spool/postfix/posthouse/spool/.*", "content"),
        ("/var/spool/postfix/maildrop/.*", "maildrop"),
        ("/var/spool/postfix/private/smtp", "private_smtp_sock"),
        ("/opt/posthouse/bin/postfix", "exec"),
    ):
        line = next(line for line in contexts.splitlines() if line.split("\t")[0] == path)
        assert f"posthouse_{kind}_t" in line
    assert "postfix_spool_t" in contexts


def _to(rules: list[Rule], target: str) -> list[Rule]:
    return [rule for rule in rules if _short(rule.target) == target]
