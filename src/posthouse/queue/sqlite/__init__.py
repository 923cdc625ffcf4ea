"""The queue store on SQLite (apsw): the default, nothing to install or to run. `open_engine` is all that is used."""

from collections.abc import Callable
from typing import Final

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.spool import Spool
from posthouse.queue.sqlite.engine import SqliteEngine
from posthouse.queue.sqlite.pages import first_page_problem
from posthouse.queue.sqlite.salvage import Salvaged, salvage
from posthouse.queue.sqlite.schema import connect, create, files_problem, finish, is_damage, leave, reason_of
from posthouse.queue.values import StoreError, StoreFailedError, StoreFullError, StoreLockedError

__all__ = ["open_engine"]
Report = Callable[[str], None]
_BROKEN: Final = (apsw.CorruptError, apsw.NotADBError, apsw.IOError, StoreFailedError)
_TRIES: Final = 3  # the store that is there, its copy, and a disk that fails just now


def open_engine(directory: StoreDirectory, report: Report, vfs: str | None = None) -> SqliteEngine:
    """Open the store in a locked directory; make it when there is none, copy it first when it failed or is damaged.

    report: told in a sentence what had to be done, now or later (then in the thread that runs the engine).
    Raises StoreError, OSError.
    """
    spool = Spool(directory.spool_path)
    try:
        return _open(directory, spool, report, vfs)
    except BaseException as error:
        spool.close()
        if isinstance(error, apsw.FullError):
            raise StoreFullError(f"{directory.path}: no space left to open the queue: {error}") from error
        if isinstance(error, apsw.BusyError):
            raise StoreLockedError(f"{directory.path}: another process has the store open: {error}") from error
        if isinstance(error, (apsw.Error, ValueError)):
            raise StoreError(f"{directory.path}: the store cannot be opened: {error}") from error
        raise


def _open(directory: StoreDirectory, spool: Spool, report: Report, vfs: str | None) -> SqliteEngine:
    for _ in range(_TRIES):
        generation = _settle_generation(directory, report, vfs)
        try:
            return _open_generation(directory, generation, (spool, report), vfs)
        except _BROKEN as error:
            reason = str(error) if isinstance(error, StoreFailedError) else reason_of(error)
        directory.mark_failed(generation, reason)
        report(f"store {generation} is damaged: {reason}")
    raise StoreError(f"{directory.path}: the store cannot be opened: {reason}")


def _open_generation(
    directory: StoreDirectory, generation: int, parts: tuple[Spool, Report], vfs: str | None
) -> SqliteEngine:
    """Open a store that is as it was left. Raises one of _BROKEN when it is not, and has not touched it then."""
    path = directory.store_path(generation)
    problem = first_page_problem(path)
    if problem:
        raise apsw.NotADBError(problem)
    connection = connect(path, vfs)
    try:
        _check_files(connection, path)
        spool, report = parts
        return SqliteEngine(connection, directory, generation, spool, report)
    except BaseException:
        leave(connection)
        raise


def _check_files(connection: apsw.Connection, path: str) -> None:
    """Raise CorruptError if the files are not as the last commit left them, and SQLite did not notice."""
    problem = files_problem(connection, path)
    if problem:
        raise apsw.CorruptError(problem)


def _settle_generation(directory: StoreDirectory, report: Report, vfs: str | None) -> int:
    """Find the store file, finishing what a crash interrupted; returns its generation."""
    lone = directory.lone_log()
    if lone and lone > max(directory.generations(), default=0):
        report(f"store {lone} is gone, its log is here")
        directory.create_store_file(lone)
        directory.adopt_store_file(lone)
    generations = directory.generations()
    if not generations:
        directory.clear_failed()
        finish(create(directory.create_store_file(1), vfs))
        directory.adopt_store_file(1)
        return 1
    generation = _newest_good(directory, generations, report)
    failed = directory.failed()
    if failed is None:
        return generation
    if failed[0] >= generation:
        report(f"store {generation} failed: {failed[1]}")
        result = salvage(directory, generation, vfs, aside=is_damage(failed[1]))
        tell(result, report)
        return result.generation
    directory.clear_failed()
    return generation


def _newest_good(directory: StoreDirectory, generations: list[int], report: Report) -> int:
    """Choose the newest generation, and delete those that it replaced.

    While an older one is still there the newest was never used: if it is no store, it is not ours.
    """
    while len(generations) > 1 and first_page_problem(directory.store_path(generations[-1])):
        report(f"store-{generations[-1]}.sqlite is no store; it is now {directory.set_aside(generations[-1])}")
        generations.pop()
    for replaced in generations[:-1]:
        directory.remove_store(replaced)
    return generations[-1]


def tell(result: Salvaged, report: Report) -> None:
    """Report what a copy of a store brought, a line for each message that is not whole."""
    for place in result.unreadable:
        report(f"unreadable: {place}")
    if result.lost_pages:
        report(f"unreadable: {result.lost_pages} pages of the log")
    for lost in result.lost:
        report(str(lost))
    report(str(result))
