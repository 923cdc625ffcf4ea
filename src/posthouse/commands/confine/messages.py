"""What log lines say of something that was refused: our own, the kernel's audit, AppArmor's and SELinux's.

A line of the audit system about Landlock names a domain only; lines with the same number (SYSCALL) or about the same
domain tell which process that was, so lines are read together. Sources: the kernel's admin-guide/LSM/landlock,
audit.h (1326 SECCOMP, 1400 AVC, 1423 LANDLOCK_ACCESS, 1424 LANDLOCK_DOMAIN), apparmor(7), avc messages.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from posthouse.commands.confine import numbers

READ, WRITE, EXECUTE, CALL, CONNECT, BIND, SIGNAL, ABSTRACT, TRACE, OTHER = (
    "read", "write", "execute", "call", "connect", "bind", "signal", "abstract", "trace", "other"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal. what: one of the words above; detail: path, port, call, or the kernel's own words."""

    wall: str
    program: str  # the process's name; "" when no line tells
    what: str
    detail: str
    capability: bool = False  # no rule of ours, but a missing privilege, may be the cause


_OUR_LINE: Final = re.compile(
    r"(?P<program>[\w./-]+)\[\d+\]: error: the kernel refused an operation \((?P<why>[^)]*)\)"
    r"(?: (?P<path>'(?:[^'\\]|\\.)*'))?(?: in (?P<function>[^,]*), line (?P<line>\d+) of (?P<file>\S+): (?P<code>.*?))?"
    r"(?:; see posthouse confine explain|$)"
)
_DEATH: Final = re.compile(r"process (?P<program>[\w-]+) pid \d+ killed by signal 31\b")  # as master(8) logs it
_KEYS: Final = "\0"
_PAIR: Final = re.compile(r"([\w.]+)=(\"[^\"]*\"|\S+)")
_TYPE: Final = re.compile(r"type=(\w+)")
_SERIAL: Final = re.compile(r"audit\([\d.]+:(\d+)\)")
_AVC: Final = re.compile(r"avc:\s+denied\s+\{ (?P<rights>[^}]*)\}")
_WRITES: Final = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|['\"][wax]b?\+?['\"]|unlink|rename|mkdir|rmdir|link\(|write"
)
_LANDLOCK_WHAT: Final = {
    "net.bind_tcp": BIND,
    "net.connect_tcp": CONNECT,
    "scope.signal": SIGNAL,
    "scope.abstract_unix_socket": ABSTRACT,
    "ptrace": TRACE,
    "fs.execute": EXECUTE,
    "fs.read_file": READ,
    "fs.read_dir": READ,
}


def parse(lines: Iterable[str]) -> list[Denial]:
    """Find every denial in log lines."""
    texts = [line.strip() for line in lines if line.strip()]
    names = _names_of_processes(texts)
    found = [denial for text in texts for denial in _parse_line(text)]
    return [_named(denial, names) for denial in found]


def _parse_line(text: str) -> Iterator[Denial]:
    ours = _OUR_LINE.search(_plain(text))
    if ours is not None:
        yield _of_our_log(ours)
        return
    death = _DEATH.search(text)
    if death is not None:
        yield Denial("seccomp", death["program"], CALL, "by the convention of another machine, or of x32 (SIGSYS)")
        return
    fields = {name: value.strip('"') for name, value in _PAIR.findall(text)}
    kind = _kind(text)
    if kind in ("1326", "SECCOMP"):
        yield _of_seccomp(fields)
    elif kind in ("1423", "LANDLOCK_ACCESS"):
        yield _of_landlock(fields, text)
    elif fields.get("apparmor") == "DENIED":
        yield _of_apparmor(fields)
    else:
        avc = _AVC.search(text)
        if avc is not None:
            yield _of_selinux(avc["rights"], fields)


def _plain(text: str) -> str:
    """Turn a line of our JSON log into the classic form."""
    if not text.startswith("{"):
        return text
    try:
        record = json.loads(text)
        return f"{record['program']}[{record['pid']}]: {record['message']}"
    except (ValueError, KeyError, TypeError):
        return text


def _kind(text: str) -> str:
    match = _TYPE.search(text)
    return match[1] if match else ""


def _of_our_log(line: re.Match[str]) -> Denial:
    program = line["program"].rpartition("/")[2]
    capability = line["why"].startswith("Operation not permitted")
    code = line["code"] or ""
    if line["path"]:
        what = WRITE if _WRITES.search(code) else READ
        return Denial("the kernel", program, what, line["path"][1:-1], capability)
    place = f" ({line['file']}:{line['line']})" if line["file"] else ""
    if "socket.socket(" in code:
        return Denial("the kernel", program, CALL, "socket", capability)
    return Denial("the kernel", program, _guess(code), f"{code or line['why']}{place}", capability)


def _guess(code: str) -> str:
    """Guess from our source line what was tried, where the exception names no file."""
    words = ((CONNECT, "connect"), (BIND, ".bind("), (SIGNAL, "kill("), (EXECUTE, "exec"), (CALL, "thread"))
    return next((what for what, word in words if word in code), OTHER)


def _of_seccomp(fields: dict[str, str]) -> Denial:
    architecture = int(fields.get("arch", "0"), 16) if _is_hex(fields.get("arch", "")) else 0
    number = fields.get("syscall", "")
    name = numbers.name_of(int(number), architecture) if number.isascii() and number.isdecimal() else number
    return Denial("seccomp", fields.get("comm", ""), CALL, name)


def _is_hex(text: str) -> bool:
    return re.fullmatch("[0-9a-fA-F]{1,16}", text) is not None


def _of_landlock(fields: dict[str, str], text: str) -> Denial:
    """Read a record; `program` holds its domain and number until all lines are read."""
    blockers = fields.get("blockers", "").split(",")
    what = next((found for blocker in blockers if (found := _LANDLOCK_WHAT.get(blocker))), "")
    if not what:
        what = WRITE if blockers[0].startswith("fs.") else OTHER
    serial = _SERIAL.search(text)
    key = f"{fields.get('domain', '')} {serial[1] if serial else ''}"
    detail = fields.get("path") or fields.get("dest") or fields.get("src") or fields.get("ocomm") or ",".join(blockers)
    return Denial("Landlock", _KEYS + key, what, detail)


def _names_of_processes(texts: list[str]) -> dict[str, str]:
    """Find who is behind a domain or a record's number."""
    names: dict[str, str] = {}
    for text in texts:
        fields = {name: value.strip('"') for name, value in _PAIR.findall(text)}
        serial = _SERIAL.search(text)
        if "comm" in fields and _kind(text) in ("1424", "LANDLOCK_DOMAIN", "1300", "SYSCALL"):
            names.update({key: fields["comm"] for key in (fields.get("domain"), serial and serial[1]) if key})
    return names


def _named(denial: Denial, names: dict[str, str]) -> Denial:
    """Put the process's name in the place of the keys of a Landlock record."""
    if not denial.program.startswith(_KEYS):
        return denial
    keys = denial.program.removeprefix(_KEYS).split(" ")
    return replace(denial, program=next((names[key] for key in keys if key in names), ""))


def _of_apparmor(fields: dict[str, str]) -> Denial:
    mask = fields.get("denied_mask", "") or fields.get("denied", "")
    program = fields.get("profile", "").rpartition("//")[2].removeprefix("posthouse-") or fields.get("comm", "")
    operation = fields.get("operation", "")
    if "family" in fields or operation in ("connect", "bind", "create", "listen"):
        what = operation if operation in (CONNECT, BIND) else CALL
        return Denial("AppArmor", program, what, fields.get("name") or f"socket {fields.get('family', '')}".strip())
    if operation in ("signal", "ptrace"):
        return Denial("AppArmor", program, SIGNAL if operation == "signal" else TRACE, fields.get("peer", ""))
    if operation == "capable":
        return Denial("AppArmor", program, OTHER, f"capability {fields.get('capname', '')}", capability=True)
    what = EXECUTE if "x" in mask else WRITE if set(mask) & set("wacdlk") else READ
    return Denial("AppArmor", program, what, fields.get("name", operation))


def _of_selinux(rights: str, fields: dict[str, str]) -> Denial:
    domain = fields.get("scontext", "").split(":")[2:3]
    from_domain = domain[0].removeprefix("posthouse_").removesuffix("_t") if domain else ""
    program = fields.get("comm") or from_domain
    words = set(rights.split())
    kind = fields.get("tclass", "")
    detail = fields.get("path") or fields.get("name") or fields.get("dest") or f"{kind} of {fields.get('tcontext', '')}"
    if "name_connect" in words or "connectto" in words:
        return Denial("SELinux", program, CONNECT, detail)
    if words & {"name_bind", "node_bind"}:
        return Denial("SELinux", program, BIND, fields.get("src", detail))
    if kind == "process":
        return Denial("SELinux", program, TRACE if "ptrace" in words else SIGNAL, detail)
    if kind.startswith("capability"):
        return Denial("SELinux", program, OTHER, f"capability {' '.join(sorted(words))}", capability=True)
    if kind.endswith("_socket"):
        return Denial("SELinux", program, CALL, "socket")
    if words & {"execute", "execute_no_trans"}:
        return Denial("SELinux", program, EXECUTE, detail)
    return Denial("SELinux", program, READ if words <= {"read", "open", "getattr", "search", "map"} else WRITE, detail)
