"""The queue store on SQLite (apsw): the default, nothing to install or to run. `open_engine` is all that is used."""

from collections.abc import Callable

import apsw

from posthouse.queue.directory import StoreDirectory
from posthouse.queue.spool import Spool
from posthouse.queue.sqlite.engine import SqliteEngine
from posthouse.queue.sqlite.salvage import salvage
from posthouse.queue.sqlite.schema import connect
from posthouse.queue.values import StoreError, StoreFailedError, StoreFullError, StoreLockedError

__all__ = ["open_engine"]
_BROKEN = (apsw.CorruptError, apsw.NotADBError, apsw.IOError)


def open_engine(directory: StoreDirectory, report: Callable[[str], None], vfs: str | None = None) -> SqliteEngine:
    """Open the store in a locked directory; make it when there is none, copy it first when it failed last time.

    report: told in a sentence what had to be done. Raises StoreError, OSError.
    """
    spool = Spool(directory.spool_path)
    try:
        return _open(directory, spool, report, vfs)
    except apsw.FullError as error:
        spool.close()
        raise StoreFullError(f"{directory.path}: no space left to open the queue: {error}") from error
    except apsw.BusyError as error:
        spool.close()
        raise StoreLockedError(f"{directory.path}: another process has the store open: {error}") from error
    except (apsw.Error, ValueError) as error:
        spool.close()
        raise StoreError(f"{directory.path}: the store cannot be opened: {error}") from error


def _open(directory: StoreDirectory, spool: Spool, report: Callable[[str], None], vfs: str | None) -> SqliteEngine:
    generation = _settle_generation(directory, report, vfs)
    try:
        return SqliteEngine(connect(directory.store_path(generation), vfs), directory, generation, spool)
    except _BROKEN as error:
        reason = f"{type(error).__name__}: {error}"
    except StoreFailedError as error:
        reason = str(error)
    directory.mark_failed(generation, reason)
    report(f"store {generation} is damaged: {reason}")
    generation = _settle_generation(directory, report, vfs)
    return SqliteEngine(connect(directory.store_path(generation), vfs), directory, generation, spool)


def _settle_generation(directory: StoreDirectory, report: Callable[[str], None], vfs: str | None) -> int:
    """Find the store file, finishing what a crash interrupted; returns its generation."""
    generations = directory.generations()
    failed = directory.failed()
    if not generations:
        directory.clear_failed()
        directory.create_store_file(1)
        return 1
    generation = generations[-1]
    for replaced in generations[:-1]:
        directory.remove_store(replaced)
    if failed is None:
        return generation
    if failed[0] >= generation:
        report(f"store {generation} failed: {failed[1]}")
        result = salvage(directory, generation, vfs)
        for place in result.unreadable:
            report(f"unreadable: {place}")
        report(str(result))
        return result.generation
    directory.clear_failed()
    return generation
