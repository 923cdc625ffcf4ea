"""Trace: who wants to follow an address on its way (`posthouse explain`) is told of each rule that looked at it.

A Rewriter carries it to all that is made with that Rewriter. Daemons have none; where there is none, nothing is said.
"""

from typing import Protocol


class Trace(Protocol):
    """The listener."""

    def told(self, rule: str, subject: str, result: str) -> None:
        """Take one step. rule: mostly the parameter's name. result: equal to the subject where nothing changed."""
