"""posthouse policies: writes what others enforce and show, from what each daemon declares and the configuration.

AppArmor profiles, an SELinux module, systemd units, the table of docs/security.md and the manual pages all come from
the same declarations (Daemon, Privileges), so none of them is written by hand, and none says anything else than the
code.
"""

import getopt
import os
import sys
from collections.abc import Callable
from typing import Final

from posthouse.commands.policies.apparmor import apparmor
from posthouse.commands.policies.manual import manual_page, manual_pages
from posthouse.commands.policies.score import exposure
from posthouse.commands.policies.selinux import selinux_te
from posthouse.commands.policies.selinux_files import selinux_fc, selinux_if
from posthouse.commands.policies.system import PREFIX, System, default_system, read_system
from posthouse.commands.policies.systemd import rootless_unit, socket_unit, systemd_unit
from posthouse.commands.policies.table import security_table
from posthouse.config.load import config_directory
from posthouse.util.errors import ConfigError, Fatal

USAGE: Final = """\
usage: posthouse policies WHAT [-c DIR | -d] [-p PREFIX]

  apparmor             profiles: one for master, one for each other part and daemon
  selinux              the module's rules; write makes its other two files too
  systemd              the unit of a system started by root, and what systemd-analyze says of it
  table                who may do what, as docs/security.md shows it
  manual NAME          the manual page of a daemon, master, warm or runas
  write DIRECTORY      all of them, as files

  -c DIR               the configuration whose paths and ports are meant (MAIL_CONFIG, else /etc/postfix)
  -d                   none: a system without main.cf and master.cf
  -p PREFIX            where Posthouse is installed (/opt/posthouse)
"""
Make = Callable[[System], str]
PRINTED: Final[dict[str, Make]] = {
    "apparmor": apparmor,
    "selinux": selinux_te,
    "systemd": systemd_unit,
    "table": security_table,
}
FILES: Final[dict[str, Make]] = {
    "apparmor/posthouse": apparmor,
    "selinux/posthouse.te": selinux_te,
    "selinux/posthouse.fc": selinux_fc,
    "selinux/posthouse.if": selinux_if,
    "systemd/posthouse.service": systemd_unit,
    "systemd/posthouse-rootless.service": rootless_unit,
    "systemd/posthouse.socket": socket_unit,
    "security.md": security_table,
}
EX_USAGE: Final = 64
__all__ = [
    "FILES",
    "apparmor",
    "default_system",
    "main",
    "manual_page",
    "manual_pages",
    "rootless_unit",
    "security_table",
    "selinux_fc",
    "selinux_if",
    "selinux_te",
    "socket_unit",
    "systemd_unit",
]


def main(argv: list[str]) -> int:
    """Run; returns the exit status."""
    try:
        options, words = getopt.gnu_getopt(argv, "c:dp:")
    except getopt.GetoptError as error:
        return _usage(f"posthouse policies: {error}\n")
    if not words:
        return _usage("")
    values = dict(options)
    prefix = values.get("-p", PREFIX).rstrip("/")
    try:
        system = default_system(prefix) if "-d" in values else read_system(config_directory(values.get("-c")), prefix)
        return _run(words, system)
    except (ConfigError, Fatal, OSError) as error:
        sys.stderr.write(f"posthouse policies: {error}\n")
        return 1


def _run(words: list[str], system: System) -> int:
    match words:
        case [what] if what in PRINTED:
            sys.stdout.write(text := PRINTED[what](system))
            if what == "systemd" and (score := exposure(text)):
                sys.stderr.write(f"systemd-analyze security: exposure {score} of 10\n")
        case ["manual", name] if (page := manual_pages().get(f"{name}.8")) is not None:
            sys.stdout.write(page)
        case ["write", directory]:
            for path in write(system, directory):
                sys.stdout.write(f"{path}\n")
        case _:
            return _usage("")
    return 0


def write(system: System, directory: str) -> list[str]:
    """Write every file below a directory, and give their paths. Raises OSError."""
    texts = {name: make(system) for name, make in FILES.items()}
    texts |= {f"man/{name}": text for name, text in manual_pages().items()}
    for name, text in texts.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return [os.path.join(directory, name) for name in texts]


def _usage(why: str) -> int:
    sys.stderr.write(why + USAGE)
    return EX_USAGE
