"""A line on the terminal that says how far it is; nothing where standard error is no terminal."""

import sys
import time
from typing import Final, Self

STEP_S: Final = 0.1  # between two looks


class Progress:
    """Call it as often as you like; use as a context manager, so that the line goes away."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._next = 0.0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def __call__(self, what: str, done: int, of: int = 0) -> None:
        """Say how much is done; of: of how much, if that is known."""
        now = time.monotonic()
        if self._is_shown and (now >= self._next or done == of):
            self._next = now + STEP_S
            self._show(f"{what}: {done:,} of {of:,} ({done * 100 // of} %)" if of else f"{what}: {done:,}")

    def _show(self, text: str) -> None:
        if self._is_shown and (text or self._width):
            sys.stderr.write(f"\r{text:<{self._width}}" + ("" if text else "\r"))
            sys.stderr.flush()
            self._width = len(text)
