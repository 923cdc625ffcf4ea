"""Drainer: puts a drain in force, flushes until nothing moves any more, hands over the rest, and takes stock."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Final

from posthouse.commands.drain.ledger import NOT_TAKEN, SPOOL, UNKNOWN, Standing, standing, table
from posthouse.commands.posthouse.status import ask_governor
from posthouse.commands.progress import Progress
from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    NotSuperuserError,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
    require_superuser,
)
from posthouse.config.load import config_directory as find_config_directory
from posthouse.config.load import load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.governor.drain import end_drain, write_drain
from posthouse.ipc.governor import Picture
from posthouse.ipc.showq import Count, Counts, Flush
from posthouse.util.errors import ConfigError

LOOK_S: Final = 0.25
FLUSH_S: Final = 5.0
HEARD_S: Final = 15.0  # how long the daemons may take to hear of it
QUIET_LOOKS: Final = 4  # nothing moved in so many looks: everything has been tried once


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for. limit_s 0: none."""

    config_directory: str
    to: str
    try_s: float
    limit_s: float
    as_json: bool


@dataclass(slots=True)
class Outcome:
    """What came of it. handed_over: messages that were left when the rest began to go to another host."""

    before: Standing
    after: Standing
    handed_over: int
    seconds: float


class NotDrainableError(Exception):
    """It cannot be done now; str() says why and what to do."""


class Drainer:
    """Of one running system."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._client = QueueClient(plan.config_directory, steering=True)
        self._settings = self._client.settings
        self._directory = self._settings[QUEUE_DIRECTORY]
        if not self._client.is_served:
            raise NotDrainableError("the mail system is not running, and draining needs it: postfix start")

    async def drain(self, progress: Progress) -> Outcome:
        """Do it. Raises NotDrainableError, QueueUnavailableError, RefusedError, OSError."""
        began = time.monotonic()
        before = await self._look()
        write_drain(self._directory, "")
        await self._heard()
        now, handed_over = before, 0
        deadline = began + self._plan.limit_s if self._plan.limit_s else float("inf")
        hand_over_at = time.monotonic() + self._plan.try_s if self._plan.to else float("inf")
        flushed = quiet = 0.0
        while True:
            if time.monotonic() - flushed > FLUSH_S:
                flushed = time.monotonic()
                await self._client.ask(Flush(self._client.next_id()))
            await asyncio.sleep(LOOK_S)
            last, now = now, await self._look()
            progress("left" if now.total else "nothing left; clients still connected", now.total or now.sessions)
            if now.empty or time.monotonic() > deadline:
                break
            under_way = now.places["incoming"] + now.places["active"] + now.places["maildrop"]
            quiet = 0 if under_way or now != last else quiet + 1
            if quiet >= QUIET_LOOKS and not now.sessions and not now.moving:
                break  # nothing of what is left goes by itself
            if (quiet >= QUIET_LOOKS or time.monotonic() > hand_over_at) and self._plan.to and not handed_over:
                handed_over = now.moving
                write_drain(self._directory, self._plan.to)
                await self._heard()
                flushed = 0.0
        return Outcome(before, now, handed_over, time.monotonic() - began)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _heard(self) -> None:
        """Wait until the governor has told everybody."""
        deadline = time.monotonic() + HEARD_S
        while (picture := await ask_governor(self._settings)) is None or not picture.numbers.get("draining"):
            if time.monotonic() > deadline:
                end_drain(self._directory)
                raise NotDrainableError("governor(8) does not answer, so the intake cannot be stopped; see the log")
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LOOK_S)  # the daemons' turn: it has been sent to them

    async def _look(self) -> Standing:
        answer = await self._client.ask(Count(self._client.next_id()))
        assert isinstance(answer, Counts)
        picture: Picture | None = await ask_governor(self._settings)
        return standing(answer.counts, picture, self._directory)


def run(plan: Plan) -> int:
    """Drain; returns the exit status."""
    try:
        outcome = asyncio.run(_run(plan))
    except NotSuperuserError:
        sys.stderr.write("posthouse drain: use of this command is reserved for the superuser\n")
        return EX_NOPERM
    except (ConfigError, NotDrainableError, QueueUnavailableError, RefusedError, OSError) as error:
        sys.stderr.write(f"posthouse drain: {error}\n")
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        sys.stderr.write("posthouse drain: stopped; no new mail is taken until: posthouse drain --off\n")
        return EX_TEMPFAIL
    report(plan, outcome)
    return 0 if outcome.after.empty else EX_TEMPFAIL


async def _run(plan: Plan) -> Outcome:
    drainer = Drainer(plan)
    try:
        with Progress() as progress:
            return await drainer.drain(progress)
    finally:
        await drainer.close()


def report(plan: Plan, outcome: Outcome) -> None:
    """Say what came of it."""
    before, after = outcome.before, outcome.after
    if plan.as_json:
        found = {
            "drained": after.empty,
            "before": dict(before.places),
            "after": dict(after.places),
            "sessions": after.sessions,
            "to": plan.to,
            "handed_over": outcome.handed_over,
            "seconds": round(outcome.seconds, 1),
        }
        sys.stdout.write(json.dumps(found) + "\n")
        return
    sys.stdout.write(table(before, after))
    if outcome.handed_over:
        sys.stdout.write(f"{outcome.handed_over} could not be delivered at once and went to {plan.to}\n")
    if after.empty:
        sys.stdout.write("nothing is left\n")
    others = after.places.get(NOT_TAKEN, 0)
    if after.total > others:
        sys.stdout.write(f"{after.total - others} messages are left: postqueue -p shows why\n")
    if others:
        sys.stdout.write(f"{others} files in maildrop are not complete or not Posthouse's own: the log names them\n")
    if after.places["hold"]:
        sys.stdout.write("mail on hold stays until it is released (postsuper -H ALL) or deleted (postsuper -d)\n")
    if after.places[SPOOL] and not after.total:
        sys.stdout.write(f"{after.places[SPOOL]} files belong to no message: posthouse queue verify\n")
    if after.sessions == UNKNOWN:
        sys.stdout.write("governor(8) does not answer: clients may still be connected\n")
    elif after.sessions:
        sys.stdout.write(f"{after.sessions} clients are still connected; none of them can begin a message\n")
    sys.stdout.write("no new mail is taken until: posthouse drain --off\n")


def run_off(plan: Plan) -> int:
    """Take mail again."""
    try:
        settings = load_settings(find_config_directory(plan.config_directory or None), "posthouse")
        require_superuser(settings)
        was_there = end_drain(settings[QUEUE_DIRECTORY])
    except NotSuperuserError:
        sys.stderr.write("posthouse drain: use of this command is reserved for the superuser\n")
        return EX_NOPERM
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"posthouse drain: {error}\n")
        return EX_UNAVAILABLE
    sys.stdout.write("mail is taken again\n" if was_there else "no drain was in force\n")
    return 0
