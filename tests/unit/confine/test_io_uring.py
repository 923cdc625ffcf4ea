"""io_uring is denied in a process that asked for it, and nothing else is."""

import subprocess
import sys

CODE = """
import ctypes, socket
from posthouse.confine.io_uring import IO_URING_SETUP, deny_io_uring
libc = ctypes.CDLL(None, use_errno=True)
deny_io_uring()
print(libc.syscall(IO_URING_SETUP, 1, None), ctypes.get_errno())
socket.socketpair()
import uvloop
loop = uvloop.new_event_loop()
loop.call_later(0.01, loop.stop)
loop.run_forever()
print("loop runs")
"""


def test_io_uring_is_denied_and_the_loop_runs() -> None:
    """EPERM for io_uring_setup; sockets and an event loop work as before."""
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["-1 1", "loop runs"]
