"""How a proof is told: a matrix of attempts and daemons, a table of one daemon, a summary, JSON."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final, NamedTuple

from posthouse.commands.confine.attempt import Answer, Outcome
from posthouse.commands.confine.prover import Proof

SIGNS: Final = {
    Answer.REFUSED: "+",
    Answer.THROUGH: "!",
    Answer.NO_WALL: "o",
    Answer.ALLOWED: "a",
    Answer.ABSENT: ".",
    Answer.WORKS: "+",
    Answer.FAILS: "!",
}
LEGEND: Final = "+ refused   ! LET THROUGH   o nothing here can refuse it   a allowed by its rules   . does not apply"
NEEDED: Final = "(in parentheses: what would refuse it, and is not to be had here)"
COLOURS: Final = {Answer.THROUGH: "31;1", Answer.FAILS: "31;1", Answer.NO_WALL: "33", Answer.REFUSED: "32"}
NAME_WIDTH, WALLS_WIDTH = 40, 40


class Kernel(NamedTuple):
    """What the proof was made on."""

    landlock: int  # version in use
    missing: tuple[str, ...]
    as_root: bool

    @property
    def text(self) -> str:
        """Say it in a line."""
        version = f"Landlock version {self.landlock}" if self.landlock else "no Landlock"
        user = "three users" if self.as_root else f"one user (uid {os.geteuid()}), without root"
        return f"Linux {platform.release()}, {version}, {user}"


def coloured(text: str, code: str | None) -> str:
    """Colour a text on a terminal that wants it."""
    if code is None or not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def told(proofs: Sequence[Proof], kernel: Kernel) -> Iterator[str]:
    """Give the lines of the report."""
    yield kernel.text
    for what in kernel.missing:
        yield coloured(f"this kernel lacks {what}", "33")
    yield ""
    yield from _table(proofs[0]) if len(proofs) == 1 else _matrix(proofs)
    yield ""
    yield from _failures(proofs)
    yield from _remarks(proofs)
    yield _summary(proofs)


def _matrix(proofs: Sequence[Proof]) -> Iterator[str]:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for letter, proof in zip(letters, proofs, strict=False):
        counts = f"{_count(proof, Answer.REFUSED)} refused"
        works = sum(outcome.answer is Answer.WORKS for outcome in proof.allowed)
        allowed = f"{works} of {len(proof.allowed)} allowed work"
        yield f"  {letter}  {proof.program:<16} {proof.user:<12} {counts:<12} {allowed}"
    yield ""
    head = " ".join(letters[: len(proofs)])
    yield f"{'attempt':<{NAME_WIDTH}} {head}  {'refused by'}"
    for name in _names(proofs):
        found = [_find(proof, name) for proof in proofs]
        signs = " ".join(_sign(outcome) for outcome in found)
        yield f"{_cut(name):<{NAME_WIDTH}} {signs}  {_walls(found)}"
    yield ""
    yield LEGEND
    yield NEEDED


def _names(proofs: Sequence[Proof]) -> list[str]:
    return list(dict.fromkeys(outcome.name for proof in proofs for outcome in proof.attempts))


def _find(proof: Proof, name: str) -> Outcome | None:
    return next((outcome for outcome in proof.attempts if outcome.name == name), None)


def _sign(outcome: Outcome | None) -> str:
    return "?" if outcome is None else coloured(SIGNS[outcome.answer], COLOURS.get(outcome.answer))


def _cut(text: str) -> str:
    return text if len(text) <= NAME_WIDTH else text[: NAME_WIDTH - 1] + "~"


def _walls(found: Sequence[Outcome | None]) -> str:
    there = [outcome for outcome in found if outcome is not None]
    stands = [outcome for outcome in there if outcome.answer is not Answer.NO_WALL]
    names = dict.fromkeys(wall for outcome in stands for wall in outcome.walls)
    missing = dict.fromkeys(wall for outcome in there for wall in outcome.walls)
    text = ", ".join(names) or ", ".join(f"({wall})" for wall in missing)
    return text if len(text) <= WALLS_WIDTH else text[: WALLS_WIDTH - 1] + "~"


def _table(proof: Proof) -> Iterator[str]:
    yield f"{proof.program} as {proof.user}"
    yield f"{'attempt':<46} {'':<12} {'kernel':<8} walls"
    for outcome in proof.attempts:
        answer = coloured(f"{outcome.answer.value:<12}", COLOURS.get(outcome.answer))
        yield f"{outcome.name:<46} {answer} {outcome.said:<8} {', '.join(outcome.walls)}".rstrip()
    yield ""
    yield "what it may do"
    for outcome in proof.allowed:
        answer = coloured(f"{outcome.answer.value:<6}", COLOURS.get(outcome.answer))
        yield f"{answer} {outcome.said:<8} {outcome.name}"


def _failures(proofs: Sequence[Proof]) -> Iterator[str]:
    for proof in proofs:
        if proof.problem:
            yield coloured(f"{proof.program}: {proof.problem}", "31;1")
        for outcome in (*proof.attempts, *proof.allowed):
            if not outcome.good:
                said = f" (the kernel said {outcome.said})" if outcome.said else ""
                walls = f"; it should be refused by: {', '.join(outcome.walls)}" if outcome.walls else ""
                yield coloured(f"{proof.program}: {outcome.answer.value}: {outcome.name}{said}{walls}", "31;1")


def _remarks(proofs: Sequence[Proof]) -> Iterator[str]:
    for proof in proofs:
        if proof.executes:
            yield f"{proof.program} runs commands of users, with all the rights of its user: it has fewer walls"


def _count(proof: Proof, answer: Answer) -> int:
    return sum(outcome.answer is answer for outcome in proof.attempts)


def _summary(proofs: Sequence[Proof]) -> str:
    numbers = totals(proofs)
    text = f"{numbers['attempts']} attempts, {numbers['daemons']} daemons, {numbers['let_through']} let through"
    text += f"; {numbers['works']} things that are allowed, {numbers['fails']} of them fail"
    if numbers["no_wall"]:
        text += f"; {numbers['no_wall']} that nothing here can refuse"
    if numbers["ended"]:
        text += f"; {numbers['ended']} daemons came to no end"
    return coloured(text, "32" if all(proof.good for proof in proofs) else "31;1")


def totals(proofs: Sequence[Proof]) -> dict[str, int]:
    """Give the numbers of the summary."""
    tried = (Answer.REFUSED, Answer.THROUGH, Answer.NO_WALL)
    return {
        "attempts": sum(_count(proof, answer) for proof in proofs for answer in tried),
        "daemons": len(proofs),
        "let_through": sum(_count(proof, Answer.THROUGH) for proof in proofs),
        "no_wall": sum(_count(proof, Answer.NO_WALL) for proof in proofs),
        "works": sum(len(proof.allowed) for proof in proofs),
        "fails": sum(not outcome.good for proof in proofs for outcome in proof.allowed),
        "ended": sum(bool(proof.problem) for proof in proofs),
    }


def as_json(proofs: Sequence[Proof], kernel: Kernel) -> dict[str, object]:
    """Give everything."""
    return {
        "kernel": {"release": platform.release(), **kernel._asdict()},
        "passed": all(proof.good for proof in proofs),
        "summary": totals(proofs),
        "daemons": [
            {
                "daemon": proof.program,
                "user": proof.user,
                "problem": proof.problem,
                "attempts": [_plain(outcome) for outcome in proof.attempts],
                "allowed": [_plain(outcome) for outcome in proof.allowed],
            }
            for proof in proofs
        ],
    }


def _plain(outcome: Outcome) -> dict[str, object]:
    return {**asdict(outcome), "answer": outcome.answer.value, "error": outcome.said}
