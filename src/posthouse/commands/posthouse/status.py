"""posthouse status: is it running, how much mail is where, what is scarce and what is done about it.

--live and --ready are for probes: one line, and an exit status. Live: the queue and governor(8) answer. Ready: and mail
would be taken now. Who may not ask gets an error (77), which says nothing of either.
"""

import asyncio
import getopt
import json
import os
import sys
import time
from typing import Final

from posthouse.commands.queue_client import (
    EX_NOPERM,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    QueueClient,
    QueueUnavailableError,
    RefusedError,
    is_served,
)
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.governor.conditions import title
from posthouse.governor.level import Level
from posthouse.governor.readiness import why_refused
from posthouse.governor.units import format_seconds
from posthouse.ipc.governor import CLIENT, Ask, FromGovernor, Picture, ServiceState
from posthouse.ipc.health import Health
from posthouse.ipc.showq import Count, Counts
from posthouse.ipc.stream import Client
from posthouse.util.errors import ConfigError, TemporaryError

GOVERNOR_LIMIT_S: Final = 5.0
EX_CONFIG: Final = 78
PROBES: Final = ("--live", "--ready")


def main(words: list[str]) -> int:
    """Run; 0 when it is running."""
    try:
        options, _ = getopt.getopt(words, "c:", ["json", "live", "ready"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"posthouse status: {error}\n")
        return 64
    values = dict(options)
    try:
        if any(probe in values for probe in PROBES):
            return _probe(values.get("-c", ""), is_ready="--ready" in values)
        return _show(values)
    except ConfigError as error:
        sys.stderr.write(f"posthouse status: {error}\n")
        return EX_CONFIG


def _show(values: dict[str, str]) -> int:
    """Write all that is known."""
    try:
        is_running, counts, picture = asyncio.run(look(values.get("-c", "")))
    except (QueueUnavailableError, RefusedError) as error:
        if "--json" in values:
            sys.stdout.write(json.dumps({"running": False, "reason": str(error)}) + "\n")
        else:
            sys.stdout.write(f"not running: {error}\n")
        return EX_UNAVAILABLE
    if "--json" in values:
        found: dict[str, object] = {"running": is_running, "queues": counts}
        if is_running and (loaded := loaded_at(values.get("-c", ""))):
            found["configuration"] = {"loaded": loaded[0], "changed_since": loaded[1]}
        if picture is not None:
            found["resources"] = as_json(picture)
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write("running\n" if is_running else "not running\n")
        for name, number in counts.items():
            sys.stdout.write(f"  {name:<10} {number:>9}\n")
        sys.stdout.write(_configuration_line(values.get("-c", "")) if is_running else "")
        sys.stdout.write("".join(f"{line}\n" for line in lines_of(picture, time.time())) if picture is not None else "")
    return 0 if is_running else EX_UNAVAILABLE


def loaded_at(option: str) -> tuple[float, list[str]] | None:
    """Tell when the configuration in force began to be read, and which of its files have changed since.

    master(8) writes the time onto its lock file. None: it cannot be seen. Raises ConfigError.
    """
    directory = os.path.abspath(config_directory(option))
    try:
        queue = load_settings(directory, "posthouse")[QUEUE_DIRECTORY]
        loaded = os.stat(f"{queue}/pid/master.pid").st_mtime
        files = [f"{directory}/{name}" for name in ("main.cf", "master.cf")]
        return loaded, [path for path in files if os.path.exists(path) and os.stat(path).st_mtime > loaded]
    except OSError:
        return None


def _configuration_line(option: str) -> str:
    """Say when what runs is older than what is written."""
    loaded = loaded_at(option)
    if loaded is None or not loaded[1]:
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(loaded[0]))
    names = " and ".join(os.path.basename(path) for path in loaded[1])
    advice = 'run "posthouse check", then "postfix reload"'
    return f"configuration: {names} changed after it was loaded ({since}), and does not count yet; {advice}\n"


def _probe(directory: str, *, is_ready: bool) -> int:
    """Say in one line how it is: 0 well, 69 not running, 75 running and taking no mail, 77 it cannot be told."""
    try:
        status, said = asyncio.run(_health(directory, is_ready=is_ready))
    except (QueueUnavailableError, RefusedError) as error:
        status, said = EX_UNAVAILABLE, f"not running: {error}"
    sys.stdout.write(f"{said}\n")
    return status


async def _health(directory: str, *, is_ready: bool) -> tuple[int, str]:
    client = QueueClient(directory)
    queue = client.settings[QUEUE_DIRECTORY]
    try:
        if not client.is_served:
            return EX_UNAVAILABLE, "not running"
        await client.ask(Count(client.next_id()))
    finally:
        await client.close()
    if not os.access(f"{queue}/private", os.X_OK):
        return (EX_NOPERM, "only root may ask") if is_ready else (0, "alive")
    health = Health(asyncio.get_running_loop(), f"{queue}/private/governor", f"{queue}/public/cleanup")
    try:
        reasons = why_refused(await health.picture())
        if not is_ready:
            return 0, "alive"
        if away := await health.intake():
            return EX_UNAVAILABLE, away
    except TemporaryError as error:
        return EX_UNAVAILABLE, str(error)
    finally:
        health.close()
    return (EX_TEMPFAIL, "; ".join(reasons)) if reasons else (0, "ready")


async def look(directory: str) -> tuple[bool, dict[str, int], Picture | None]:
    """Ask the queue manager, or the store when nobody runs; and the governor. Whether somebody runs, and what they say.

    The picture is None for who may not reach the governor (only root and the daemons may), and when nobody runs.
    """
    client = QueueClient(directory)
    answer = await client.ask(Count(client.next_id()))
    await client.close()
    assert isinstance(answer, Counts)
    return client.is_served, answer.counts, await ask_governor(client.settings) if client.is_served else None


async def ask_governor(settings: Settings) -> Picture | None:
    """Ask governor(8) for all it knows. None: it is not there, or may not be reached by us."""
    path = f"{settings[QUEUE_DIRECTORY]}/private/governor"
    if not is_served(path):
        return None
    client: Client[FromGovernor] = Client(asyncio.get_running_loop(), path, CLIENT, timeout_s=GOVERNOR_LIMIT_S)
    try:
        async with asyncio.timeout(GOVERNOR_LIMIT_S):
            answer = await client.request(Ask(client.next_id()))
    except (TemporaryError, TimeoutError):
        return None
    finally:
        client.close()
    return answer if isinstance(answer, Picture) else None


def lines_of(picture: Picture, now: float) -> list[str]:
    """Write a picture for people: what is not normal first."""
    level = Level(picture.level)
    since = f" for {format_seconds(now - picture.since)}" if picture.since else ""
    lines = [f"resources: {level.word}{since}"]
    for condition in sorted(picture.conditions, key=lambda each: (-each.level, each.key)):
        age = f" for {format_seconds(now - condition.since)}" if condition.since else ""
        ahead = f"; gone in about {format_seconds(condition.forecast)}" if condition.forecast >= 0 else ""
        word = Level(condition.level).word + age
        lines.append(f"  {title(condition.key)}: {word}: {condition.value}{ahead}")
    lines.append(f"in force: {'; '.join(picture.steps) or 'nothing'}")
    return lines


def as_json(picture: Picture) -> dict[str, object]:
    """Write it for machines."""
    return {
        "level": Level(picture.level).word,
        "since": picture.since,
        "conditions": [
            {
                "condition": each.key,
                "level": Level(each.level).word,
                "value": each.value,
                "since": each.since,
                "forecast_seconds": each.forecast if each.forecast >= 0 else None,
            }
            for each in picture.conditions
        ],
        "steps": picture.steps,
        "services": [
            {name: getattr(each, name) for name in ServiceState.__struct_fields__} for each in picture.services
        ],
        "numbers": picture.numbers,
    }
