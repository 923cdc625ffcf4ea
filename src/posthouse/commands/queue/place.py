"""Which queue the commands are about, who may work on it, and how they fail.

Root becomes the queue's owner for good before anything of the queue is opened: what that user could have put there
must not work on root, and every file that is made belongs to him.
"""

import getopt
import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from posthouse.commands.queue_client import EX_NOPERM, EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY, QUEUE_OWNER
from posthouse.queue.sqlite.care import DamagedError, OverruledError, StoreError, StoreLockedError
from posthouse.util.errors import ConfigError, Fatal

JSON: Final = "--json"
EX_FOUND: Final = 1  # verify, repair: something was not as it should be


class NotAllowedError(Exception):
    """Another user must do this; str() says who."""


class Place(NamedTuple):
    """A queue and whose it is."""

    queue_directory: str
    uid: int
    gid: int


class Called(NamedTuple):
    """What stands on the command line."""

    place: Place
    options: frozenset[str]
    words: list[str]


def run(name: str, words: list[str], expects: tuple[tuple[str, ...], int], work: Callable[[Called], int]) -> int:
    """Read the command line, do the work, tell what went wrong; returns the exit status.

    expects: long options, and how many words there must be.
    """
    try:
        options, rest = getopt.gnu_getopt(words, "c:", list(expects[0]))
        if len(rest) != expects[1]:
            return _complain(name, "one directory is needed" if expects[1] else "no directory is needed", EX_USAGE)
        place = _find(dict(options).get("-c", ""))
        return work(Called(place, frozenset(option for option, _ in options), rest))
    except getopt.GetoptError as error:
        return _complain(name, str(error), EX_USAGE)
    except NotAllowedError as error:
        return _complain(name, str(error), EX_NOPERM)
    except (OverruledError, StoreLockedError) as error:
        return _complain(name, str(error), EX_TEMPFAIL)
    except DamagedError as error:
        for finding in error.findings:
            sys.stderr.write(f"  {finding}\n")
        return _complain(name, f"{error}; nothing was changed", EX_FOUND)
    except (StoreError, ConfigError, Fatal, OSError) as error:
        return _complain(name, str(error), EX_UNAVAILABLE)


def _complain(name: str, text: str, status: int) -> int:
    sys.stderr.write(f"posthouse queue {name}: {text}\n")
    return status


def _find(directory: str) -> Place:
    """Find the queue's directory and its owner. Raises StoreError: there is none; NotAllowedError."""
    settings = load_settings(config_directory(directory or None), "posthouse")
    queue_directory = settings[QUEUE_DIRECTORY]
    try:
        found = os.stat(f"{queue_directory}/posthouse")
    except FileNotFoundError:
        raise StoreError(f"{queue_directory}/posthouse: there is no queue yet; start the mail system once") from None
    except PermissionError:
        raise NotAllowedError(f"this needs root, or the owner of {queue_directory}/posthouse") from None
    uid, gid = found.st_uid, found.st_gid
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam(settings[QUEUE_OWNER])
            uid, gid = account.pw_uid, account.pw_gid
        except KeyError:  # without root everything is one user, and such a name need not exist
            pass
    if os.geteuid() not in (0, uid):
        raise NotAllowedError(f"this needs root, or {_name(uid)}, who owns {queue_directory}/posthouse")
    return Place(queue_directory, uid, gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def become_owner(place: Place) -> None:
    """Be the queue's owner for good, if we are root and he is not."""
    if os.geteuid() != 0 or place.uid == 0:
        return
    os.setgroups([place.gid])
    os.setresgid(place.gid, place.gid, place.gid)
    os.setresuid(place.uid, place.uid, place.uid)


def write_json(fields: Mapping[str, object]) -> None:
    """Write one JSON object, for --json."""
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")


def reachable(path: str, mode: int, place: Place) -> str:
    """Give the absolute path, which the queue's owner must be able to use. Raises NotAllowedError."""
    absolute = os.path.abspath(path)
    if not os.access(absolute, mode):
        raise NotAllowedError(f"{_name(place.uid)}, who owns the queue, cannot use {absolute}; choose another place")
    return absolute
