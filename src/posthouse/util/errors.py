"""The errors that cross layers. Each kind has one effect (CONTRIBUTING, "Errors").

The fate of a recipient is never an exception: that is data (delivery/status.py).
"""

from posthouse.util.fatal import Fatal as Fatal  # noqa: PLC0414 - it belongs to these


class TemporaryError(Exception):
    """A lookup or an outside service does not answer now. Mail is deferred; it is never "not found"."""


class TableError(TemporaryError):
    """A lookup table cannot be read or asked now."""


class ConfigError(Exception):
    """A mistake in main.cf, master.cf or a table. Names where it is and what to do about it.

    why: in Postfix's words where it has some. remedy: what to do, where the words do not say so.
    """

    def __init__(self, why: str, *, file: str = "", line: int = 0, parameter: str = "", remedy: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self.file = file
        self.line = line
        self.parameter = parameter

    def __str__(self) -> str:
        """`file:line: parameter: why; remedy`, as far as it is known."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = ": ".join(part for part in (place, self.parameter, self.why) if part)
        return f"{text}; {self.remedy}" if self.remedy else text
