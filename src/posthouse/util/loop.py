"""The event loop: uvloop where it is installed, asyncio otherwise (the only place that names uvloop)."""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make and install this process's loop. Call it after confinement: libuv probes io_uring when a loop is made."""
    try:
        import uvloop  # noqa: PLC0415 - an accelerator, not a need
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
