"""Handing a command to the manager of several mail systems. Source: postfix-wrapper(5)."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from posthouse.config.parameters_instances import MULTI_INSTANCE_DIRECTORIES, MULTI_INSTANCE_WRAPPER
from posthouse.config.settings import Settings

_OURS: Final = (sys.executable, "-I", "-m", "posthouse.commands.posthouse", "postmulti")


def wrapper_of(settings: Settings) -> list[str]:
    """Give the words of multi_instance_wrapper; none where this configuration manages no others.

    "postmulti" in any directory is ours: command_directory may be that of a Postfix on the same host.
    """
    if not settings[MULTI_INSTANCE_DIRECTORIES]:
        return []
    words = settings.text(MULTI_INSTANCE_WRAPPER.name).split()
    return [*_OURS, *words[1:]] if words and os.path.basename(words[0]) == "postmulti" else words


def call_wrapper(wrapper: Sequence[str], directory: str, words: Sequence[str]) -> int:
    """Run it with the command; returns its exit status. Raises OSError."""
    environment = {**os.environ, "MAIL_CONFIG": directory}
    return subprocess.run([*wrapper, *words], check=False, env=environment).returncode  # noqa: S603
