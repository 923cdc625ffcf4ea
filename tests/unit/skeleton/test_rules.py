"""From declarations and main.cf to rules: every table that a daemon opens, and nothing that it does not."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from posthouse import daemons
from posthouse.config.parameter import Parameter, Patterns
from posthouse.config.settings import Settings
from posthouse.confine.rules import Rules
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import (
    ACCOUNT_FILES,
    OWN_SOURCE,
    PUBLIC_SERVICES,
    REMOTE_TABLES,
    compute_rules,
    remote_specs,
)

NAMES = [module.name for module in pkgutil.iter_modules(daemons.__path__)]
# Whether there is any is all that these want to know; the tables are opened by trivial-rewrite.
ONLY_ASKED_WHETHER_EMPTY = {"sender_dependent_default_transport_maps", "sender_dependent_relayhost_maps"}
MAIN = {"queue_directory": "/var/spool/postfix", "maillog_file": "/var/log/mail.log"}


def daemon(name: str) -> Daemon:
    """Import a daemon's declaration."""
    found: Daemon = importlib.import_module(f"posthouse.daemons.{name}.daemon").DAEMON
    return found


def rules(name: str, *, has_runas: bool = True, **main: str) -> Rules:
    """Compute the rules of a daemon."""
    return compute_rules(daemon(name), Settings.from_mapping({**MAIN, **main}), has_runas=has_runas)


@pytest.mark.parametrize("name", NAMES)
def test_a_daemon_declares_the_lists_it_reads(name: str) -> None:
    """A list parameter that a module of the daemon names is among its parameters: from these come the rules."""
    declared = {row.name for row in daemon(name).parameters}
    package = importlib.import_module(f"posthouse.daemons.{name}")
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, Parameter) and isinstance(value, Patterns):
                assert value.name in declared | ONLY_ASKED_WHETHER_EMPTY, info.name


@pytest.mark.parametrize("name", NAMES)
def test_nobody_may_write_but_who_says_so(name: str) -> None:
    """Four daemons write: the queue, maildrop, the log, and what the governor has told. Two reach the network."""
    found = rules(name)
    places = {"qmgr": "posthouse", "pickup": "maildrop"}
    expected = {each: (f"{MAIN['queue_directory']}/{place}",) for each, place in places.items()}
    expected["governor"] = ("/var/lib/postfix/governor",)
    assert found.writes == expected.get(name, ())
    assert found.appends == ((MAIN["maillog_file"],) if name == "postlogd" else ())
    assert found.uses_network == (name in ("smtp", "dns"))
    assert found.udp == (name == "dns")
    assert not found.executes
    assert OWN_SOURCE in found.reads


def test_a_webhook_opens_its_port_and_no_other() -> None:
    """Without one there is no network at all."""
    assert rules("governor").tcp_connect == ()
    hooked = rules("governor", resource_notice_webhook="http://127.0.0.1:9095/x")
    assert (hooked.tcp_connect, hooked.tcp_bind, hooked.udp) == ((9095,), (), False)
    assert hooked.uses_network


def test_a_table_of_its_own_directory_gives_the_directory() -> None:
    """postmap may rename a new file into its place; in /etc a rule on the directory would open far too much."""
    found = rules("trivial_rewrite", transport_maps="hash:/etc/postfix/transport, texthash:/etc/routes")
    assert set(found.reads) == {"/etc/postfix", "/etc/routes", OWN_SOURCE}
    beside_the_queue = rules("trivial_rewrite", transport_maps="lmdb:/var/spool/transport")
    assert "/var/spool/transport.lmdb" in beside_the_queue.reads


def test_tables_everywhere_in_a_value() -> None:
    """In restriction lists, classes, composites, match lists and files of match lists."""
    found = rules(
        "smtpd",
        smtpd_sender_restrictions="check_sender_access cidr:/srv/a/x, mine",
        smtpd_restriction_classes="mine",
        mine="check_client_access pcre:/srv/b/x",
        mynetworks="!/srv/c/names, unionmap:{texthash:/srv/d/x, static:y}",
        local_recipient_maps="proxy:unix:passwd.byname hash:/srv/e/aliases",
    )
    assert {f"/srv/{letter}" for letter in "abcde"} <= set(found.reads)
    assert not found.accounts, "proxymap looks accounts up"
    assert rules("smtpd", local_recipient_maps="unix:passwd.byname").accounts


@pytest.mark.parametrize("name", ["smtpd", "cleanup", "trivial_rewrite"])
def test_what_rewriting_reads(name: str) -> None:
    """Who completes addresses must know what is local: a file with myorigin, and tables in mydestination."""
    found = rules(name, myorigin="/etc/mailname", mydestination="texthash:/srv/m/x, /srv/n/names")
    assert {"/etc/mailname", "/srv/m", "/srv/n"} <= set(found.reads)


def test_proxymap_opens_what_others_ask_it_for() -> None:
    """Of the same parameter smtpd gets nothing and proxymap the directory."""
    table = "proxy:texthash:/srv/boxes/x"
    assert "/srv/boxes" in rules("proxymap", virtual_mailbox_maps=table).reads
    assert "/srv/boxes" not in rules("smtpd", virtual_mailbox_maps=table).reads
    assert rules("proxymap", virtual_mailbox_maps="texthash:/srv/own/x", alias_maps="hash:/srv/a/x").reads == tuple(
        sorted((*ACCOUNT_FILES, OWN_SOURCE))
    )


def test_remote_tables_are_proxymaps_matter(tmp_path: Path) -> None:
    """Who names one gets nothing for it; proxymap gets what it needs, and nothing without such tables."""
    (tmp_path / "x.cf").write_text(
        "hosts = unix:/run/db, db.test\ntls_CAfile = /srv/ca/ca.pem\ndomain = cidr:/srv/d/x\n"
    )
    table = f"mysql:{tmp_path}/x.cf"
    named = rules("smtpd", virtual_mailbox_maps=table, smtpd_helo_restrictions=f"check_helo_access {table}")
    assert named == rules("smtpd")
    settings = Settings.from_mapping({**MAIN, "virtual_mailbox_maps": f"{table} sqlite:/x.cf lmdb:/srv/a/x"})
    assert (
        remote_specs(daemon("smtpd"), settings) == remote_specs(daemon("virtual"), settings) == {table, "sqlite:/x.cf"}
    )
    asked = compute_rules(daemon("proxymap"), Settings.from_mapping({**MAIN, REMOTE_TABLES: table}), has_runas=True)
    assert {str(tmp_path), "/srv/ca", "/srv/d"} <= set(asked.reads)
    assert "/run/db" in asked.sockets
    assert (asked.tcp_connect, asked.udp, asked.threads) == (None, True, True)
    alone = rules("proxymap", virtual_mailbox_maps=table)
    assert (alone.tcp_connect, alone.udp, alone.threads) == ((), False, False)


def test_tables_that_decide_about_rights_are_asked_for_without_proxy() -> None:
    """By delivery agents, which do not honour the word; smtpd does."""
    settings = Settings.from_mapping(
        {**MAIN, "virtual_mailbox_maps": "proxy:pgsql:/x.cf", "alias_maps": "proxy:hash:/srv/a/x"}
    )
    assert remote_specs(daemon("virtual"), settings) == {"pgsql:/x.cf"}
    assert remote_specs(daemon("smtpd"), settings) == frozenset()
    assert "/srv/a" in compute_rules(daemon("local"), settings, has_runas=True).reads


def test_proxywrite_may_write_where_its_caches_are() -> None:
    """In directories that hold nothing else; proxymap may not."""
    main = {
        "proxy_write_maps": "proxy:lmdb:/srv/cache/x, proxy:btree:/etc/y, lmdb:/srv/other/x",
        "queue_directory": "/q",
    }
    for name, writes in (("proxywrite", ("/srv/cache",)), ("proxymap", ())):
        settings = Settings.from_mapping(main, service_name=name)
        assert compute_rules(daemon("proxymap"), settings, has_runas=True).writes == writes


def test_without_runas_agents_act_themselves() -> None:
    """virtual in its mailboxes; local, which runs commands of users, without walls over files."""
    assert rules("virtual", virtual_mailbox_base="/srv/mail").writes == ()
    alone = rules("virtual", has_runas=False, virtual_mailbox_base="/srv/mail")
    assert (alone.writes, alone.executes, alone.threads) == (("/srv/mail",), False, True)
    assert rules("local", has_runas=False).executes


def test_sockets_are_where_master_makes_them() -> None:
    """A service's socket is in public/ or private/."""
    queue = MAIN["queue_directory"]
    assert f"{queue}/public/cleanup" in rules("smtpd").sockets
    assert f"{queue}/private/rewrite" in rules("smtpd").sockets
    assert f"{queue}/public/postlog" in rules("smtpd").sockets
    assert "/dev/log" in compute_rules(daemon("smtpd"), Settings.from_mapping({}), has_runas=True).sockets
    assert "submit" not in PUBLIC_SERVICES
