"""Rules: what one process may do, with real paths and ports; made from a daemon's declaration and the configuration.

Everything that is enforced, shown, proved or written down elsewhere (AppArmor, SELinux, manual pages) starts here.
"""

from dataclasses import dataclass
from typing import Final

ANY_PORT: Final = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What one process may do; what is not named here is refused.

    Paths are absolute and as configured (symbolic links not followed yet); a directory stands for all below it.
    """

    daemon: str
    user: str = ""  # the account's name
    root_directory: str = ""  # chroot; "" for none
    root_files: bool = False  # keeps CAP_DAC_READ_SEARCH until its tables are open
    reads: tuple[str, ...] = ()  # files, and directories with all that is in them
    writes: tuple[str, ...] = ()  # directories: make, read, write, rename and remove what is in them
    appends: tuple[str, ...] = ()  # files that exist: write to them
    serves: tuple[str, ...] = ()  # listening sockets that master hands over: paths, or host:port
    sockets: tuple[str, ...] = ()  # UNIX sockets it connects to
    tcp_connect: tuple[int, ...] | None = ()  # ports; None for all
    tcp_bind: tuple[int, ...] = ()  # ports; 0 is any free one, as a source address needs
    udp: bool = False
    threads: bool = False
    executes: bool = False  # runs commands, and does as their user whatever that user may
    accounts: bool = False  # looks users up (getpwnam(3) and the like)

    @property
    def uses_network(self) -> bool:
        """Whether it may make sockets of IPv4 and IPv6."""
        return self.udp or self.tcp_connect is None or bool(self.tcp_connect)
