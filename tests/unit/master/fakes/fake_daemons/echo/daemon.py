"""Echo: says who it is, then gives every byte back until the client goes."""

import contextlib
import os
import socket

from posthouse.skeleton.daemon import Context, Daemon, Privileges, Service


class Echo(Service):
    """One process; any number of sessions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._greeting = f"{os.getpid()} {os.geteuid()} {context.settings.text('greeting')}\n".encode()

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Greet; a wakeup's "W" is echoed to nobody."""
        sock.setblocking(False)
        self._context.session_started()
        self._context.loop.add_reader(sock.fileno(), self._readable, sock)
        with contextlib.suppress(OSError):
            sock.send(self._greeting)

    def _readable(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(4096)
            if data == b"crash\n":
                os._exit(3)
            if data:
                sock.send(data)
                return
        except OSError:
            pass
        self._context.loop.remove_reader(sock.fileno())
        sock.close()
        self._context.session_ended()


DAEMON = Daemon(name="echo", start=Echo, parameters=(), privileges=Privileges(user="$mail_owner"))
