"""The kernel's texts, as they are on real machines of both cgroup versions, and as they must not be."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.daemons.governor.probes import Probes
from posthouse.governor import measures as m

PRESSURE = b"some avg10=6.95 avg60=9.97 avg300=29.37 total=6165958401\nfull avg10=0.50 avg60=1.25 avg300=0.00 total=9\n"
V1_STAT = b"cache 9\ninactive_file 5\ntotal_inactive_file 400\ntotal_active_file 300\ntotal_dirty 50\n"
V1_STAT += b"total_writeback 25\ntotal_mapped_file 100\n"
V2_STAT = b"anon 9\nfile 9\ninactive_file 400\nactive_file 300\nfile_dirty 50\nfile_writeback 25\nfile_mapped 100\n"
MEMINFO = b"MemTotal:       24684092 kB\nMemFree:  1 kB\nMemAvailable:   24000000 kB\nHugePages_Total:       3\n"


def test_meminfo() -> None:
    """Kilobytes become bytes, plain numbers stay."""
    found = m.parse_meminfo(MEMINFO)
    assert found["MemAvailable"] == 24000000 * 1024
    assert found["HugePages_Total"] == 3
    with pytest.raises(ValueError, match="MemAvailable"):
        m.parse_meminfo(b"MemTotal: 1 kB\n")


def test_pressure_with_and_without_the_line_for_all_tasks() -> None:
    """Old kernels have no "full" for the processor."""
    assert m.parse_pressure(PRESSURE) == (6.95, 9.97, 0.5, 1.25)
    assert m.parse_pressure(PRESSURE.splitlines()[0]) == (6.95, 9.97, 0.0, 0.0)
    with pytest.raises(ValueError, match="pressure"):
        m.parse_pressure(b"nothing\n")


def test_limits_of_both_versions() -> None:
    """None has two spellings."""
    assert m.parse_limit(b"max\n") is None
    assert m.parse_limit(b"9223372036854771712\n") is None
    assert m.parse_limit(b"201326592\n") == 192 << 20


def test_what_a_group_cannot_give_back() -> None:
    """Of 1000 bytes 700 are of files; of these 175 are dirty, on their way to the disk, or mapped."""
    for stat in (V1_STAT, V2_STAT):
        assert m.memory_in_use(1000, m.parse_counts(stat)) == 1000 - (700 - 175)
    assert m.memory_in_use(1000, {}) == 1000
    assert m.memory_in_use(100, m.parse_counts(V2_STAT)) == 0


def test_paths_of_control_groups() -> None:
    """Version 1, version 2, and both side by side."""
    hybrid = "5:pids:/a\n4:memory:/b/c\n0::/d\n"
    assert m.parse_cgroup(hybrid) == ("/b/c", "/a", "/d")
    assert m.parse_cgroup("0::/system.slice/x:y.service\n") == (None, None, "/system.slice/x:y.service")
    assert m.parse_cgroup("") == (None, None, None)


def test_the_rest() -> None:
    """Open files, tasks, our own share of memory."""
    assert m.parse_file_nr(b"1216\t0\t9223372036854775807\n") == (1216, 9223372036854775807)
    assert m.parse_tasks(b"0.20 0.18 0.12 1/80 11206\n") == 80
    assert m.parse_pss(b"00400000-7fff ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nPss:  884 kB\n") == 884 * 1024


def test_room_as_statvfs_says() -> None:
    """Of what users may use, not of what root may."""
    status = os.statvfs("/")
    space = m.Space.of(status)
    assert (space.free, space.files_free) == (status.f_bavail * status.f_frsize, status.f_favail)


@given(st.binary(max_size=200))
def test_no_text_makes_them_raise_anything_else(text: bytes) -> None:
    """ValueError, or IndexError where a field is missing: who reads takes both for "cannot be told"."""
    for parse in (m.parse_meminfo, m.parse_pressure, m.parse_limit, m.parse_counts, m.parse_file_nr, m.parse_tasks):
        try:
            parse(text)
        except (ValueError, IndexError):
            continue


def test_this_machine_tells_its_memory() -> None:
    """Real files, whatever this kernel has."""
    memory = Probes().memory()
    assert memory is not None
    assert 0 < memory.available <= memory.limit


def write(root: Path, files: dict[str, bytes]) -> None:
    """Make files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


GENERAL = {
    "proc/meminfo": MEMINFO,
    "proc/pressure/memory": PRESSURE,
    "proc/sys/fs/file-nr": b"10 0 100\n",
    "proc/loadavg": b"0 0 0 1/80 1\n",
    "proc/sys/kernel/threads-max": b"1000\n",
}


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    """Version 1: that of the group above ours is tighter."""
    group = "cg/memory/outer"
    files = {
        "proc/self/cgroup": b"4:memory:/outer/inner\n3:pids:/outer\n",
        f"{group}/memory.limit_in_bytes": b"1000\n",
        f"{group}/memory.usage_in_bytes": b"900\n",
        f"{group}/memory.stat": V1_STAT,
        f"{group}/inner/memory.limit_in_bytes": b"9223372036854771712\n",
        f"{group}/inner/memory.usage_in_bytes": b"900\n",
        f"{group}/inner/memory.stat": V1_STAT,
        "cg/pids/outer/pids.current": b"90\n",
        "cg/pids/outer/pids.max": b"100\n",
    }
    write(tmp_path, GENERAL | files)
    probes = Probes(str(tmp_path), str(tmp_path / "cg"))
    memory = probes.memory()
    assert memory is not None
    assert memory == (1000 - (900 - 525), 1000, f"control group {tmp_path}/{group}")
    assert probes.processes() == (90, 100, f"control group {tmp_path}/cg/pids/outer")
    (tmp_path / group / "memory.usage_in_bytes").write_bytes(b"700\n")
    again = probes.memory()
    assert again is not None
    assert again.available == 825, "files are held open and read anew"
    assert probes.missing == ["disk pressure (PSI)"]


def test_version_2_alone_and_in_a_container(tmp_path: Path) -> None:
    """In a container the path of the host means nothing: what is mounted is our own group."""
    files = {
        "proc/self/cgroup": b"0::/kubepods/pod1/abc\n",
        "cg/cgroup.controllers": b"memory pids\n",
        "cg/memory.max": b"2000\n",
        "cg/memory.current": b"1500\n",
        "cg/memory.stat": V2_STAT,
        "cg/memory.pressure": b"some avg10=9.00 avg60=0 avg300=0 total=0\nfull avg10=8.00 avg60=0 avg300=0 total=0\n",
        "cg/pids.current": b"7\n",
        "cg/pids.max": b"max\n",
    }
    write(tmp_path, GENERAL | files)
    probes = Probes(str(tmp_path), str(tmp_path / "cg"))
    memory, pressure = probes.memory(), probes.memory_pressure()
    assert memory is not None
    assert memory[:2] == (2000 - (1500 - 525), 2000)
    assert pressure is not None
    assert pressure.full_10 == 8.0, "of our group, not of the machine"
    assert probes.processes() == (80, 1000, "this machine")
