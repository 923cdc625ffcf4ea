"""postconf -b and -t: templates of notices, with and without their $names expanded; those of a file, or built in."""

import re
from typing import Final

from posthouse.commands.postconf_text import UsageError, warn
from posthouse.config import catalog
from posthouse.config.settings import Settings
from posthouse.config.usage import references
from posthouse.protocol.message.report import Texts, delay_texts, failure_texts, success_texts, verify_texts
from posthouse.protocol.message.templates import Template, TemplateError, block, parse_templates

UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
_TIMES: Final = re.compile(rf"(delay_warning_time|maximal_queue_lifetime)_({'|'.join(UNITS)})", re.ASCII)
_POSTMASTER: Final = {
    "failure": "Postmaster Copy: Undelivered Mail",
    "delay": "Postmaster Warning: Delayed Mail",
}


def templates(path: str = "") -> dict[str, Template]:
    """Give all four: a file's, where it has them. Raises UsageError: it cannot be read or used."""
    host = "$myhostname"
    delay = delay_texts(host, "$delay_warning_time_hours", "$maximal_queue_lifetime_days")
    texts = {
        "failure": failure_texts(host),
        "delay": delay,
        "success": success_texts(host),
        "verify": verify_texts(host),
    }
    built_in = {name: _template(name, each) for name, each in texts.items()}
    if not path:
        return built_in
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return parse_templates(file.read(), built_in, lambda what: warn(f"{path}, {what}"))
    except OSError as error:
        raise UsageError(f"open {path}: {error.strerror}") from None
    except TemplateError as error:
        raise UsageError(f"{path}, {error}") from None


def _template(name: str, texts: Texts) -> Template:
    sender = f"{texts.sender_name} <MAILER-DAEMON>"
    return Template("us-ascii", sender, texts.subject, _POSTMASTER.get(name, ""), texts.lines)


def unexpanded(path: str = "") -> str:
    """Write the templates as a file has them. Raises UsageError."""
    return "\n".join(template.dump(name) for name, template in templates(path).items())


def expanded(settings: Settings, path: str = "") -> str:
    """Write the texts as recipients of notices get them. Raises UsageError, ConfigError."""
    where = path or "built-in template"
    blocks = []
    for name, template in templates(path).items():
        lines = tuple(_expanded(settings, line, name, where) for line in template.lines)
        blocks.append(block(f"expanded_{name}_text", lines))
    return "\n".join(blocks)


def _expanded(settings: Settings, line: str, name: str, where: str) -> str:
    values = {}
    for reference in references(line):
        if found := _TIMES.fullmatch(reference):
            seconds = int(_seconds(settings, found[1]))
            values[reference] = str(seconds // UNITS[found[2]])
            if seconds and values[reference] == "0":
                warn(f'{where}: zero result in {name} template conversion of parameter "{reference}"')
        elif not settings.is_set(reference) and catalog.default_of(reference) is None:
            raise UsageError(f"{where}: undefined $name in {name} template: {line}")
    return settings.overlaid(values).expand(line)


def _seconds(settings: Settings, name: str) -> float:
    from posthouse.config.parameters import DELAY_WARNING_TIME, MAXIMAL_QUEUE_LIFETIME

    return settings[DELAY_WARNING_TIME if name == DELAY_WARNING_TIME.name else MAXIMAL_QUEUE_LIFETIME]
