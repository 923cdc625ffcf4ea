"""What is said at start when the kernel cannot enforce all of the confinement: once, by name."""

import os.path
from collections.abc import Iterator, Sequence
from typing import Final

from posthouse.config.parameters import CONFINEMENT, LANDLOCK_NEWEST_ABI, QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.confine.enforce import missing_in_kernel
from posthouse.ipc.orders_wire import ServiceOrder

# Files that a chrooted process reads when it is there already: they must be in the new root.
READ_IN_CHROOT: Final = {"smtp": ("etc/hosts",), "dns": ("etc/resolv.conf", "etc/hosts")}


def confinement_notes(settings: Settings) -> Iterator[str]:
    """Give what is to be logged. Raises ConfigError: confinement is required and cannot be had in full."""
    wanted = settings[CONFINEMENT]
    if wanted == "off":
        yield "confinement = off: daemons run without Landlock and without filters of system calls"
        return
    missing = "; ".join(missing_in_kernel(settings[LANDLOCK_NEWEST_ABI]))
    if missing and wanted == "require":
        raise settings.error("confinement", f"it is required, and this kernel cannot enforce: {missing}")
    if missing:
        yield f"this kernel cannot enforce all of the confinement; it lacks: {missing}"


def chroot_notes(settings: Settings, services: Sequence[ServiceOrder]) -> Iterator[str]:
    """Name the files that chrooted services will miss."""
    queue = settings[QUEUE_DIRECTORY]
    for service in services:
        for name in READ_IN_CHROOT.get(service.package, ()) if service.chroot else ():
            if not os.path.exists(f"{queue}/{name}"):
                yield f"service {service.name} runs chrooted and will not find {queue}/{name}; copy /{name} there"
