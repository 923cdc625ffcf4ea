"""Maildirs for tests: a domain of virtual mailboxes that nobody's login is needed for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.instance import Instance

NOBODY: Final = 65534
DOMAIN: Final = "box.test"


def owner() -> int:
    """Return who gets virtual mail: nobody when we are root, else we ourselves."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


@dataclass(frozen=True, slots=True)
class Boxes:
    """Mailboxes NAME@box.test below {mail}/NAME/."""

    names: Sequence[str]
    main: dict[str, str] = field(default_factory=dict)

    def options(self, **main: str) -> dict[str, dict[str, str]]:
        """Return what `posthouse(...)` and `postfix_peer(...)` take."""
        group = NOBODY if os.geteuid() == 0 else os.getegid()
        lines = "".join(f"{name}@{DOMAIN} {name}/\n" for name in self.names)
        own = {
            "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_maps": "texthash:{directory}/etc/boxes",
            "virtual_mailbox_base": "{mail}",
            "virtual_uid_maps": f"static:{owner()}",
            "virtual_gid_maps": f"static:{group}",
            "virtual_minimum_uid": "1",
        }
        return {"main": {**own, **self.main, **main}, "files": {"boxes": lines}}

    @property
    def addresses(self) -> list[str]:
        """Return every address."""
        return [f"{name}@{DOMAIN}" for name in self.names]


def give_away(instance: Instance) -> None:
    """Let whom virtual mail belongs to write below the mail directory."""
    if os.geteuid() == 0:
        os.chown(instance.mail_directory, NOBODY, NOBODY)


def box(instance: Instance, name: str) -> Path:
    """Return where a mailbox lies."""
    return instance.mail_directory / name
