"""Directories made for Postfix start Posthouse as they are, and both answer the same recipients with the same codes.

pairs/NAME/ holds main.cf, master.cf, tables, `probes` (recipient and code) and maybe `prepare` (commands that make
tables, each server's own). Queue, data directory, log and ports are put in; nothing else is changed.
"""

import os
import smtplib
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import Start
from tests.support import net
from tests.support.instance import Instance
from tests.support.peers import UNPACKED

PAIRS: Final = Path(__file__).resolve().parent / "pairs"
STOCK: Final = "usr/share/postfix"


def give_pair(instance: Instance, files: dict[str, str]) -> Path:
    """Put a pair into the instance's configuration directory; return it."""
    etc = instance.config_directory
    values = {"@PORT@": instance.port, "@PORT2@": net.free_port(), "@ETC@": etc, "@MAIL@": instance.mail_directory}
    for path in etc.iterdir():
        path.unlink()
    for name, given in files.items():
        text = given
        for key, value in values.items():
            text = text.replace(key, str(value))
        (etc / name).write_text(text, encoding="utf-8")
    with (etc / "main.cf").open("a", encoding="utf-8") as main_cf:
        main_cf.write(
            f"queue_directory = {instance.queue_directory}\ndata_directory = {instance.data_directory}\n"
            f"maillog_file = {instance.maillog}\nmaillog_file_prefixes = {instance.directory}\n"
        )
    return etc


def read_pair(name: str) -> dict[str, str]:
    """Read a pair's files."""
    return {path.name: path.read_text(encoding="utf-8") for path in (PAIRS / name).iterdir()}


def run_pair(instance: Instance, files: dict[str, str]) -> dict[str, str]:
    """Start with the pair and ask for each recipient; return the codes."""
    etc = give_pair(instance, files)
    for line in files.get("prepare", "").splitlines():
        command, table = line.replace("@ETC@", str(etc)).split()
        done = instance.command(command, table)
        assert done.returncode == 0, done.stderr
    instance.start_and_greet()
    codes = {}
    with smtplib.SMTP(net.LOOPBACK, instance.port, local_hostname="host.client.test", timeout=30) as client:
        client.ehlo()
        assert client.mail("sender@client.test")[0] == 250
        for recipient in probes(files):
            codes[recipient] = str(client.docmd(f"RCPT TO:<{recipient}>")[0])
    return codes


def probes(files: dict[str, str]) -> dict[str, str]:
    """Return the recipients to ask for, with their codes."""
    lines = [line for line in files["probes"].splitlines() if line and not line.startswith("#")]
    return {recipient: code for recipient, _, code in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("name", sorted(path.name for path in PAIRS.iterdir()))
def test_pair_starts_posthouse(posthouse: Start, name: str) -> None:
    """It starts, greets, and decides about each recipient as the pair says."""
    files = read_pair(name)
    assert run_pair(posthouse(started=False), files) == probes(files)


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(path.name for path in PAIRS.iterdir()))
def test_pair_is_postfix_s_too(postfix_peer: Start, name: str) -> None:
    """A real Postfix answers the same: the pairs ask for what Postfix does, not for what we do."""
    files = read_pair(name)
    assert run_pair(postfix_peer(started=False), files) == probes(files)


def stock_files() -> dict[str, str]:
    """Return Debian's own main.cf and master.cf, the port of the one listener apart."""
    for root in (Path("/"), UNPACKED):
        directory = root / STOCK
        if (directory / "master.cf.dist").exists():
            master = (directory / "master.cf.dist").read_text(encoding="utf-8")
            service = "\nsmtp      inet  n "
            assert master.count(service) == 1
            main = (directory / "main.cf.debian").read_text(encoding="utf-8")
            return {
                "main.cf": main + "myhostname = stock.example.test\n",
                "master.cf": master.replace(service, "\n127.0.0.1:@PORT@ inet n "),
                "probes": "root@localhost 250\nstranger@localhost 550\nx@elsewhere.test 250\n",
            }
    pytest.skip("Debian's package postfix is neither installed nor unpacked")


@pytest.mark.root  # its alias file is /etc/aliases, and the index beside it is root's to make
def test_stock_configuration_starts_posthouse(posthouse: Start) -> None:
    """What Debian installs starts us; the services we do not have yet are named once, not complained about for ever."""
    server = posthouse(started=False)
    files = stock_files()
    assert run_pair(server, files) == probes(files)
    assert server.log().count("maildrop") <= 1


@pytest.mark.root
def test_stock_configuration_starts_postfix(postfix_peer: Start) -> None:
    """The same directory, the same answers."""
    files = stock_files()
    assert os.geteuid() == 0
    assert run_pair(postfix_peer(started=False), files) == probes(files)
