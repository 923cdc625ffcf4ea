"""From master.cf's lines to orders."""

from posthouse.commands.orders.begin import Files
from posthouse.commands.orders.main import parse_configuration
from posthouse.commands.orders.services import PROCESS_LIMITS, Builder
from posthouse.config.wire import parse_settings
from posthouse.daemons.qmgr.limits import process_limits
from posthouse.ipc.orders_wire import ServiceOrder
from posthouse.skeleton.rules import REMOTE_TABLES

MAIN = b"myhostname = mail.example.com\ndefault_process_limit = 30\n"


def orders(master: bytes) -> dict[tuple[str, str], ServiceOrder]:
    """Build the orders of a master.cf, by name and type."""
    configuration = parse_configuration(Files("/etc/postfix", MAIN, master))
    built = Builder(configuration, configuration.settings("master"), as_root=False).build()
    return {(order.name, order.type): order for order in built}


def test_the_queue_manager_knows_each_transport_s_process_limit() -> None:
    """It holds to them: an agent process serves many deliveries at once."""
    master = (
        b"qmgr unix n - n 300 1 qmgr\nsmtp unix - - n - 7 smtp\nbulk unix - - n - 0 smtp\nrelay unix - - n - - smtp\n"
    )
    settings = parse_settings(orders(master)["qmgr", "unix"].settings)
    limits = process_limits(settings)
    assert (limits["smtp"], limits["bulk"], limits["relay"]) == (7, 0, 30)
    assert settings.is_set(PROCESS_LIMITS)


def test_only_the_queue_manager_is_told() -> None:
    """It concerns nobody else."""
    master = b"qmgr unix n - n 300 1 qmgr\nsmtp unix - - n - 7 smtp\n"
    assert not parse_settings(orders(master)["smtp", "unix"].settings).is_set(PROCESS_LIMITS)


def test_proxymap_is_told_which_tables_others_name() -> None:
    """In main.cf, in a restriction, and in -o of one service; with or without a line of its own in master.cf."""
    main = MAIN + b"virtual_alias_maps = pgsql:/a.cf, lmdb:/b\nmydestination = sqlite:/c.cf, proxy:mysql:/d.cf\n"
    master = (
        b"smtp inet n - n - - smtpd\n -o smtpd_client_restrictions=check_client_access,ldap:/e.cf\n"
        b"cleanup unix n - n - 0 cleanup\n"
    )
    configuration = parse_configuration(Files("/etc/postfix", main, master))
    built = Builder(configuration, configuration.settings("master"), as_root=False).build()
    (proxymap,) = (order for order in built if order.name == "proxymap")
    assert parse_settings(proxymap.settings).text(REMOTE_TABLES) == "ldap:/e.cf pgsql:/a.cf sqlite:/c.cf"
