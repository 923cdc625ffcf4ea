"""The warning: what is scarce, since when, what was done, what the administrator can do. As a message and as JSON."""

from dataclasses import dataclass
from typing import Final

from posthouse.governor import conditions as c
from posthouse.governor.forecast import Forecast
from posthouse.governor.level import Level
from posthouse.governor.units import format_bytes, format_seconds

ADVICE: Final = {
    c.QUEUE_SPACE: (
        "Look at what is queued (postqueue -p, posthouse status) and why it is not delivered.",
        "Remove what nobody wants (postsuper -d), or other files on that file system.",
        "Make the file system larger, or lower message_size_limit or queue_minfree.",
    ),
    c.QUEUE_INODES: ("Remove small files on that file system (df -i shows where they are).",),
    c.MAILBOX_SPACE: (
        "Mail for these mailboxes waits in the queue until there is room.",
        "Remove old mail or make the file system larger; mailbox_size_limit bounds what one mailbox takes.",
    ),
    c.MAILBOX_INODES: ("Remove old mail of Maildirs, or other small files (df -i shows where they are).",),
    c.MEMORY: (
        "Look which programs use it (ps, systemd-cgtop); Posthouse's own share is in posthouse status.",
        "Raise the limit of the control group (MemoryMax=), or lower the number of sessions in master.cf.",
    ),
    c.MEMORY_PRESSURE: ("Look which programs use memory (ps, systemd-cgtop).",),
    c.IO_PRESSURE: ("Look what keeps the disk busy (iotop, iostat -x). Give the queue a disk of its own.",),
    c.DESCRIPTORS: ("Raise the limit (LimitNOFILE=, fs.file-max), or lower the number of sessions in master.cf.",),
    c.PROCESSES: ("Raise the limit (TasksMax=, kernel.threads-max), or find what starts so many.",),
    c.LOOP_DELAY: ("The processors are busy: look with top. A slow table or a slow disk can be the cause too.",),
    c.QUEUE_AGE: ("Look which destinations are slow (postqueue -p).",),
    c.SERVICES: (
        "Look in the mail log for what master and that daemon say: fatal, panic, error, watchdog.",
        "After a mistake in the configuration is mended (postfix check): postfix reload.",
        "Mail for what is missing waits; nothing that was accepted is lost.",
    ),
    c.CERTIFICATE: ("Renew the certificate, then: postfix reload.",),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning. `value` says the present state in words, with its numbers."""

    hostname: str
    key: str  # condition, or condition:place
    level: Level
    value: str
    at: str  # the time it is sent, as in a Date: field
    since: str  # the same for its beginning; "" when only the forecast speaks
    done: str  # the steps in force
    next: str  # what comes next if it goes on; "": nothing
    numbers: dict[str, float]
    forecast: Forecast | None = None
    floor: float = 0.0  # where mail is refused: what the forecast is about

    @property
    def headline(self) -> str:
        """Say it in one line."""
        what = c.title(self.key)
        if self.forecast is not None and self.level < Level.CRITICAL:
            verb = "refuses mail" if c.kind_of(self.key)[0] in (c.QUEUE_SPACE, c.QUEUE_INODES) else "full"
            return f"{what} {verb} in about {format_seconds(self.forecast.seconds)} at this rate"
        return f"{what} {self.level.word}: {self.value}"

    def body(self) -> str:
        """Write the text of the message, LF line ends."""
        lines = [
            f"The mail system at {self.hostname} is short of something it needs.",
            "",
            f"What:      {c.title(self.key)}: {self.level.word}",
            f"Now:       {self.value}",
        ]
        if self.since:
            lines.append(f"Since:     {self.since}")
        if self.forecast is not None:
            lines.append(f"Forecast:  {self._forecast_text(self.forecast)}")
        lines.append(f"Done:      {self.done}")
        if self.next:
            lines.append(f"Next:      {self.next}")
        lines += ["", "What you can do:", *(f"  * {line}" for line in ADVICE[c.kind_of(self.key)[0]])]
        lines += ["", "Mail is still being delivered. This warning comes at most once an hour for each of its causes."]
        return "\n".join(lines) + "\n"

    def _forecast_text(self, forecast: Forecast) -> str:
        condition = c.kind_of(self.key)[0]
        rate = f"{forecast.rate * 3600:.0f} files" if "inodes" in condition else format_bytes(forecast.rate * 3600)
        return (
            f"{rate} an hour, watched for {format_seconds(forecast.watched_s)}: "
            f"at this rate {'mail is refused' if 'queue' in condition else 'full'} "
            f"in about {format_seconds(forecast.seconds)}"
        )

    def as_json(self) -> dict[str, object]:
        """Give the same for the webhook."""
        seconds = None if self.forecast is None else round(self.forecast.seconds, 1)
        rate = None if self.forecast is None else round(self.forecast.rate, 3)
        return {
            "host": self.hostname,
            "condition": self.key,
            "level": self.level.word,
            "headline": self.headline,
            "value": self.value,
            "time": self.at,
            "since": self.since,
            "done": self.done,
            "next": self.next,
            "forecast_seconds": seconds,
            "rate_per_second": rate,
            "numbers": self.numbers,
            "advice": list(ADVICE[c.kind_of(self.key)[0]]),
        }
