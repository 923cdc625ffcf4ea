"""posthouse confine prove: start each daemon under its rules in a scratch system, and try what is forbidden."""

import getopt
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence

from posthouse.commands.confine.prover import Proof, Prover, nothing
from posthouse.commands.confine.report import Kernel, as_json, told
from posthouse.commands.confine.scratch import Scratch
from posthouse.commands.confine.services import Served
from posthouse.commands.postfix.layout import LayoutError
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import CONFINEMENT, LANDLOCK_NEWEST_ABI
from posthouse.config.settings import Settings
from posthouse.confine import enforce
from posthouse.util.errors import ConfigError, Fatal

USAGE = "usage: posthouse confine prove [-c DIR] [--json] [DAEMON ...]\n"


def main(words: list[str]) -> int:
    """Run; 0 when nothing forbidden went through and all that is allowed works."""
    try:
        options, names = getopt.gnu_getopt(words, "c:", ["json"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"posthouse confine prove: {error}\n{USAGE}")
        return 64
    given = dict(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the scratch system ends with us
    try:
        with Scratch(_like(given.get("-c"))) as scratch:
            wanted = choose(scratch.served, names)
            proofs = prove(scratch, wanted, progress=_progress)
            kernel = kernel_of(scratch.settings, as_root=scratch.as_root)
    except (ConfigError, Fatal, LayoutError) as error:
        sys.stderr.write(f"posthouse confine prove: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    if "--json" in given:
        sys.stdout.write(json.dumps(as_json(proofs, kernel)) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in told(proofs, kernel))
    return 0 if all(proof.good for proof in proofs) else 1


def _like(option: str | None) -> Settings | None:
    """Read the configuration whose users and confinement are taken over; without -c only where there is one."""
    directory = os.path.abspath(config_directory(option))
    if option is None and not os.path.exists(f"{directory}/main.cf"):
        return None
    return load_settings(directory, "posthouse")


def choose(served: Sequence[Served], names: Sequence[str]) -> list[Served]:
    """Give the programs of these names; all without names. Raises Fatal: there is none of that name."""
    known = {each.program: each for each in served}
    for name in names:
        if name not in known:
            raise Fatal(f'there is no daemon "{name}"; there are {", ".join(known)}')
    return [known[name] for name in names] or list(served)


def prove(
    scratch: Scratch,
    wanted: list[Served],
    alter: Callable[[], None] = nothing,
    progress: Callable[[str], None] = lambda _name: None,
) -> list[Proof]:
    """Prove these daemons. alter: see prover.py. Raises Fatal."""
    proofs = []
    with Prover(scratch, wanted, alter) as prover:
        for proof in prover.prove():
            progress(proof.program)
            proofs.append(proof)
    progress("")
    return proofs


def kernel_of(settings: Settings, *, as_root: bool) -> Kernel:
    """Say what this kernel can enforce, as main.cf lets it be used."""
    if settings[CONFINEMENT] == "off":
        return Kernel(0, ("everything: main.cf says confinement = off",), as_root)
    newest = settings[LANDLOCK_NEWEST_ABI]
    return Kernel(enforce.usable_abi(newest), enforce.missing_in_kernel(newest), as_root)


def _progress(name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{name}")
        sys.stderr.flush()
