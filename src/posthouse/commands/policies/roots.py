"""The parts that are no daemons: those that are root, the process that reads the configuration, and runas's children.

They declare nothing, since the kernel walls of skeleton are not for them; so what they need is said here, once, for
every policy. CAP_DAC_OVERRIDE is on no list: root reads code and configuration, and writes only where it owns.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """One such process. `capabilities`: without CAP_; `enters`: by what means it comes to be."""

    name: str
    summary: str
    manual: tuple[str, ...]  # the modules whose docstrings describe it
    user: str
    capabilities: tuple[str, ...] = ()
    becomes: str = ""  # whom its children become
    reads: str = ""
    writes: str = ""
    sockets: str = ""
    network: str = "none"


MASTER: Final = Part(
    name="master",
    summary="listens for all services, starts daemons when there is work, limits, restarts and replaces them",
    manual=(
        "posthouse.master.supervisor",
        "posthouse.master.service",
        "posthouse.master.stop",
        "posthouse.master.main",
    ),
    user="root",
    # dac_read_search: to the lock in data_directory, which is mail_owner's; kill: daemons that do not end
    capabilities=("net_bind_service", "kill", "dac_read_search"),
    becomes="warm, orders",
    reads="its own code",
    writes="pid/, sockets in private/, public/ and submit/, the two lock files",
    sockets="postlog",
    network="listens",
)
WARM: Final = Part(
    name="warm",
    summary="holds the warm image of all daemons, and forks them for master(8)",
    manual=("posthouse.warm.image",),
    user="root",
    capabilities=("setuid", "setgid", "setpcap"),
    becomes="each daemon, runas",
    reads="the program's code",
    writes="nothing",
    sockets="none",
)
RUNAS: Final = Part(
    name="runas",
    summary="becomes a recipient, for local(8), virtual(8), pipe(8) and spawn(8)",
    manual=("posthouse.runas.server",),
    user="root",
    capabilities=("setuid", "setgid"),
    becomes="mailbox, command",
    reads="nothing",
    writes="nothing",
    sockets="none",
)
ORDERS: Final = Part(
    name="orders",
    summary="reads main.cf and master.cf, and gives master(8) validated records",
    manual=("posthouse.commands.orders.main",),
    user="root, then $mail_owner",
    capabilities=("setuid", "setgid", "dac_read_search"),
    reads="config_directory, tables, accounts",
    writes="nothing",
    sockets="none",
)
MAILBOX: Final = Part(
    name="mailbox",
    summary="a child of runas(8) that is a recipient for good, and writes mailboxes and reads .forward files",
    manual=("posthouse.delivery.as_user",),
    user="the recipient",
    reads="home directories",
    writes="mailboxes, home directories",
    sockets="none",
)
COMMAND: Final = Part(
    name="command",
    summary="a child of runas(8) that is a recipient for good, and runs the recipient's command",
    manual=("posthouse.delivery.command",),
    user="the recipient",
    reads="what the recipient may read",
    writes="mailboxes, home directories, /tmp",
    sockets="none",
)
ROOTS: Final = (MASTER, WARM, RUNAS)
PARTS: Final = (*ROOTS, ORDERS, MAILBOX, COMMAND)
