"""Behind the walls a daemon imports nothing, says what was refused, and asks for a successor when a file is new."""

import importlib
import os
import pkgutil
import sys
import threading
from pathlib import Path

import pytest

from posthouse import daemons
from posthouse.commands.postmap import main as postmap
from posthouse.config.settings import Settings
from posthouse.confine.rules import Rules
from posthouse.skeleton.confined import denial, load_everything
from posthouse.skeleton.rules import compute_rules
from posthouse.tables.open import Opener
from posthouse.tables.table import LocalTable
from posthouse.util.successor import ask_for_successor, set_successor_handler
from tests.support.confined_child import behind_walls

NAMES = [module.name for module in pkgutil.iter_modules(daemons.__path__)]


def test_a_denial_names_operation_and_place() -> None:
    """Also when it was turned into another error on its way; other errors are no denial."""
    try:
        try:
            os.open("/proc/1/mem", os.O_RDONLY)
            raise PermissionError(1, "Operation not permitted")
        except OSError:
            error = PermissionError(13, "Permission denied", "/x/y")
            raise ValueError("wrapped") from error
    except ValueError as wrapped:
        said = denial(wrapped)
    assert said is not None
    assert "Permission denied" in said
    assert "'/x/y'" in said
    assert "\n" not in said
    assert denial(FileNotFoundError(2, "No such file")) is None


def test_a_denial_shows_the_line() -> None:
    """The traceback's last line is the operation."""
    try:
        os.mkdir("/proc/nothing")
    except FileNotFoundError as error:
        said = denial(PermissionError(1, "Operation not permitted").with_traceback(error.__traceback__))
    assert said is not None
    assert 'os.mkdir("/proc/nothing")' in said


@pytest.mark.parametrize("kind", ["texthash", "cidr", "pcre", "regexp", "lmdb"])
def test_a_table_renamed_over_asks_for_a_successor(tmp_path: Path, kind: str) -> None:
    """The old content stays in use; a rule on the file does not cover the new one."""
    lines = {"cidr": "10.0.0.0/8 one\n", "pcre": "/10/ one\n", "regexp": "/10/ one\n"}
    table, fresh = tmp_path / "table", tmp_path / "fresh"
    for path in (table, fresh):
        path.write_text(lines.get(kind, "10.1.1.1 one\n"), encoding="ascii")
        if kind == "lmdb":
            assert postmap(["-c", str(_empty_config(tmp_path)), f"lmdb:{path}"]) == 0
    suffix = ".lmdb" if kind == "lmdb" else ""
    go, ready = os.pipe(), os.pipe()
    importlib.import_module(f"posthouse.tables.{kind}")
    opener = Opener(Settings.from_mapping({}))

    def use() -> list[object]:
        asked: list[str] = []
        set_successor_handler(asked.append)
        opened = opener.open(f"{kind}:{table}")
        assert isinstance(opened, LocalTable)
        before = opened.get("10.1.1.1")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        opener.poll()
        return [before, opened.get("10.1.1.1"), len(asked)]

    def replace() -> None:
        os.read(ready[0], 1)
        Path(f"{fresh}{suffix}").rename(f"{table}{suffix}")
        os.write(go[1], b"x")

    helper = threading.Thread(target=replace)
    helper.start()
    said = behind_walls(Rules("x", reads=(f"{table}{suffix}",)), use, only=("landlock",))
    os.write(ready[1], b"x")  # when the child died early
    helper.join()
    assert said == "ok: ['one', 'one', 1]"


def _empty_config(directory: Path) -> Path:
    config = directory / "etc"
    config.mkdir(exist_ok=True)
    (config / "main.cf").touch()
    return config


def test_nobody_is_asked_outside_of_a_daemon() -> None:
    """A command has no successor."""
    set_successor_handler(lambda _reason: None)
    ask_for_successor("nothing")


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_loaded_before(name: str) -> None:
    """After load_everything the modules of all tables that main.cf names are there."""
    daemon = importlib.import_module(f"posthouse.daemons.{name}.daemon").DAEMON
    settings = Settings.from_mapping({"transport_maps": "cidr:/x, pcre:/y, hash:/z, regexp:/w, inline:{a=b}"})
    rules = compute_rules(daemon, settings, has_runas=True)
    load_everything(daemon, settings, rules)
    if name == "trivial_rewrite":
        assert {f"posthouse.tables.{kind}" for kind in ("cidr", "pcre", "lmdb", "regexp", "inline")} <= set(sys.modules)
