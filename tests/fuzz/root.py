"""make fuzz: throw inputs at every decoder of the code that runs as root.

  python -m tests.fuzz.root [--inputs N] [--seed N] [--workers N] [--block N] [--only NAME]

Inputs come in blocks of a thousand. What is in a block follows from the seed and the block's number alone, so a run
can be repeated with any number of processes, and a finding with --seed and --block. The property of each target stands
in records.py and sequences.py; whatever breaks it, or takes too long, is printed and ends the run.
"""

import argparse
import os
import random
import secrets
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Final

from tests.fuzz import records, sequences
from tests.fuzz.records import Target

BLOCK: Final = 1000  # inputs
CPU_LIMIT_S: Final = 60  # of processor time for one block, which takes a tenth of a second
LIMIT_S: Final = 3600  # by the clock: nothing waits for ever. A run may be stopped and continued meanwhile
SHOWN: Final = 400  # octets of an input
EVERY_S: Final = 5.0  # progress


class Finding(Exception):
    """An input that breaks a property."""


def _hang(_number: int, _frame: object) -> None:
    raise Finding(f"a block has taken more than {CPU_LIMIT_S} s of processor time, or {LIMIT_S} s")


def run_block(targets: Sequence[Target], seed: int, block: int) -> None:
    """Try the inputs of one block. Raises Finding."""
    source = random.Random(f"{seed}/{block}")
    weights = [target.weight for target in targets]
    for target in source.choices(targets, weights, k=BLOCK):
        data = target.make(source)
        try:
            target.check(data)
        except BaseException as error:
            where = "".join(traceback.format_exception(error))
            shown = f"{len(data)} octets, {data[:SHOWN]!r}"
            raise Finding(f"{target.name}: {shown}\n{where}repeat with SEED={seed} BLOCK={block}") from error


def work(targets: Sequence[Target], seed: int, blocks: range, report: int) -> int:
    """Be one process of a run: a point for each block, and the exit status."""
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _hang)
    kept = [socket.socketpair() for _ in range(2)]  # low descriptors that are sockets, for systemd's
    try:
        for block in blocks:
            signal.alarm(LIMIT_S)
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
            run_block(targets, seed, block)
            os.write(report, b".")
    except Finding as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for pair in kept:
            for sock in pair:
                sock.close()
    return 0


def start(targets: Sequence[Target], seed: int, blocks: range) -> tuple[int, int]:
    """Start a process for these blocks; returns its number and the pipe on which it reports."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            code = work(targets, seed, blocks, writer)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    return pid, reader


def run(targets: Sequence[Target], seed: int, blocks: int, workers: int) -> bool:
    """Run all blocks; True when nothing was found."""
    began = shown = time.monotonic()
    started = [start(targets, seed, range(number, blocks, workers)) for number in range(workers)]
    done, readers = 0, [reader for _, reader in started]
    while readers:
        for reader in list(readers):
            points = os.read(reader, 64)
            done += len(points)
            if not points:
                readers.remove(reader)
                os.close(reader)
        if time.monotonic() - shown > EVERY_S:
            shown = time.monotonic()
            rate = done * BLOCK / (shown - began)
            print(f"{done * BLOCK:>11,} of {blocks * BLOCK:,} inputs, {rate:,.0f} a second", flush=True)
    statuses = [os.waitpid(pid, 0)[1] for pid, _ in started]
    print(f"{done * BLOCK:,} inputs to {len(targets)} decoders and loops in {time.monotonic() - began:.0f} s")
    return not any(statuses) and done == blocks


def main(argv: list[str] | None = None, others: Sequence[Target] = (), inputs: int = 10_000_000) -> int:
    """Run; exit status 1 when something was found. others: targets in place of those for root's code."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--inputs", type=int, default=inputs)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--block", type=int, help="this block only")
    parser.add_argument("--only", default="", help="only targets with this in their name")
    options = parser.parse_args(argv)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    everything = others or (*records.targets(), *sequences.targets())
    targets = [each for each in everything if options.only in each.name]
    print(f"SEED={seed}, {len(targets)} targets: {', '.join(target.name for target in targets)}", flush=True)
    if options.block is not None:
        reader, writer = os.pipe()
        os.close(reader) if (status := work(targets, seed, range(options.block, options.block + 1), writer)) else None
        return status
    good = run(targets, seed, max(1, options.inputs // BLOCK), options.workers)
    print("nothing found" if good else f"found something: repeat with SEED={seed} and the BLOCK named above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
