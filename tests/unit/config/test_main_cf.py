"""main.cf: logical lines, assignments with their places, and edits that keep the rest."""

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config import edit
from posthouse.config.logical import LogicalLine, StrayLine, logical_lines, read_lines
from posthouse.config.main_cf import format_assignment, parse_main_cf, read_main_cf
from posthouse.config.settings import Origin
from posthouse.util.errors import ConfigError

SAMPLE = b"""\
# A comment
 # and another
compatibility_level = 3.6
mydestination = $myhostname,
# in between
    localhost
\t
relayhost =
biff=no
biff = yes
"""


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n \n", []),
        (b"abc", [LogicalLine(b"abc", 1, 1)]),
        (b"abc\n def\n", [LogicalLine(b"abc def", 1, 2)]),
        (b"abc\n#def\n ghi", [LogicalLine(b"abc ghi", 1, 3)]),
        (b"abc\n \n ghi", [LogicalLine(b"abc ghi", 1, 3)]),
        (b"abc\n #def\n", [LogicalLine(b"abc", 1, 2)]),
        (b"#abc\nd\0ef\n", [LogicalLine(b"d\0ef", 2, 2)]),
        (b"a\r\n b\r\n", [LogicalLine(b"a\r b\r", 1, 2)]),
        (b" abc\ndef", [StrayLine(b" abc", 1), LogicalLine(b"def", 2, 2)]),
    ],
)
def test_lines_are_joined(data: bytes, lines: list[LogicalLine | StrayLine]) -> None:
    """Continuations are joined, comments and blank lines left out wherever they stand."""
    assert list(read_lines(data)) == lines


@given(st.binary(max_size=80))
def test_any_bytes_make_lines(data: bytes) -> None:
    """No input raises; numbers rise, and lines hold what is not a comment."""
    last = 0
    for line in logical_lines(data):
        assert last < line.first <= line.last
        assert line.text.strip()
        last = line.last


def test_assignments_know_their_line() -> None:
    """The later of two assignments counts."""
    main = parse_main_cf(SAMPLE, "main.cf")
    assert main.values == {
        "compatibility_level": "3.6",
        "mydestination": "$myhostname,    localhost",
        "relayhost": "",
        "biff": "yes",
    }
    assert main.origins()["mydestination"] == Origin("main.cf", 4)
    assert main.origins()["biff"] == Origin("main.cf", 10)
    assert [(earlier.line, later.line) for earlier, later in main.overridden()] == [(9, 10)]


def test_the_same_value_twice_is_no_conflict() -> None:
    """Nothing is lost then."""
    assert parse_main_cf(b"a = b\na =b\n", "main.cf").overridden() == ()


def test_stray_continuations_are_kept_for_the_checks() -> None:
    """They mean nothing, but the administrator meant something."""
    assert parse_main_cf(b" a = b\nc = d\n", "main.cf").stray_lines == ((1, " a = b"),)


def test_bytes_that_are_not_utf8_survive() -> None:
    """As surrogate escapes."""
    assert parse_main_cf(b"a = \xff\n", "main.cf").values == {"a": "\udcff"}


@pytest.mark.parametrize("line", [b"abc", b"a b = c", b"= c"])
def test_a_line_that_is_no_assignment_stops(line: bytes) -> None:
    """With file and line."""
    with pytest.raises(ConfigError, match=r"^main\.cf:2: missing ") as caught:
        parse_main_cf(b"x = y\n" + line + b"\n", "main.cf")
    assert (caught.value.file, caught.value.line) == ("main.cf", 2)


def test_reading_a_directory(tmp_path: Path) -> None:
    """No main.cf is fine, no directory and no permission are not."""
    assert not read_main_cf(str(tmp_path)).exists
    with pytest.raises(ConfigError, match="no such directory"):
        read_main_cf(str(tmp_path / "none"))
    (tmp_path / "main.cf").write_bytes(SAMPLE)
    assert read_main_cf(str(tmp_path)).values["biff"] == "yes"
    (tmp_path / "main.cf").unlink()
    (tmp_path / "main.cf").mkdir()
    with pytest.raises(ConfigError, match="cannot read it: Is a directory"):
        read_main_cf(str(tmp_path))


NAMES = st.text(alphabet="abc_", min_size=1, max_size=3)
VALUES = st.text(alphabet="ab$={}, \u00e4", max_size=8).map(str.strip)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_written_settings_read_back(settings: dict[str, str]) -> None:
    """Format and parse are inverse."""
    text = "".join(format_assignment(name, value) + "\n" for name, value in settings.items())
    assert parse_main_cf(text.encode(), "main.cf").values == settings


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_edits_set_and_keep(before: dict[str, str], change: dict[str, str]) -> None:
    """After an edit the new values hold, the others are as they were, in their order."""
    text = "".join(f"# about {name}\n{name} = {value}\n" for name, value in before.items()).encode()
    edited, twice = edit.set_parameters(text, change)
    assert parse_main_cf(edited, "main.cf").values == {**before, **change}
    assert list(parse_main_cf(edited, "main.cf").values) == list({**before, **change})
    assert edited.count(b"# about") == len(before)
    assert twice == ()


def test_edits_replace_every_instance_and_its_continuations() -> None:
    """Comments stay, also those between the lines of a value."""
    edited, twice = edit.set_parameters(SAMPLE, {"mydestination": "here", "biff": "maybe", "new": "1"})
    assert twice == ("biff",)
    assert edit.count_assignments(SAMPLE)["biff"] == 2
    assert edit.count_assignments(b"oops\n a = b\n#c = d\nc = d\n") == {"c": 1}
    assert edited == (
        b"# A comment\n # and another\ncompatibility_level = 3.6\nmydestination = here\n# in between\n\t\n"
        b"relayhost =\nbiff = maybe\nbiff = maybe\nnew = 1\n"
    )


def test_an_assignment_may_begin_before_its_equals_sign() -> None:
    """The equals sign may stand on a continuation line; the edit finds it there."""
    before = b"a\n  = b\n# c\n  d\ne = f\n"
    assert edit.set_parameters(before, {"a": "x"})[0] == b"a = x\n# c\ne = f\n"
    assert edit.change_parameters(before, frozenset({"a"}), edit.Change.REMOVE) == b"# c\ne = f\n"


def test_a_missing_newline_at_the_end_is_added() -> None:
    """Else the new setting would be part of the last value."""
    assert edit.set_parameters(b"a = b", {"c": "d"})[0] == b"a = b\nc = d\n"
    assert edit.set_parameters(b"", {"c": "d"})[0] == b"c = d\n"


def test_a_line_that_is_no_assignment_survives_an_edit() -> None:
    """The editor may be used to mend the file."""
    assert edit.set_parameters(b"oops\n c\na = b\n", {"a": "c"})[0] == b"oops\n c\na = c\n"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (edit.Change.REMOVE, b"a = 1\n# c\n# d\nz = 1\n"),
        (edit.Change.COMMENT, b"a = 1\n# c\n#b = 2\n# d\n#  3\nz = 1\n"),
    ],
)
def test_parameters_are_removed_or_commented_out(change: edit.Change, text: bytes) -> None:
    """With their continuation lines; comments stay."""
    before = b"a = 1\n# c\nb = 2\n# d\n  3\nz = 1\n"
    assert edit.change_parameters(before, frozenset({"b", "none"}), change) == text


def test_editing_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    """By rename, so that no reader sees half of it."""
    path = tmp_path / "main.cf"
    path.write_bytes(b"a = b\n")
    path.chmod(0o640)
    inode = path.stat().st_ino
    with edit.editing(path) as file:
        file.new = file.old + b"c = d\n"
        assert path.read_bytes() == b"a = b\n"
    assert path.read_bytes() == b"a = b\nc = d\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != inode
    assert os.listdir(tmp_path) == ["main.cf"]


def test_editing_makes_a_new_file_or_none(tmp_path: Path) -> None:
    """Without a new text nothing is left behind."""
    path = tmp_path / "main.cf"
    with edit.editing(path):
        pass
    assert os.listdir(tmp_path) == []
    with edit.editing(path) as file:
        assert file.old == b""
        file.new = b"a = b\n"
    assert path.read_bytes() == b"a = b\n"


def test_an_edit_that_fails_changes_nothing(tmp_path: Path) -> None:
    """No directory, or an old file that is none."""
    with pytest.raises(ConfigError, match="cannot write"), edit.editing(tmp_path / "none" / "main.cf"):
        pass
    (tmp_path / "main.cf").mkdir()
    with pytest.raises(ConfigError, match="cannot read it"), edit.editing(tmp_path / "main.cf"):
        pass


def test_an_edit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whatever ends it: the old file stays, and nothing is beside it."""
    (tmp_path / "main.cf").write_bytes(b"a = b\n")
    with pytest.raises(ZeroDivisionError), edit.editing(tmp_path / "main.cf"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["main.cf"]
    assert (tmp_path / "main.cf").read_bytes() == b"a = b\n"


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """The file is kept elsewhere, in a repository for example, and is the one that changes there."""
    for name in ("real", "etc"):
        (tmp_path / name).mkdir()
    real, path = tmp_path / "real" / "main.cf", tmp_path / "etc" / "main.cf"
    real.write_bytes(b"a = b\n")
    path.symlink_to("../real/main.cf")
    with edit.editing(path) as file:
        file.new = file.old + b"c = d\n"
    assert path.is_symlink()
    assert real.read_bytes() == b"a = b\nc = d\n"
    assert [*os.listdir(tmp_path / "real"), *os.listdir(tmp_path / "etc")] == ["main.cf", "main.cf"]


def test_what_another_put_in_the_way_is_not_written_to(tmp_path: Path) -> None:
    """A link in the place of the new file leads nowhere that we go."""
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / "main.cf.tmp").symlink_to("other")
    with pytest.raises(ConfigError, match="cannot write"), edit.editing(tmp_path / "main.cf") as file:
        file.new = b"a = b\n"
    assert (tmp_path / "other").read_bytes() == b"precious"


def test_a_failed_rename_is_told(tmp_path: Path) -> None:
    """Something may be in the way at the end."""
    path = tmp_path / "main.cf"

    def edit_and_obstruct() -> None:
        with edit.editing(path) as file:
            file.new = b"a = b\n"
            (path / "x").mkdir(parents=True)

    with pytest.raises(ConfigError, match="cannot write"):
        edit_and_obstruct()


def test_an_edit_waits_for_another_one(tmp_path: Path) -> None:
    """Several edits at once: each works on what the one before made."""
    path = tmp_path / "main.cf"
    path.write_bytes(b"count = 0\n")

    def count_up() -> None:
        for _ in range(10):
            with edit.editing(path) as file:
                count = int(parse_main_cf(file.old, "main.cf").values["count"])
                file.new = f"count = {count + 1}\n".encode()

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == b"count = 40\n"
