"""A system whose wall clock a test sets while it runs, and no other: clock_gettime(2) and its like give more.

libfaketime does not fit: it moves the steady clock as well, and reads its file again and again, which the walls around
a daemon forbid. This library is a few lines of C, made by tcc: what it adds lies in a page of memory that each process
maps before its walls go up. It is preloaded by the interpreter of an environment made of links to the tests' own, so
that master, and warm with all daemons, get it; files get their times from the kernel, by the true clock.
"""

import mmap
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.instance import Options
from tests.support.peers import find_peer, peer_environment
from tests.support.servers import OURS, Posthouse

_LIBRARY: Final = """
struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };
int open(const char *, int, ...);
void *mmap(void *, unsigned long, int, int, int, long);
int close(int);
void *dlsym(void *, const char *);
static long none, *more;
static int (*real)(int, struct timespec *);

static void begin(void)
{
    int file = open("%s", 0);
    void *page = mmap(0, 4096, 1, 1, file, 0);
    more = page == (void *)-1 ? &none : page;
    close(file);
    real = dlsym((void *)-1L, "clock_gettime");
}

int clock_gettime(int clock, struct timespec *now)
{
    if (!real)
        begin();
    int result = real(clock, now);
    if (result == 0 && (clock == 0 || clock == 5))
        now->seconds += *more;
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    clock_gettime(0, &precise);
    now->seconds = precise.seconds;
    now->microseconds = precise.nanoseconds / 1000;
    return 0;
}

long time(long *result)
{
    struct timespec now;
    clock_gettime(0, &now);
    if (result)
        *result = now.seconds;
    return now.seconds;
}
"""


def without_executable_stack(library: bytes) -> bytes:
    """Add the program header that tcc leaves out: without it all stacks would be executable, which no wall lets pass.

    Source: elf(5): PT_GNU_STACK; the table of headers goes to the end of the file.
    """
    (table,) = struct.unpack_from("<Q", library, 32)  # e_phoff
    size, count = struct.unpack_from("<HH", library, 54)  # e_phentsize, e_phnum
    library += bytes(-len(library) % 8)
    headers = library[table : table + size * count] + struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)
    begin = library[:32] + struct.pack("<Q", len(library)) + library[40:56] + struct.pack("<H", count + 1)
    return begin + library[58:] + headers


class JumpingClock(Posthouse):
    """The system; set_clock() sets its clock."""

    def __init__(self, options: Options | None = None, directory: Path | None = None) -> None:
        if not find_peer("tcc"):
            pytest.skip("tcc is not here: make peers")
        super().__init__(options, directory)

    def prepare(self) -> None:
        """Make the library, and an interpreter that preloads it."""
        self._more = self.directory / "more"
        self._more.write_bytes(bytes(mmap.PAGESIZE))
        self._more.chmod(0o644)
        source, library = self.directory / "clock.c", self.directory / "clock.so"
        source.write_text(_LIBRARY % self._more, encoding="ascii")
        subprocess.run(
            [find_peer("tcc"), "-shared", "-nostdlib", "-o", library, source], check=True, env=peer_environment()
        )
        library.write_bytes(without_executable_stack(library.read_bytes()))
        library.chmod(0o755)
        place = self.directory / "python"
        (place / "bin").mkdir(parents=True)
        (place / "lib").symlink_to(OURS.parent / "lib")
        shutil.copy(OURS.parent / "pyvenv.cfg", place)
        interpreter = place / "bin" / "python"
        real = os.path.realpath(sys.executable)
        interpreter.write_text(
            f'#!/bin/bash\nexport LD_PRELOAD={library}\nexec -a "$0" {real} "$@"\n', encoding="utf-8"
        )
        interpreter.chmod(0o755)

    def program(self, name: str) -> str:
        """Give `postfix` run by that interpreter, and the other commands as they are."""
        if name != "postfix":
            return super().program(name)
        wrapper = self.directory / "postfix"
        command = f'exec {self.directory}/python/bin/python {super().program(name)} "$@"'
        wrapper.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        wrapper.chmod(0o755)
        return str(wrapper)

    def set_clock(self, ahead_s: int) -> None:
        """Set the system's clock: so many seconds ahead of the true one (negative: behind it)."""
        with self._more.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as page:
            page[:8] = struct.pack("q", ahead_s)
