"""Counters: how often each command came and how often it went well, for the disconnect line (facts B04.32)."""

from typing import Final

ORDER: Final = ("helo", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "bdat", "rset", "noop", "vrfy", "etrn",
                "xclient", "xforward", "quit", "unknown")  # fmt: skip


class Counters:
    """Of one session."""

    __slots__ = ("_good", "_total")

    def __init__(self) -> None:
        self._total: dict[str, int] = {}
        self._good: dict[str, int] = {}

    def count(self, name: str) -> None:
        """A command has come."""
        self._total[name] = self._total.get(name, 0) + 1

    def succeeded(self, name: str) -> None:
        """It went well."""
        self._good[name] = self._good.get(name, 0) + 1

    def text(self) -> str:
        """Write "ehlo=1 mail=1 rcpt=0/1 ... commands=4/5"."""
        parts = []
        total_good = total = 0
        for name in ORDER:
            count = self._total.get(name)
            if count is None:
                continue
            good = self._good.get(name, 0)
            total_good += good
            total += count
            parts.append(f"{name}={count}" if good == count else f"{name}={good}/{count}")
        parts.append(f"commands={total}" if total_good == total else f"commands={total_good}/{total}")
        return " ".join(parts)
