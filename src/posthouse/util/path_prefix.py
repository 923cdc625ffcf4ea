"""Whether a path lies in one of the directories that are allowed. Only names are compared, nothing is opened."""

from collections.abc import Iterable

from posthouse.util import log


def is_path_allowed(path: str, parents: Iterable[str]) -> bool:
    """Whether `path` is one of the directories or below. A name that could mean another place is refused and logged."""
    allowed = [parent.rstrip("/") for parent in parents if _is_sound(parent, "to allowlist prefix")]
    if not _is_sound(path, "to match an allowlist prefix"):
        return False
    return any(path.rstrip("/") == parent or path.startswith(parent + "/") for parent in allowed)


def _is_sound(path: str, attempt: str) -> bool:
    if not path.startswith("/"):
        log.warning(f"ignoring attempt {attempt} with relative pathname: '{path}'")
    elif "/../" in path + "/":
        log.warning(f"ignoring attempt {attempt} with '/../': '{path}'")
    else:
        return True
    return False
