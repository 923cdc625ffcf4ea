"""postconf -b and -t: the texts of notices as bounce(8) writes them, in the form of bounce(5) templates."""

from collections.abc import Iterable

from posthouse.config.settings import Settings
from posthouse.daemons.bounce.service import notice_texts
from posthouse.ipc.bounce import DELAYED, DELIVERED, FAILED
from posthouse.protocol.message.report import Texts, delay_texts, failure_texts, success_texts


def as_templates() -> str:
    """Write the texts with names in place of what they stand for."""
    host = "$myhostname"
    delay = delay_texts(host, "$delay_warning_time_hours", "$maximal_queue_lifetime_days")
    return _blocks((("failure", failure_texts(host)), ("delay", delay), ("success", success_texts(host))))


def expanded(settings: Settings) -> str:
    """Write the texts as recipients of notices get them. Raises ConfigError."""
    texts = notice_texts(settings)
    return _blocks((("failure", texts[FAILED]), ("delay", texts[DELAYED]), ("success", texts[DELIVERED])))


def _blocks(named: Iterable[tuple[str, Texts]]) -> str:
    blocks = []
    for name, texts in named:
        lines = [
            f"{name}_template = <<EOF",
            "Charset: us-ascii",
            f"From: {texts.sender_name} <MAILER-DAEMON>",
            f"Subject: {texts.subject}",
            "",
            *texts.lines,
            "EOF",
        ]
        blocks.append("".join(f"{line}\n" for line in lines))
    return "\n".join(blocks)
