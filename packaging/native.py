"""The native build: what a message goes through, compiled by mypyc, beside the same modules in Python.

Hatch calls the hook when a wheel is built with HATCH_BUILD_HOOK_ENABLE_CUSTOM=1, which `NATIVE=1 packaging/install.sh`
does. Needs a C compiler and Python's headers. As a program (python packaging/native.py) it only says whether everything
can be compiled, and needs no compiler for that. docs/adr/0014-native-build.md
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Final

import setuptools  # first: it brings the distutils that mypyc wants
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from mypyc.build import mypyc_build, mypycify
from mypyc.options import CompilerOptions
from setuptools.command.build_ext import build_ext

ROOT: Final = Path(__file__).resolve().parent.parent
NAMES: Final = ROOT / "packaging" / "native.txt"
GROUP: Final = "posthouse"  # one library has all the code; a small file for each module points there
FLAGS: Final = ("--config-file=", "--python-version=3.11", "--ignore-missing-imports")


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the compiled modules to the wheel."""

    made: Path

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say where each file belongs."""
        self.made = directory = Path(tempfile.mkdtemp(prefix="posthouse-native-"))
        made = compile_modules(modules(), directory)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update({str(path): str(path.relative_to(directory / "lib")) for path in made})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up; the wheel has its own copies."""
        shutil.rmtree(self.made)


def modules() -> list[str]:
    """Read the list: paths below src/."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def compile_modules(names: list[str], directory: Path) -> list[Path]:
    """Compile into directory/lib, a tree like src/, and return the files."""
    with contextlib.chdir(ROOT / "src"):
        extensions = mypycify(
            [*FLAGS, *names],
            opt_level="2",
            debug_level="0",
            multi_file=True,
            group_name=GROUP,
            target_dir=str(directory / "c"),
        )
        command = build_ext(setuptools.Distribution({"name": GROUP, "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(directory / "lib"), str(directory / "o")
        command.ensure_finalized()
        with _all_processors():
            command.run()
    return sorted((directory / "lib").rglob("*.so"))


def check(names: list[str]) -> None:
    """Do all but the C compiler's part. Ends the process, and says what cannot be compiled."""
    with contextlib.chdir(ROOT / "src"), tempfile.TemporaryDirectory() as directory:
        options = CompilerOptions(multi_file=True, target_dir=directory, group_name=GROUP)
        mypyc_build([*FLAGS, *names], options)


@contextlib.contextmanager
def _all_processors() -> Iterator[None]:
    """Compile many files at a time: by itself, distutils takes those of one library one after the other."""
    from distutils.ccompiler import CCompiler  # noqa: PLC0415 - setuptools has it in place only now

    def compile_all(self: Any, sources: list[str], output_dir: str | None = None, **options: Any) -> list[str]:  # noqa: ANN401
        flags = options.get("extra_postargs")
        _, objects, extra, includes, build = self._setup_compile(
            output_dir, options.get("macros"), options.get("include_dirs"), sources, options.get("depends"), flags
        )
        arguments = self._get_cc_args(includes, options.get("debug"), options.get("extra_preargs"))
        with ThreadPool(os.cpu_count()) as pool:
            pool.map(lambda name: self._compile(name, *build[name], arguments, extra, includes), build)
        return list(objects)

    before, CCompiler.compile = CCompiler.compile, compile_all
    try:
        yield
    finally:
        CCompiler.compile = before


if __name__ == "__main__":
    check(modules())
    sys.stdout.write(f"{len(modules())} modules can be compiled\n")
