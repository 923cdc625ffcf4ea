"""A process that has no descriptor left."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LIMIT: Final = 200  # descriptors


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let every open(2) fail with EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, before[1]))
    opened: list[int] = []
    try:
        while _can_open(opened):
            pass
        yield
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _can_open(opened: list[int]) -> bool:
    try:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True
