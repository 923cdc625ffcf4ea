"""A small assembler for filters of system calls: "this call, when these arguments are so" becomes classic BPF.

Knows no policy. The kernel remembers calls that are allowed whatever their arguments are, so the order of those does
not matter. Sources: seccomp(2), the kernel's userspace-api/seccomp_filter.
"""

import errno
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

KILL: Final = 0x80000000
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000 | errno.EPERM
PRETEND_ABSENT: Final = 0x00050000 | errno.ENOSYS

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_INSTRUCTION: Final = struct.Struct("HBBI")
_X32: Final = 0x40000000  # calls of the x32 ABI on x86_64

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class When:
    """A condition: the low 32 bits of an argument (or the high ones), masked, are one of these values.

    The kernel takes most arguments as 32 bits; for pointers both halves must be looked at.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    high: bool = False


Alternatives = tuple[tuple[When, ...], ...]  # allowed when all conditions of one of them hold; () always
Calls = Mapping[int, Alternatives]


def assemble(architecture: int, calls: Calls, absent: frozenset[int]) -> bytes:
    """Make the program: `calls` are allowed, `absent` answer ENOSYS, everything else EPERM.

    A call by another architecture's convention kills the process: it can only be an attack.
    """
    return _program(architecture, calls, absent, ALLOW, REFUSE)


def assemble_refusals(architecture: int, refused: Iterable[int], also: Calls, absent: frozenset[int]) -> bytes:
    """Make a program the other way round: `refused` answer EPERM, `also` where the conditions hold; the rest may be."""
    return _program(architecture, {**dict.fromkeys(refused, ()), **also}, absent, REFUSE, ALLOW)


def _program(architecture: int, calls: Calls, absent: frozenset[int], listed: int, otherwise: int) -> bytes:
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, KILL),
    ]
    for number, alternatives in calls.items():
        body = _alternatives(alternatives, listed, otherwise)
        program += [(_EQUAL, 0, len(body), number), *body]
    for number in absent:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, PRETEND_ABSENT)]
    program.append((_RETURN, 0, 0, otherwise))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def _alternatives(alternatives: Alternatives, listed: int, otherwise: int) -> list[Instruction]:
    if not alternatives:
        return [(_RETURN, 0, 0, listed)]
    body: list[Instruction] = []
    for conditions in alternatives:
        body += _all_of(conditions, listed)
    return [*body, (_RETURN, 0, 0, otherwise)]


def _all_of(conditions: tuple[When, ...], listed: int) -> list[Instruction]:
    """One alternative: falls through to the next one when a condition does not hold."""
    blocks = [_condition(condition) for condition in conditions]
    body: list[Instruction] = []
    for place, block in enumerate(blocks):
        rest = sum(map(len, blocks[place + 1 :])) + 1  # to behind the final RETURN
        *tests, (code, found, _, value) = block
        body += [*tests, (code, found, rest, value)]
    return [*body, (_RETURN, 0, 0, listed)]


def _condition(condition: When) -> list[Instruction]:
    """Load and compare; the last comparison's way out is set by the caller."""
    block: list[Instruction] = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument + 4 * condition.high)]
    if condition.mask != 0xFFFFFFFF:
        block.append((_AND, 0, 0, condition.mask))
    left = len(condition.values)
    for value in condition.values:
        left -= 1
        block.append((_EQUAL, left, 0, value))
    return block
