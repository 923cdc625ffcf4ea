"""The life of an instance: created or imported, named, enabled, disabled, deported or destroyed.

What an instance is stands in two places: its own main.cf (name, group, enabled), and multi_instance_directories of the
primary instance. A new instance listens to nobody and takes no mail from users until its administrator says so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from posthouse.commands.orders.programs import STOCK_MASTER_CF
from posthouse.commands.postfix import control
from posthouse.commands.postmulti.instances import NONE, Instance, select
from posthouse.commands.postmulti.iterate import postfix
from posthouse.commands.postmulti.remove import Remover, waiting_messages
from posthouse.config.edit import editing, set_parameters
from posthouse.config.parameters import DATA_DIRECTORY, QUEUE_DIRECTORY
from posthouse.config.parameters_instances import (
    MULTI_INSTANCE_DIRECTORIES,
    MULTI_INSTANCE_ENABLE,
    MULTI_INSTANCE_WRAPPER,
)

PREFIX: Final = "postfix-"  # of every name, so that no name is that of a system's file
DIRECTORIES: Final = ("config_directory", "queue_directory", "data_directory")
# What all instances share is taken over where the primary one's main.cf sets it.
SHARED: Final = (
    "compatibility_level", "command_directory", "daemon_directory", "meta_directory", "mail_owner", "queue_owner",
    "network_owner", "setgid_group", "sendmail_path", "mailq_path", "newaliases_path", "html_directory",
    "manpage_directory", "sample_directory", "readme_directory", "shlib_directory",
)  # fmt: skip
_HEAD: Final = """\
# A further mail system of this host, managed by postmulti(1). It listens to nobody and takes no mail from users of
# this host before the last two lines are changed; what is not set here has the default that postconf -d shows.

"""


class LifeError(Exception):
    """The action cannot be done; str() says why."""


@dataclass(frozen=True, slots=True)
class Action:
    """What -e asks for. chosen: -i; new_name, new_group: -I, -G; assignments: name=value arguments."""

    word: str
    chosen: str = ""
    first: bool = False  # -a
    before_group: str = ""  # -g
    new_name: str = ""
    new_group: str = ""
    assignments: Mapping[str, str] = field(default_factory=dict)


def carry_out(action: Action, instances: Sequence[Instance]) -> None:
    """Do it. Raises LifeError, ConfigError: a file cannot be written."""
    primary = instances[0]
    if action.word == "init":
        wrapper = "${command_directory}/postmulti -p --"
        _edit(primary.directory, {"multi_instance_wrapper": wrapper, "multi_instance_enable": "yes"})
        return
    _require_management(primary)
    if action.word in ("create", "import"):
        _create(action, instances)
        return
    found = select(instances, action.chosen, "") if action.chosen else []
    if not found:
        raise LifeError(
            f"no instance is called {action.chosen or '(nothing)'}; choose one with -i, postmulti -l lists them"
        )
    {"enable": _enable, "disable": _disable, "assign": _assign, "deport": _deport, "destroy": _destroy}[action.word](
        action, primary, found[0]
    )


def _require_management(primary: Instance) -> None:
    if not primary.settings.text(MULTI_INSTANCE_WRAPPER.name):
        raise LifeError("multi_instance_wrapper is empty; run 'postmulti -e init' first")
    if not primary.settings[MULTI_INSTANCE_ENABLE]:
        raise LifeError("multi_instance_enable is not yes; run 'postmulti -e init' first")


def _edit(directory: str, values: Mapping[str, str]) -> None:
    with editing(Path(directory, "main.cf")) as file:
        file.new, _ = set_parameters(file.old, values)


# -- one that exists


def _enable(_action: Action, _primary: Instance, instance: Instance) -> None:
    _edit(instance.directory, {"multi_instance_enable": "yes"})


def _disable(_action: Action, _primary: Instance, instance: Instance) -> None:
    _edit(instance.directory, {"multi_instance_enable": "no"})


def _assign(action: Action, _primary: Instance, instance: Instance) -> None:
    _edit(instance.directory, _names(action))


def _names(action: Action) -> dict[str, str]:
    given = {"multi_instance_name": action.new_name, "multi_instance_group": action.new_group}
    return {name: "" if value == NONE else value for name, value in given.items() if value}


def _deport(_action: Action, primary: Instance, instance: Instance) -> None:
    _require_stopped_secondary(instance, "deport")
    _list(primary, [each for each in primary.settings[MULTI_INSTANCE_DIRECTORIES] if each != instance.directory])


def _destroy(_action: Action, primary: Instance, instance: Instance) -> None:
    _require_stopped_secondary(instance, "destroy")
    if instance.enabled:
        raise LifeError(f"instance {instance.directory} is enabled; disable it first: postmulti -e disable -i NAME")
    for row in (QUEUE_DIRECTORY, DATA_DIRECTORY):
        path = instance.settings[row]
        if os.path.realpath(path) == os.path.realpath(primary.settings[row]):
            raise LifeError(f"{path} is the {row.name} of the primary instance, too; it is not removed")
    if count := waiting_messages(instance.directory, instance.settings):
        raise LifeError(f"instance {instance.directory} has {count} messages in its queue; they would be lost")
    _list(primary, [each for each in primary.settings[MULTI_INSTANCE_DIRECTORIES] if each != instance.directory])
    Remover(instance.settings).remove()


def _require_stopped_secondary(instance: Instance, word: str) -> None:
    if instance.primary:
        raise LifeError(f"cannot {word} the primary instance")
    if control.running(instance.settings):
        raise LifeError(f"instance {instance.directory} is not stopped")


def _list(primary: Instance, directories: Sequence[str]) -> None:
    _edit(primary.directory, {MULTI_INSTANCE_DIRECTORIES.name: " ".join(directories)})


# -- a new one


def _create(action: Action, instances: Sequence[Instance]) -> None:
    """Make what is missing, write the names, enter it into the list, and set owners and modes."""
    primary = instances[0]
    places = _places(action, primary)
    directory = places["config_directory"]
    if any(instance.directory == directory for instance in instances):
        raise LifeError(f"{directory} is an instance already")
    if any(action.new_name == instance.name for instance in instances if instance.name):
        raise LifeError(f"there is an instance called {action.new_name} already")
    files = [Path(directory, name) for name in ("main.cf", "master.cf")]
    missing = [path for path in files if not path.is_file()]
    if missing and action.word == "import":
        raise LifeError(f"{directory} lacks {missing[0].name}: it is no configuration that can be imported")
    if missing:
        _write_files(places, primary, files)
    if names := _names(action):
        _edit(directory, names)
    _list(primary, _with(directory, action, instances))
    if postfix(directory, "set-permissions"):
        raise LifeError(
            f"owners and modes could not be set: see above, then run postfix -c {directory} set-permissions"
        )


def _places(action: Action, primary: Instance) -> dict[str, str]:
    """Choose its directories: what is given, else the primary one's with the name in place of their last part."""
    places = dict(action.assignments)
    unknown = [name for name in places if name not in DIRECTORIES]
    if unknown:
        raise LifeError(f"{unknown[0]} cannot be set here; use {', '.join(DIRECTORIES)}")
    named = action.new_name not in ("", NONE)
    for name in DIRECTORIES:
        if name not in places and not (named or action.word == "import"):
            raise LifeError(f"{name} of the new instance: give it a name with -I, or say {name}=/path")
        if name not in places and named:
            model = primary.directory if name == "config_directory" else primary.settings.text(name)
            places[name] = os.path.join(os.path.dirname(os.path.normpath(model)), action.new_name)
    for name, path in places.items():
        if not os.path.isabs(path):
            raise LifeError(f"{name}={path} is not an absolute path")
    if "config_directory" not in places:
        raise LifeError("which one? Say -I NAME or config_directory=/path")
    return places


def _write_files(places: Mapping[str, str], primary: Instance, files: Sequence[Path]) -> None:
    for name, mode in (("config_directory", 0o755), ("queue_directory", 0o755), ("data_directory", 0o700)):
        os.makedirs(places[name], mode, exist_ok=True)
    settings = primary.settings
    shared = {name: settings.raw(name) or "" for name in SHARED if settings.is_set(name)}
    own = {name: places[name] for name in ("queue_directory", "data_directory")}
    closed = {"authorized_submit_users": "", "master_service_disable": "inet"}
    main_cf, master_cf = files
    if not main_cf.is_file():
        with editing(main_cf) as file:
            file.new, _ = set_parameters(_HEAD.encode(), {**shared, **own, **closed})
    # The last one: once it is there the instance is complete.
    if not master_cf.is_file():
        with editing(master_cf) as file:
            file.new = STOCK_MASTER_CF


def _with(directory: str, action: Action, instances: Sequence[Instance]) -> list[str]:
    """Put the new one into the list: first (-a), before another (-i, -g), or at the end."""
    others = [instance for instance in instances if not instance.primary]
    listed = [instance.directory for instance in others]
    position = 0 if action.first else len(listed)
    if action.chosen or action.before_group:
        found = select(others, action.chosen, action.before_group)
        if not found:
            raise LifeError(f"no secondary instance is {action.chosen or 'of group ' + action.before_group}")
        position = listed.index(found[0].directory)
    return [*listed[:position], directory, *listed[position:]]
