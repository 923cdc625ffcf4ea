"""Says what the kernel would: does an AppArmor profile let a process open a path? For machines without AppArmor.

Knows file rules, variables, alternations and wildcards (apparmor.d(5), "Globbing"), and the files that are included;
nothing of networks, capabilities and signals.
"""

import re
from typing import Final

from tests.support.policy_tools import PLACE

TUNABLES: Final = {
    "PROC": "/proc/",
    "run": "{/run,/var/run}",
    "sys": "/sys",
    "HOME": "{/home/*,/root}",
    "HOMEDIRS": "/home",
    "pid": "{self,[0-9]*}",
    "tid": "{self,[0-9]*}",
    "multiarch": "*-linux-gnu*",
    "etc_ro": "/etc",
}
_TOKEN: Final = re.compile(r"\*\*|\\.|\[[^\]]*\]|.", re.DOTALL)
_MEANING: Final = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
_FILE: Final = re.compile(r'(?:owner )?(?:"([@/][^"]*)"|([@/]\S*))\s+([a-zA-Z]+),')
_INCLUDE: Final = re.compile(r"include <([^>]+)>")
_PROFILE: Final = re.compile(r"^profile (\S+) [^{]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_VARIABLE: Final = re.compile(r"@\{(\w+)\}")


class Profiles:
    """The profiles of one text."""

    def __init__(self, text: str) -> None:
        own = re.findall(r'^@\{(\w+)\} = "?([^"\n]+)"?$', text, re.MULTILINE)
        self._values = {**TUNABLES, **dict(own)}
        self._rules = {name: self._read(body) for name, body in _PROFILE.findall(text)}

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a profile."""
        return name in self._rules

    def allows(self, name: str, path: str, modes: str) -> bool:
        """Tell whether this profile lets a path be used in all of these ways (r, w, a); w means a as well."""
        found = {mode for pattern, given in self._rules[name] if pattern.match(path) for mode in given}
        if "w" in found:
            found.add("a")
        return set(modes) <= found

    def _read(self, body: str) -> list[tuple[re.Pattern[str], str]]:
        rules: list[tuple[re.Pattern[str], str]] = []
        for line in map(str.strip, body.splitlines()):
            included, file = _INCLUDE.match(line), _FILE.match(line)
            if included is not None:
                rules += self._read((PLACE / "etc/apparmor.d" / included[1]).read_text(encoding="utf-8"))
            elif file is not None:
                rules.append((self._pattern(file[1] or file[2]), file[3]))
        return rules

    def _pattern(self, text: str) -> re.Pattern[str]:
        while _VARIABLE.search(text):
            text = _VARIABLE.sub(lambda found: self._values[found[1]], text)
        pieces = _TOKEN.findall(text.replace("//", "/"))
        return re.compile("".join(map(_translated, pieces)) + r"\Z")


def _translated(token: str) -> str:
    if token.startswith("["):
        return token
    return _MEANING.get(token) or re.escape(token[-1])


def file_uses(call: str, arguments: str) -> list[tuple[str, str]]:
    """Give what a call that strace wrote down does to files: path and modes."""
    names = re.findall(r'"([^"]*)"', arguments)
    if call in ("open", "openat"):
        return [] if "O_PATH" in arguments or not names else [(names[0], _modes(arguments))]
    if call == "connect":
        return [(name, "rw") for name in names if "AF_UNIX" in arguments]
    return [(name, "w") for name in names if call.startswith(("unlink", "rename", "mkdir"))]


def _modes(flags: str) -> str:
    if "O_APPEND" in flags and "O_WRONLY" in flags:
        return "a"
    return "rw" if "O_RDWR" in flags else "w" if "O_WRONLY" in flags else "r"
