"""The command line of postmulti(1)."""

import getopt
import os
import sys
from typing import Final

from posthouse.commands.postmulti.instances import load_instances, select
from posthouse.commands.postmulti.iterate import run_command, run_postfix
from posthouse.commands.postmulti.life import PREFIX, Action, LifeError, carry_out
from posthouse.config.load import config_directory
from posthouse.util.errors import ConfigError

USAGE: Final = """\
usage: postmulti -l [-aRj] [-g group] [-i name]                    list the instances (-j, --json: as JSON)
       postmulti -p [-a] [-g group] [-i name] postfix-command      one command of postfix(1) for each
       postmulti -x [-aR] [-g group] [-i name] unix-command...     any command for each
       postmulti -e init                                           begin to manage instances
       postmulti -e create|import [-a] [-g group] [-i name] [-G group] [-I name] [directory=/path ...]
       postmulti -e destroy|deport|enable|disable -i name
       postmulti -e assign -i name [-I name] [-G group]
"""
ACTIONS: Final = frozenset({"init", "create", "import", "destroy", "deport", "enable", "disable", "assign"})
FAILED: Final = 1


class _UsageError(Exception):
    """str() is what is wrong with the command line."""


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, words = getopt.getopt((sys.argv if argv is None else argv)[1:], "ae:g:i:jlpRvxG:I:", ["json"])
        return _run(dict(options), words)
    except (getopt.GetoptError, _UsageError) as error:
        sys.stderr.write(f"postmulti: fatal: {error}\n{USAGE}")
    except (ConfigError, LifeError, OSError) as error:
        sys.stderr.write(f"postmulti: fatal: {error}\n")
    return FAILED


def _run(given: dict[str, str], words: list[str]) -> int:
    modes = [option for option in ("-l", "-p", "-x", "-e") if option in given]
    if len(modes) != 1:
        raise _UsageError("specify one of -l, -p, -x, -e")
    if "-R" in given and modes[0] in ("-p", "-e"):
        raise _UsageError(f"-R does not go with {modes[0]}")
    if modes[0] in ("-p", "-x") and not words:
        raise _UsageError(f"{modes[0]}: which command?")
    instances = load_instances(config_directory())
    if modes[0] == "-e":
        carry_out(_action(given, words), instances)
        return 0
    chosen = select(instances, given.get("-i", ""), given.get("-g", ""))
    if "-R" in given:
        chosen.reverse()
    if modes[0] == "-p":
        return run_postfix(instances[0].settings, chosen, words)
    if modes[0] == "-x":
        return run_command(chosen, words)
    as_json = "-j" in given or "--json" in given
    sys.stdout.write("".join(each.as_json() if as_json else each.line() for each in chosen))
    return 0


def _action(given: dict[str, str], words: list[str]) -> Action:
    word, name = given["-e"], given.get("-I", "")
    if word not in ACTIONS:
        raise _UsageError(f"-e {word}: there are {', '.join(sorted(ACTIONS))}")
    if words and word not in ("create", "import"):
        raise _UsageError(f"-e {word} takes no {words[0]}")
    if name not in ("", "-") and not (name.startswith(PREFIX) and "/" not in name):
        raise _UsageError(f'-I {name}: names begin with "{PREFIX}"')
    assignments = dict[str, str]()
    for text in words:
        key, sign, value = text.partition("=")
        if not sign or not value:
            raise _UsageError(f"{text}: expected name=/path")
        assignments[key.strip()] = os.path.normpath(value.strip())
    return Action(
        word,
        chosen=given.get("-i", ""),
        first="-a" in given,
        before_group=given.get("-g", ""),
        new_name=name,
        new_group=given.get("-G", ""),
        assignments=assignments,
    )
