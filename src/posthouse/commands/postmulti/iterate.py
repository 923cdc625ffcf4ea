"""One command for every chosen instance: of postfix(1) (-p), or any other (-x)."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from posthouse.commands.postmulti.instances import Instance
from posthouse.config.parameters_instances import (
    POSTMULTI_CONTROL_COMMANDS,
    POSTMULTI_START_COMMANDS,
    POSTMULTI_STOP_COMMANDS,
)
from posthouse.config.settings import Settings

# postfix(1) with --one acts on one instance and does not call the wrapper, which is us.
POSTFIX: Final = (sys.executable, "-I", "-m", "posthouse.commands.postfix", "--one", "-c")
_EXPORTED: Final = (
    "command_directory", "daemon_directory", "config_directory", "queue_directory", "data_directory",
    "multi_instance_name", "multi_instance_group", "multi_instance_enable",
)  # fmt: skip
FAILED: Final = 1


def run_postfix(primary: Settings, instances: Sequence[Instance], words: Sequence[str]) -> int:
    """Run a command of postfix(1): what starts is checked where disabled, what stops goes backwards."""
    command = words[0]
    if command in primary[POSTMULTI_STOP_COMMANDS]:
        chosen = [(instance, words) for instance in reversed(instances) if instance.enabled]
    elif command in primary[POSTMULTI_CONTROL_COMMANDS]:
        chosen = [(instance, words) for instance in instances if instance.enabled]
    elif command in primary[POSTMULTI_START_COMMANDS]:
        chosen = [(instance, words if instance.enabled else ["check", *words[1:]]) for instance in instances]
    else:
        chosen = [(instance, words) for instance in instances]
    return _worst([postfix(instance.directory, *each) for instance, each in chosen])


def postfix(directory: str, *words: str) -> int:
    """Have one instance carry out a command; returns its exit status."""
    return subprocess.run([*POSTFIX, directory, *words], check=False).returncode  # noqa: S603


def run_command(instances: Sequence[Instance], words: Sequence[str]) -> int:
    """Run any command once for each instance, with what the instance is in its environment."""
    statuses = []
    for instance in instances:
        try:
            done = subprocess.run(list(words), check=False, env=_environment(instance))  # noqa: S603 - what it is for
        except OSError as error:
            sys.stderr.write(f"postmulti: fatal: execvp {words[0]}: {error.strerror}\n")
            return FAILED
        statuses.append(done.returncode)
    return _worst(statuses)


def _environment(instance: Instance) -> dict[str, str]:
    texts = {name: instance.settings.text(name) for name in _EXPORTED}
    return {**os.environ, **texts, "config_directory": instance.directory, "MAIL_CONFIG": instance.directory}


def _worst(statuses: Sequence[int]) -> int:
    """Give 1 when any failed, as Postfix does."""
    return FAILED if any(statuses) else 0
