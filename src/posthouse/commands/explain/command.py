"""The command line of posthouse explain: options, configuration, explainers, output."""

import asyncio
import getopt
import ipaddress
import json
import os
import sys
from importlib import import_module
from typing import Final

from posthouse.commands.explain.explainer import EXPLAINERS
from posthouse.commands.explain.model import Report
from posthouse.commands.explain.situation import ExplainError, Situation
from posthouse.commands.explain.text import Painter, wants_colour
from posthouse.commands.orders.begin import read_files
from posthouse.commands.orders.main import parse_configuration
from posthouse.config.load import Configuration, config_directory
from posthouse.util.errors import ConfigError, Fatal
from posthouse.util.log import LOG, NullSink

EX_USAGE: Final = 64
EX_CONFIG: Final = 78
COMMON: Final = ("json",)
OPTIONS: Final = {
    "address": ("sender=", "dns"),
    "delivery": ("dns",),
    "parameter": (),
    "session": ("client=", "name=", "reverse-name=", "helo=", "from=", "to=", "sasl=", "size=", "service=", "dns"),
}
NEEDED: Final = {"session": ("client", "helo", "from", "to")}
MODULES: Final = {
    "address": ("address",),
    "delivery": ("delivery",),
    "parameter": ("parameter",),
    "session": ("session",),
}  # whose import adds the explainers of a subject
NO_SASL: Final = "SASL is not built yet: a client that logs in as {} is treated like one that does not"


class UsageError(Exception):
    """The command line is wrong; str() says what is."""


def main(subject: str, words: list[str], usage: str) -> int:
    """Explain; 78 when the configuration is so wrong that the daemon would not start."""
    try:
        options, arguments = _options(subject, words)
    except (getopt.GetoptError, UsageError) as error:
        sys.stderr.write(f"posthouse explain {subject}: {error}\n{usage}")
        return EX_USAGE
    try:
        report = asyncio.run(explain(subject, options, arguments))
    except ExplainError as error:
        sys.stderr.write(f"posthouse explain {subject}: {error}\n")
        return error.status
    except (ConfigError, Fatal) as error:
        sys.stderr.write(f"posthouse explain {subject}: {error}\n")
        return EX_CONFIG
    finally:
        LOG.open("posthouse", NullSink())
    if "json" in options:
        sys.stdout.write(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in Painter(colour=wants_colour(sys.stdout)).lines(report))
    return 0


async def explain(subject: str, options: dict[str, list[str]], arguments: list[str] | None = None) -> Report:
    """Ask all explainers of a subject. Raises ConfigError, Fatal."""
    for module in MODULES[subject]:
        import_module(f"posthouse.commands.explain.{module}")
    configuration = read_configuration(options["c"][-1] if options.get("c") else None)
    situation = Situation(configuration, {**options, "argument": arguments or []}, asks_dns="dns" in options)
    LOG.open("posthouse", situation.recorder)
    report = Report(subject, _asked(options, arguments or []), configuration.directory)
    if user := situation.word("sasl"):
        report.note(NO_SASL.format(user))
    try:
        for explainer in EXPLAINERS.of(subject):
            await explainer.explain(situation, report)
    finally:
        situation.close()
    return report


def _asked(options: dict[str, list[str]], arguments: list[str]) -> dict[str, object]:
    """Give the question as the report shows it: recipients are a list, an option without value is true."""
    asked: dict[str, object] = {"argument": arguments[-1]} if arguments else {}
    for name, values in options.items():
        if name not in ("c", "json"):
            asked[name] = values if name == "to" else name == "dns" or values[-1]
    return asked


def read_configuration(option: str | None) -> Configuration:
    """Read main.cf and master.cf as the orders process of a start does. Raises ConfigError, Fatal."""
    return parse_configuration(read_files(os.path.abspath(config_directory(option))))


def _options(subject: str, words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Read the options. Raises GetoptError, UsageError."""
    pairs, arguments = getopt.gnu_getopt(words, "c:", [*COMMON, *OPTIONS[subject]])
    options: dict[str, list[str]] = {}
    for name, value in pairs:
        options.setdefault(name.lstrip("-"), []).append(value)
    missing = [f"--{name}" for name in NEEDED.get(subject, ()) if name not in options]
    if missing:
        raise UsageError(f"{', '.join(missing)} must be given")
    if len(arguments) != (0 if subject == "session" else 1):
        raise UsageError("there must be one argument" if subject != "session" else f"no such option: {arguments[0]}")
    _check(options)
    return options, arguments


def _check(options: dict[str, list[str]]) -> None:
    for address in options.get("client", ()):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise UsageError(f"--client {address}: not an IP address") from None
    for size in options.get("size", ()):
        if not (size.isascii() and size.isdigit()):
            raise UsageError(f"--size {size}: not a number of bytes")
