"""A server that speaks a broken MySQL: whatever it says, a lookup ends with a value or a TableError."""

import asyncio
import contextlib
import random
import struct
from pathlib import Path

from posthouse.util.errors import TableError
from tests.support.lookups import logged, opener

ROUNDS = 250
LENGTH = 3  # octets of a packet's length, in front of its number


def packet(number: int, body: bytes) -> bytes:
    """Frame a packet."""
    return struct.pack("<I", len(body))[:LENGTH] + bytes([number]) + body


GREETING = (
    b"\x0a5.5.5-10.11.6-MariaDB\0" + struct.pack("<I", 7) + b"abcdefgh\0" + struct.pack("<HBHH", 0xF7FE, 45, 2, 0x80BF)
    + bytes([21]) + bytes(10) + b"ijklmnopqrst\0mysql_native_password\0"
)  # fmt: skip
OK = b"\0\0\0\2\0\0\0"
COLUMN = b"\3def\0\0\0\1v\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0"
EOF = b"\xfe\0\0\2\0"
ROWS = packet(1, b"\1") + packet(2, COLUMN) + packet(3, EOF) + packet(4, b"\3one") + packet(5, EOF)
WHOLE = [packet(0, GREETING), packet(2, OK), ROWS]  # greeting, login, query


def spoil(chance: random.Random) -> list[bytes]:
    """Change what the server says in one to three places."""
    said = list(WHOLE)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(said))
        text = bytearray(said[place])
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(text):
            text[at] = chance.randrange(256)
        elif kind == 1:
            del text[at:]
        elif kind == 2:
            text[at:at] = chance.randbytes(chance.randrange(9))
        elif len(text) > LENGTH:  # shorter, in a frame that says so
            text = bytearray(packet(text[LENGTH], bytes(text[LENGTH + 1 : at])))
        said[place] = bytes(text)
    return said


class Liar:
    """The server: says the next thing whenever the client has said something, then hangs up."""

    def __init__(self) -> None:
        self.said = WHOLE

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client."""
        first, *rest = self.said
        writer.write(first)
        for text in rest:
            try:
                async with asyncio.timeout(0.05):
                    if not await reader.read(65536):
                        break
            except OSError:  # of time, too
                break
            writer.write(text)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def test_a_server_that_lies(tmp_path: Path) -> None:
    """The undisturbed dialogue gives the value; every disturbed one a value, nothing, or a TableError."""

    async def work() -> set[str]:
        liar, chance, seen = Liar(), random.Random(5), set()
        server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        path = tmp_path / "x.cf"
        path.write_text(f"hosts = 127.0.0.1:{port}\nuser = u\npassword = p\nquery = SELECT '%s'\ntimeout = 1\n")
        for number in range(ROUNDS):
            tables = opener()
            liar.said = spoil(chance) if number else WHOLE
            try:
                value = await tables.open(f"mysql:{path}").lookup("alpha")
                seen.add("nothing" if value is None else "value")
                assert number or value == "one"
            except TableError:
                seen.add("error")
            tables.close()
        server.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*left, return_exceptions=True)  # lookups that were given up are still ending
        await asyncio.sleep(0.1)
        return seen

    with logged():
        assert asyncio.run(work()) >= {"value", "error"}
