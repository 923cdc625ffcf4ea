"""Makes what is generated from the code and committed: manual pages, units, parts of some documents.

usage: generate.py [--check]     --check: change nothing, name what is stale, exit 1 when anything is
"""

import contextlib
import io
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from posthouse.commands import explain, parameter_table, policies
from posthouse.commands.check import document as check_document
from posthouse.commands.policies.table import replaced
from posthouse.daemons.metrics.families import FAMILIES

ROOT: Final = Path(__file__).resolve().parent.parent
UNITS: Final = ("posthouse.service", "posthouse-rootless.service", "posthouse.socket")
SECURITY, METRICS = "docs/security.md", "docs/metrics.md"
EXPLAIN: Final = "docs/explain.md"
CHECKS: Final = "docs/checks.md"
_FILE: Final = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE: Final = re.compile(r"^```console\n\$ posthouse explain ([^\n]*)\n.*?^```$", re.MULTILINE | re.DOTALL)
_SHOWN: Final = "/etc/postfix"  # where the document says that its files are
BEGIN, END = "<!-- begin: metrics (made by `make docs`) -->\n", "<!-- end: metrics -->\n"


def generated() -> dict[str, str]:
    """Give the text of every generated file by its path in the repository."""
    system = policies.default_system()
    files = {f"docs/man/{name}": text for name, text in policies.manual_pages().items()}
    files |= {f"packaging/systemd/{name}": policies.FILES[f"systemd/{name}"](system) for name in UNITS}
    files[CHECKS] = with_findings((ROOT / CHECKS).read_text(encoding="utf-8"))
    files["docs/parameters.md"] = parameter_table.document()
    document = (ROOT / SECURITY).read_text(encoding="utf-8")
    files[SECURITY] = replaced(document, policies.security_table(system))
    before, _, rest = (ROOT / METRICS).read_text(encoding="utf-8").partition(BEGIN)
    files[METRICS] = before + BEGIN + metrics_table() + END + rest.partition(END)[2]
    files[EXPLAIN] = with_examples((ROOT / EXPLAIN).read_text(encoding="utf-8"))
    return files


def with_examples(document: str) -> str:
    """Run each example of `posthouse explain` on the files that the document shows, and put in what it writes."""
    with tempfile.TemporaryDirectory() as directory:
        for name, text in _FILE.findall(document):
            Path(directory, name).write_text(text.replace(_SHOWN, directory), encoding="utf-8")

        def run(example: re.Match[str]) -> str:
            written = io.StringIO()
            with contextlib.redirect_stdout(written):
                status = explain.main([*shlex.split(example[1]), "-c", directory])
            assert status == 0, f"posthouse explain {example[1]}: status {status}"
            return f"```console\n$ posthouse explain {example[1]}\n{written.getvalue().replace(directory, _SHOWN)}```"

        return _EXAMPLE.sub(run, document)


def with_findings(document: str) -> str:
    """Put the tables of findings between their marks."""
    begin, end = "<!-- begin: findings (made by `make docs`) -->\n", "<!-- end: findings -->\n"
    before, found, rest = document.partition(begin)
    assert found, f"{CHECKS} has lost its marks"
    return before + begin + check_document.tables() + end + rest.partition(end)[2]


def metrics_table() -> str:
    """Give the table of every metric as Markdown."""
    rows = ["| metric | labels | kind | what |\n", "| --- | --- | --- | --- |\n"]
    for family in FAMILIES:
        name, labels = family.full_name.removeprefix("posthouse_"), ", ".join(f"`{each}`" for each in family.labels)
        rows.append(f"| `{name}` | {labels} | {family.kind} | {family.help} |\n")
    return "".join(rows)


def stale(files: dict[str, str]) -> list[str]:
    """Name what differs from the work tree, pages of what is no more included."""
    found = [path for path, text in files.items() if not _is_at(ROOT / path, text)]
    pages = (path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/man").glob("*"))
    return found + [path for path in pages if path not in files]


def _is_at(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> int:
    """Write, or check."""
    files = generated()
    changed = stale(files)
    for path in changed:
        print(path)
        if "--check" not in sys.argv:
            if path in files:
                (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / path).write_text(files[path], encoding="utf-8")
            else:
                (ROOT / path).unlink()
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
