"""posthouse drain: take no new mail, let everything that is queued go out, and show that nothing is left."""

import getopt
import re
import sys
from typing import Final

USAGE: Final = """\
usage: posthouse drain [-c DIR] [--to HOST] [--try TIME] [--limit TIME] [--json]
       posthouse drain [-c DIR] --off

Takes no new mail (451 to clients, exit status 75 of sendmail), delivers what is queued, and says what is left.

  --to HOST     what could not be delivered is given to HOST, written as in relayhost: [mail2.example.org]:25
  --try TIME    how long delivery is tried before the rest goes to HOST (1m); s, m, h, d
  --limit TIME  give up after this time (no limit)
  --json        the outcome as JSON
  --off         take mail again

It stays in force over restarts until --off. Exit status 0: nothing is left. 75: something is.
"""
TIME: Final = re.compile(r"([0-9]{1,6})([smhd]?)", re.ASCII)
UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# A host name or an address, in brackets or not, and a port, as in postconf(5) relayhost.
HOST: Final = re.compile(r"(\[[A-Za-z0-9._:-]{1,253}\]|[A-Za-z0-9._-]{1,253})(:[A-Za-z0-9-]{1,32})?", re.ASCII)
EX_USAGE: Final = 64


def main(words: list[str]) -> int:
    """Run; returns the exit status."""
    from posthouse.commands.drain.drainer import Plan, run, run_off

    try:
        options, rest = getopt.getopt(words, "c:h", ["to=", "try=", "limit=", "json", "off", "help"])
        values = dict(options)
        if "-h" in values or "--help" in values:
            sys.stdout.write(USAGE)
            return 0
        plan = Plan(
            values.get("-c", ""),
            next_hop(values.get("--to", "")),
            seconds(values.get("--try", "1m")),
            seconds(values["--limit"]) if "--limit" in values else 0.0,
            as_json="--json" in values,
        )
    except (getopt.GetoptError, ValueError) as error:
        return wrong_use(str(error))
    if rest:
        return wrong_use(f"what is {rest[0]!r}?")
    return run_off(plan) if "--off" in values else run(plan)


def wrong_use(why: str) -> int:
    """Say so; returns the exit status."""
    sys.stderr.write(f"posthouse drain: {why}\n{USAGE}")
    return EX_USAGE


def next_hop(text: str) -> str:
    """Read a host as in relayhost; "" for none. Raises ValueError."""
    if text and HOST.fullmatch(text) is None:
        raise ValueError(f"--to {text}: write a host as in relayhost, [mail2.example.org]:25 for example")
    return text


def seconds(text: str) -> float:
    """Read a time as in main.cf. Raises ValueError."""
    found = TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time; write 90, 90s, 5m or 2h")
    return float(found[1]) * UNITS[found[2]]
