"""Counters: how often each command came and how often it went well, for the disconnect line (facts B04.32)."""

from typing import Final

_ORDER: Final = ("HELO", "EHLO", "XCLIENT", "XFORWARD", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET",
                 "NOOP", "VRFY", "ETRN", "QUIT", "UNKNOWN")  # fmt: skip
_NAMES: Final = {verb: verb.lower() for verb in (*_ORDER, "HELP")}
_place: Final = {verb: place for place, verb in enumerate((*_ORDER, "HELP"))}.__getitem__


class Counters:
    """Of one session, by verb in upper case. `total` and `good` are counted up where commands are handled."""

    __slots__ = ("good", "total")

    def __init__(self) -> None:
        self.total: dict[str, int] = {}
        self.good: dict[str, int] = {}

    def text(self) -> str:
        """Write "ehlo=1 mail=1 rcpt=0/1 ... commands=4/5"."""
        total, good = self.total, self.good
        parts = []
        for verb in sorted(total, key=_place):
            count, well = total[verb], good.get(verb, 0)
            parts.append(f"{_NAMES[verb]}={count}" if well == count else f"{_NAMES[verb]}={well}/{count}")
        commands, well = sum(total.values()), sum(good.values())
        parts.append(f"commands={commands}" if well == commands != 0 else f"commands={well}/{commands}")
        return " ".join(parts)
