"""Words for flags of a resolved address (ipc/rewrite.py)."""

from typing import Final

from posthouse.ipc.rewrite import (
    CLASS_ALIAS,
    CLASS_DEFAULT,
    CLASS_LOCAL,
    CLASS_RELAY,
    CLASS_VIRTUAL,
    ERROR,
    FAILED,
    ROUTED,
)

CLASSES: Final = {
    CLASS_LOCAL: "local",
    CLASS_ALIAS: "virtual alias",
    CLASS_VIRTUAL: "virtual mailbox",
    CLASS_RELAY: "relay",
    CLASS_DEFAULT: "default",
}


def class_of(flags: int) -> str:
    """Give the address class, and what else is remarkable about an address."""
    if flags & FAILED:
        return "cannot be told now"
    words = [word for flag, word in CLASSES.items() if flags & flag]
    if flags & ROUTED:
        words.append("routed")
    if flags & ERROR:
        words.append("bad address")
    return ", ".join(words)
