"""Which file an indexed table is in. hash: and btree: mean NAME.lmdb, or Postfix's NAME.db while that is all."""

import os
from typing import Final

INDEX_SUFFIXES: Final = {"btree": ".lmdb", "cdb": ".cdb", "hash": ".lmdb", "lmdb": ".lmdb"}
REDIRECTED: Final = frozenset({"btree", "hash"})
OLD_SUFFIX: Final = ".db"  # what Postfix's postmap(1) writes for them


def index_path(kind: str, name: str) -> str:
    """Give the file that a table of an indexed type is read from, or would be made in."""
    path = name + INDEX_SUFFIXES[kind]
    if kind in REDIRECTED and not os.path.exists(path) and os.path.exists(name + OLD_SUFFIX):
        return name + OLD_SUFFIX
    return path
