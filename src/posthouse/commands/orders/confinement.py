"""What is said at start when the kernel cannot enforce all of the confinement: once, by name."""

from collections.abc import Iterator

from posthouse.config.parameters import CONFINEMENT, LANDLOCK_NEWEST_ABI
from posthouse.config.settings import Settings
from posthouse.confine.enforce import missing_in_kernel


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
