"""The event loop: uvloop where it is installed, asyncio otherwise (the only place that names uvloop)."""

import asyncio

try:  # here and not where the loop is made: warm(8) imports it once for all daemons, and afterwards nothing may be
    import uvloop
except ImportError:  # an accelerator, not a need
    _new_loop = asyncio.new_event_loop
else:
    _new_loop = uvloop.new_event_loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make and install this process's loop. Call it after confinement: libuv probes io_uring when a loop is made."""
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    return loop
