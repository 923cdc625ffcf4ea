"""Counters: how often each command came and how often it went well, for the disconnect line (facts B04.32)."""

from typing import Final

_ORDER: Final = ("HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "ETRN",
                 "XCLIENT", "XFORWARD", "QUIT", "UNKNOWN")  # fmt: skip
_PLACES: Final = {verb: place for place, verb in enumerate(_ORDER)}
_LAST: Final = len(_ORDER)


class Counters:
    """Of one session."""

    __slots__ = ("_good", "_total")

    def __init__(self) -> None:
        self._total: dict[str, int] = {}
        self._good: dict[str, int] = {}

    def count(self, verb: str) -> None:
        """A command has come."""
        self._total[verb] = self._total.get(verb, 0) + 1

    def succeeded(self, verb: str) -> None:
        """It went well."""
        self._good[verb] = self._good.get(verb, 0) + 1

    def text(self) -> str:
        """Write "ehlo=1 mail=1 rcpt=0/1 ... commands=4/5"."""
        parts = []
        total, good = self._total, self._good
        for verb in sorted(total, key=lambda verb: _PLACES.get(verb, _LAST)):
            count, well = total[verb], good.get(verb, 0)
            parts.append(f"{verb.lower()}={count}" if well == count else f"{verb.lower()}={well}/{count}")
        commands, well = sum(total.values()), sum(good.values())
        parts.append(f"commands={commands}" if well == commands else f"commands={well}/{commands}")
        return " ".join(parts)
