"""The AppArmor profiles compile with Debian's parser, and say what the declarations say."""

import re
from pathlib import Path

import pytest

from posthouse.commands.orders.begin import Files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.policies.apparmor import apparmor
from posthouse.commands.policies.roots import PARTS
from posthouse.commands.policies.system import System, daemons, default_system, describe
from tests.support.policy_tools import PLACE, need_tools, run, tool

ODD = b"""\
queue_directory = /srv/mail queue/{odd}
maillog_file = /srv/log #1/mail.log
maillog_file_prefixes = /srv
relocated_maps = tcp:127.0.0.1:1999
virtual_alias_maps = socketmap:unix:/run/maps/socket:aliases
virtual_mailbox_base = /srv/boxes=all
alias_maps = texthash:/srv/tables#more/aliases
virtual_transport = lmtp:unix:private/dovecot-lmtp
"""


def compile_profiles(directory: Path, text: str) -> tuple[int, str]:
    """Compile without loading: exit status, and the names of the profiles or what is wrong."""
    (directory / "profiles").write_text(text, encoding="utf-8")
    parser = [tool("apparmor_parser"), "-b", str(PLACE / "etc/apparmor.d"), "-Q", "-K"]
    compiled = run(*parser, "-o", directory / "binary", directory / "profiles")
    if compiled.returncode:
        return compiled.returncode, compiled.stderr
    return 0, run(*parser, "-N", directory / "profiles").stdout


def profiles(text: str) -> dict[str, str]:
    """Give the body of each profile by name."""
    return dict(re.findall(r"^profile (\S+) [^{]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))


@pytest.fixture(params=["default", "odd"])
def system(request: pytest.FixtureRequest) -> System:
    """Give a system in Debian's places, and one whose paths have every character that means something in a profile."""
    if request.param == "default":
        return default_system()
    return describe(parse_configuration(Files("/etc/postfix", ODD, None)))


def test_the_profiles_compile(system: System, tmp_path: Path) -> None:
    """One for each part and daemon, by the name that enter_domain asks for."""
    need_tools()
    status, said = compile_profiles(tmp_path, apparmor(system))
    assert status == 0, said
    names = {"posthouse", *(f"posthouse-{part.name}" for part in PARTS if part.name != "master")}
    names |= {f"posthouse-{daemon.name}" for daemon in daemons() if daemon.name != "metrics"}  # not in master.cf
    assert set(said.split()) == names


def test_a_daemon_that_is_turned_on_has_a_profile(tmp_path: Path) -> None:
    """metrics runs where master.cf has a line for it."""
    need_tools()
    master = b"127.0.0.1:9154 inet n - n - - metrics\n"
    text = apparmor(describe(parse_configuration(Files("/etc/postfix", b"", master))))
    status, said = compile_profiles(tmp_path, text)
    assert status == 0, said
    assert "posthouse-metrics" in said.split()


def test_the_parser_would_find_mistakes(tmp_path: Path) -> None:
    """A capability that does not exist, or half a rule, is an error: so a profile that compiles means something."""
    need_tools()
    text = apparmor(default_system())
    assert compile_profiles(tmp_path, text.replace("capability setpcap,", "capability set_pcap,"))[0] != 0
    assert compile_profiles(tmp_path, text.replace("network netlink raw,", "network netlink raw"))[0] != 0


def test_only_the_parts_that_are_root_have_capabilities(system: System) -> None:
    """And none of them may override the permissions of files."""
    expected = {
        ("posthouse" if part.name == "master" else f"posthouse-{part.name}"): part.capabilities for part in PARTS
    }
    for name, body in profiles(apparmor(system)).items():
        assert tuple(re.findall(r"capability (\w+),", body)) == expected.get(name, ())
    assert "dac_override" not in apparmor(system)


def test_a_chrooted_daemon_may_change_its_root_and_no_other_may() -> None:
    """Column 5 of master.cf reaches the profile."""
    master = b"smtp inet n - y - - smtpd\nrewrite unix - - n - - trivial-rewrite\n"
    found = profiles(apparmor(describe(parse_configuration(Files("/etc/postfix", b"", master)))))
    chrooted = {name for name, body in found.items() if "capability sys_chroot," in body}
    assert chrooted == {"posthouse-smtpd"}


def test_nothing_leaves_for_an_unconfined_profile(system: System) -> None:
    """Programs run in their caller's profile or one of their own; only the three that must may change profile."""
    found = profiles(apparmor(system))
    for body in found.values():
        modes = re.findall(r'(?:\S|"[^"]*") ([a-zA-Z]+),$', body, re.MULTILINE)
        assert not [mode for mode in modes if "x" in mode.lower() and "u" in mode.lower()]
    changing = {name for name, body in found.items() if "change_profile" in body}
    assert changing == {"posthouse", "posthouse-warm", "posthouse-runas"}
    executing = {name for name, body in found.items() if re.search(r"[iPpCc]x,$", body, re.MULTILINE)}
    assert executing == {"posthouse", "posthouse-command"}


def test_only_who_talks_to_the_network_has_it(system: System) -> None:
    """A recipient's command may use it, as the recipient may; proxymap, where a table has a server."""
    proxymap = {"proxymap"} if system.settings.text("relocated_maps") else set()
    found = profiles(apparmor(system))
    with_tcp = {name.removeprefix("posthouse-") for name, body in found.items() if "network inet stream," in body}
    assert with_tcp == {"posthouse", "command", "dns", "smtp", "smtpd"} | proxymap


def test_sockets_are_those_that_are_declared(system: System) -> None:
    """smtpd reaches cleanup and no delivery agent."""
    body = profiles(apparmor(system))["posthouse-smtpd"]
    reached = set(re.findall(r"@\{posthouse_queue\}/(?:private|public)/(\S+) rw,", body))
    declared = {"cleanup", "rewrite", "dns", "proxymap", "governor"}
    assert declared <= reached <= {*declared, "postlog"}


def test_an_lmtp_socket_of_main_cf_is_reached_by_the_client_alone() -> None:
    """Dovecot's socket in private/ is named by virtual_transport."""
    found = profiles(apparmor(describe(parse_configuration(Files("/etc/postfix", ODD, None)))))
    assert {name for name, body in found.items() if "private/dovecot-lmtp rw," in body} == {"posthouse-smtp"}
