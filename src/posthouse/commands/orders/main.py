"""Run the orders process: open, drop, parse, check, write."""

import getopt
import os
import syslog
from typing import Final

from posthouse.commands.check.probe import TableProbe
from posthouse.commands.orders.accounts import denied_groups, find_owners
from posthouse.commands.orders.begin import Files, give_root_up, read_files
from posthouse.commands.orders.confinement import chroot_notes, confinement_notes
from posthouse.commands.orders.notes import notes_of
from posthouse.commands.orders.programs import STOCK_MASTER_CF
from posthouse.commands.orders.services import Builder
from posthouse.commands.registry import registry
from posthouse.config.check import check_configuration
from posthouse.config.load import Configuration, config_directory, host_facts, level_facts
from posthouse.config.main_cf import MainCf, parse_main_cf
from posthouse.config.master_cf import MasterCf, parse_master_cf
from posthouse.config.parameters import (
    DATA_DIRECTORY,
    LOG_FORMAT,
    MAILLOG_FILE,
    QUEUE_DIRECTORY,
    SERVICE_THROTTLE_TIME,
    SYSLOG_FACILITY,
    SYSLOG_NAME,
)
from posthouse.config.registry import Registry
from posthouse.config.settings import Identity as Reader
from posthouse.config.settings import Settings
from posthouse.ipc.orders_stream import format_failed, format_orders
from posthouse.ipc.orders_wire import GlobalOrders, LogKind, Orders
from posthouse.ipc.orders_wire import Identity as Owned
from posthouse.util.errors import ConfigError, Fatal
from posthouse.util.process import enter_domain

OUTPUT_FD: Final = 3  # master's pipe
_FURTHER_FACILITIES: Final = {"ftp": 11, "security": 4}


def main(argv: list[str]) -> int:
    """Write the orders to master's pipe; exit status 0 also when they say why there are none."""
    enter_domain("orders")
    options = dict(getopt.getopt(argv, "c:")[0])
    directory = os.path.abspath(config_directory(options.get("-c")))
    as_root = os.geteuid() == 0
    try:
        files = read_files(directory)
        built = registry()  # imports: the unprivileged user may be unable to read the place where Python is
        if as_root:
            give_root_up(files)
        data = format_orders(make_orders(files, built, as_root=as_root))
    except (ConfigError, Fatal) as error:
        data = format_failed(str(error))
    except ValueError as error:
        data = format_failed(f"{directory}: {error}")
    while data:
        data = data[os.write(OUTPUT_FD, data) :]
    return 0


def make_orders(files: Files, built: Registry, *, as_root: bool) -> Orders:
    """Parse and check everything. Raises ConfigError."""
    configuration = parse_configuration(files)
    settings = configuration.settings("master")
    owners = find_owners(settings) if as_root else ()
    builder = Builder(configuration, settings, as_root, owners)
    findings = check_configuration(configuration, built, as_root=as_root, probe=TableProbe())
    notes = (*confinement_notes(settings), *notes_of(findings))
    services = builder.build()
    missed = chroot_notes(settings, services) if as_root else ()
    return Orders(_global(settings, owners), tuple(services), (*builder.notes, *notes, *missed))


def parse_configuration(files: Files) -> Configuration:
    """Parse the two files. Raises ConfigError."""
    main_path, master_path = f"{files.directory}/main.cf", f"{files.directory}/master.cf"
    main_cf = MainCf(main_path, exists=False) if files.main is None else parse_main_cf(files.main, main_path)
    master_cf: MasterCf = parse_master_cf(STOCK_MASTER_CF if files.master is None else files.master, master_path)
    reader = Reader(config_directory=files.directory)
    settings = Settings(main_cf.values, reader, level_facts(main_cf), main_cf.origins())
    return Configuration(files.directory, main_cf, master_cf, host_facts(settings))


def _global(settings: Settings, owners: tuple[Owned, ...]) -> GlobalOrders:
    return GlobalOrders(
        config_directory=settings.config_directory,
        queue_directory=_absolute(settings, QUEUE_DIRECTORY.name, settings[QUEUE_DIRECTORY]),
        data_directory=_absolute(settings, DATA_DIRECTORY.name, settings[DATA_DIRECTORY]),
        version=settings.text("mail_version"),
        syslog_name=settings[SYSLOG_NAME] or "postfix",
        log=LogKind.POSTLOG if settings[MAILLOG_FILE] else LogKind.SYSLOG,
        log_json=settings[LOG_FORMAT] == "json",
        facility=_facility(settings[SYSLOG_FACILITY]),
        throttle_s=max(1, round(settings[SERVICE_THROTTLE_TIME])),
        denied_groups=denied_groups(settings) if owners else (),
        owners=owners,
    )


def _facility(name: str) -> int:
    """Give the number of a syslog facility (RFC 5424 6.2.1); Python's module lacks two of postconf(5)'s names."""
    if name in _FURTHER_FACILITIES:
        return _FURTHER_FACILITIES[name]
    return int(getattr(syslog, f"LOG_{name.upper()}")) >> 3


def _absolute(settings: Settings, name: str, path: str) -> str:
    if not path.startswith("/"):
        raise settings.error(name, f'"{path}" must be an absolute path')
    return os.path.normpath(path)
