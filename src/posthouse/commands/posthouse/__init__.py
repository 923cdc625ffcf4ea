"""posthouse: the umbrella command, for what Postfix has no command for."""

import sys
from importlib import import_module
from typing import Final

USAGE: Final = """\
usage: posthouse COMMAND [options]

  run                  try it: a mail system in ./var, in the foreground, without root, on 127.0.0.1:2525
  check [-c DIR]       look for mistakes in main.cf, master.cf and tables; changes nothing (--json, --strict)
  explain WHAT         why: where an address goes, what a client would hear, where a parameter's value comes from
  status [-c DIR]      is it running, and what is in the queue (--json; for probes --live, --ready)
  drain [--to HOST]    take no new mail, empty the queue, and show that nothing is left; --off ends it
  confine WHAT         what each daemon may do: show it, prove it on this kernel, explain a denial in the log
  queue WHAT           verify the queue's store, repair it, back it up while mail flows, restore it
  policies WHAT        AppArmor profiles, an SELinux module, systemd units, manual pages; from what daemons declare
  NAME ...             any of Postfix's commands: postfix, postconf, postqueue, postsuper, postcat, postmap, ...
  --version            the version
"""
OWN: Final = {"run": "run", "status": "status"}
# Commands that are a package beside this one.
PACKAGES: Final = frozenset({"check", "confine", "drain", "explain", "policies", "queue"})
POSTFIX: Final = frozenset(
    {
        "mailq", "newaliases", "postalias", "postcat", "postconf", "postfix", "postkick", "postlock",
        "postlog", "postmap", "postmulti", "postqueue", "postsuper", "qshape", "sendmail",
    }
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = (sys.argv if argv is None else argv)[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if words else 64
    name, rest = words[0], words[1:]
    if name == "--version":
        version = import_module("importlib.metadata").version("posthouse")  # no other command need wait for this import
        sys.stdout.write(f"posthouse {version}\n")
        return 0
    if name in OWN:
        return int(import_module(f"posthouse.commands.posthouse.{OWN[name]}").main(rest))
    if name in PACKAGES:
        return int(import_module(f"posthouse.commands.{name}").main(rest))
    if name in POSTFIX:
        sys.argv = [name, *rest]
        return int(import_module(f"posthouse.commands.{name}").main())
    sys.stderr.write(f"posthouse: no such command: {name}\n{USAGE}")
    return 64
