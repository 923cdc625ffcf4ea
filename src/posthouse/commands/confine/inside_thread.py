"""Do something in a thread of its own, and hear what came of it."""

import _thread
from collections.abc import Callable


def in_thread(act: Callable[[], object]) -> None:
    """Run it. Raises what it raises; RuntimeError when no thread can be started."""
    done = _thread.allocate_lock()
    done.acquire()
    raised: list[OSError | RuntimeError] = []

    def run() -> None:
        try:
            act()
        except (OSError, RuntimeError) as error:
            raised.append(error)
        finally:
            done.release()

    _thread.start_new_thread(run, ())
    if not done.acquire(timeout=5):
        raise TimeoutError("the thread does not end")
    if raised:
        raise raised[0]
