"""Explainer: one part of an explanation. Where what later work adds joins: make one and put it into the table.

A subject ("address", "session", "parameter") is explained by its explainers in their order; each writes its sections
into the report. The daemons are not asked to explain themselves: an explainer runs their code in this process, with
neighbours of its own (neighbours.py) and tables that tell what they were asked (record.py).
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Final

from posthouse.commands.explain.model import Report
from posthouse.commands.explain.situation import Situation


class Explainer(ABC):
    """See the module's docstring. subject: what it belongs to; name: of its section."""

    subject: ClassVar[str]
    name: ClassVar[str]

    @abstractmethod
    async def explain(self, situation: Situation, report: Report) -> None:
        """Add to the report. Raises ConfigError: the daemon would not start with this configuration."""


class Registry:
    """The explainers of all subjects, in the order in which they were added."""

    def __init__(self) -> None:
        self._explainers: list[Explainer] = []

    def add(self, explainer: Explainer) -> None:
        """Take one more."""
        self._explainers.append(explainer)

    def of(self, subject: str) -> list[Explainer]:
        """Give those of a subject."""
        return [each for each in self._explainers if each.subject == subject]


EXPLAINERS: Final = Registry()
