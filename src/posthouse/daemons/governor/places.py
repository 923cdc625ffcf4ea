"""Place: the room of a file system, asked of the kernel in a thread, because a network file system may never answer."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from posthouse.governor.measures import Space

LIMIT_S: Final = 5.0  # after so long without an answer a file system counts as hanging


class Place:
    """A directory. `space` is the last answer; None: none came yet. Each has a thread, so one holds up no other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *paths: str) -> None:
        self.path = paths[0]  # the first that is there counts
        self.space: Space | None = None
        self.device = 0
        self.error = ""
        self.is_told = False  # that it hangs
        self._loop = loop
        self._paths = paths
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="statvfs")
        self._asked = 0.0  # when; 0: nothing is under way

    def ask(self) -> "asyncio.Future[None] | None":
        """Ask again, unless an answer is still awaited; the future is done when `space` is new."""
        if self._asked:
            return None
        self._asked = self._loop.time()
        done: asyncio.Future[None] = self._loop.create_future()

        def answered(future: "asyncio.Future[tuple[int, Space]]") -> None:
            self._asked, self.is_told = 0.0, False
            error = future.exception()
            if error is None:
                (self.device, self.space), self.error = future.result(), ""
            else:
                self.error = str(error)
            done.set_result(None)

        self._loop.run_in_executor(self._pool, _look, self._paths).add_done_callback(answered)
        return done

    @property
    def hangs_s(self) -> float:
        """How long it has not answered; 0: it answers."""
        waited = self._loop.time() - self._asked if self._asked else 0.0
        return waited if waited > LIMIT_S else 0.0


def _look(paths: tuple[str, ...]) -> tuple[int, Space]:
    """Ask the kernel (thread). Raises OSError: none of the paths is there."""
    for path in paths[:-1]:
        try:
            return os.stat(path).st_dev, Space.of(os.statvfs(path))
        except OSError:
            continue
    return os.stat(paths[-1]).st_dev, Space.of(os.statvfs(paths[-1]))
