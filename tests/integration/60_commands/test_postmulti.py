"""postmulti: a second mail system is created, takes mail from the first, is stopped and destroyed."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support import net
from tests.support.instance import Instance, kill_quietly
from tests.support.processes import tree
from tests.support.recording_sink import RecordingSink
from tests.support.servers import OURS

pytestmark = [pytest.mark.integration, pytest.mark.root]


class House:
    """The primary instance, and where the second one will be."""

    def __init__(self, primary: Instance) -> None:
        self.primary = primary
        self.second = primary.directory / "second"
        self.places = [f"{name}_directory={self.second}/{name}" for name in ("config", "queue", "data")]

    def postmulti(self, *words: str) -> tuple[int, str]:
        """Run it for this primary instance; the exit status, and what it wrote."""
        environment = {**self.primary.environment(), "MAIL_CONFIG": str(self.primary.config_directory)}
        done = subprocess.run(
            [OURS / "postmulti", *words], env=environment, check=False, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    def does(self, *words: str) -> str:
        """Run it, successfully."""
        status, said = self.postmulti(*words)
        assert status == 0, said
        return said

    def refuses(self, *words: str) -> str:
        """Run it; the reason for its refusal."""
        status, said = self.postmulti(*words)
        assert status == 1, said
        return said

    def second_pid(self) -> int:
        """Return the process number of the second master."""
        try:
            return int((self.second / "queue/pid/master.pid").read_text())
        except FileNotFoundError:
            return 0


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    """Run the relay host of the second instance."""
    with RecordingSink(lambda _verb, _address: "") as sink:
        yield sink


@pytest.fixture
def house(posthouse: Start) -> Iterator[House]:
    """Prepare a primary instance that is alone."""
    home = House(posthouse(main={"mydestination": ""}, started=False))
    yield home
    if pid := home.second_pid():
        for process in tree(pid):
            kill_quietly(process.pid)


def configure_second(house: House, sink: RecordingSink) -> int:
    """Let it listen, and relay to the sink; returns its port."""
    port = net.free_port()
    main_cf, master_cf = house.second / "config/main.cf", house.second / "config/master.cf"
    assert "master_service_disable = inet\n" in main_cf.read_text()
    with main_cf.open("a") as file:
        file.write(
            f"master_service_disable =\nrelayhost = [127.0.0.1]:{sink.port}\ndisable_dns_lookups = yes\n"
            f"myhostname = second.example.test\nmydestination =\ninet_interfaces = 127.0.0.1\n"
            f"maillog_file = {house.second}/maillog\nmaillog_file_prefixes = {house.second}\n"
        )
    text = master_cf.read_text()
    master_cf.write_text(text.replace("smtp       inet", f"127.0.0.1:{port} inet"))
    return port


def test_two_mail_systems_live_and_one_is_destroyed(house: House, sink: RecordingSink) -> None:
    """The whole life: init, create, enable, start together, mail from one to the other, stop, disable, destroy."""
    primary = house.primary
    assert "run 'postmulti -e init' first" in house.refuses("-e", "create", "-I", "postfix-out", *house.places)
    house.does("-e", "init")
    house.does("-e", "create", "-I", "postfix-out", "-G", "out", *house.places)
    first = f"-               -               y         {primary.config_directory}\n"
    assert house.does("-l") == first + f"postfix-out     out             n         {house.second}/config\n"
    port = configure_second(house, sink)
    with (primary.config_directory / "main.cf").open("a") as file:
        file.write(f"relayhost = [127.0.0.1]:{port}\n")
    house.does("-e", "enable", "-i", "postfix-out")
    primary.start_and_greet()  # by postfix start, which hands over to the wrapper
    net.wait_greeting(port, 10)
    mail = b"From: a@client.test\nTo: b@far.test\nSubject: through both\n\nbody\n"
    assert primary.command("sendmail", "-f", "a@client.test", "b@far.test", stdin=mail).returncode == 0
    assert b"by second.example.test (Postfix)" in sink.wait(1)[0].content
    assert "is not stopped" in house.refuses("-e", "destroy", "-i", "postfix-out")
    assert primary.command("postfix", "stop").returncode == 0
    assert not primary.running()
    assert "postfix-out/smtp[" in (house.second / "maillog").read_text()
    assert "is not running" in house.postmulti("-i", "postfix-out", "-p", "status")[1]
    assert "is enabled; disable it first" in house.refuses("-e", "destroy", "-i", "postfix-out")
    house.does("-e", "disable", "-i", "postfix-out")
    (house.second / "queue/maildrop/waits").touch()
    assert "1 messages in its queue" in house.refuses("-e", "destroy", "-i", "postfix-out")
    (house.second / "queue/maildrop/waits").unlink()
    (house.second / "config/virtual").touch()  # what the administrator made stays
    said = house.does("-e", "destroy", "-i", "postfix-out")
    assert f"{house.second}/config: Directory not empty" in said
    assert sorted(path.name for path in house.second.iterdir()) == ["config", "maillog"]
    assert os.listdir(house.second / "config") == ["virtual"]
    assert house.does("-l") == first


def create(house: House, name: str, *words: str) -> None:
    """Make one more, below the primary one's directory."""
    places = [f"{kind}_directory={house.primary.directory}/{name}/{kind}" for kind in ("config", "queue", "data")]
    house.does("-e", "create", "-I", name, *words, *places)


def names(house: House, *words: str) -> list[str]:
    """List the names."""
    return [json.loads(line)["name"] for line in house.does("-lj", *words).splitlines()]


def test_order_groups_and_names(house: House) -> None:
    """Where a new one is put, what is chosen, and in which order commands run."""
    house.does("-e", "init")
    create(house, "postfix-b", "-G", "mx")
    create(house, "postfix-a", "-a")
    create(house, "postfix-c", "-i", "postfix-b")
    create(house, "postfix-d", "-g", "mx", "-G", "mx")
    assert names(house) == ["-", "postfix-a", "postfix-c", "postfix-d", "postfix-b"]
    assert names(house, "-g", "mx") == ["postfix-d", "postfix-b"]
    assert names(house, "-R", "-g", "mx") == ["postfix-b", "postfix-d"]
    assert names(house, "-i", f"{house.primary.directory}/postfix-a/config") == ["postfix-a"]
    assert names(house, "-i", "-") == ["-"]
    assert house.does("-g", "mx", "-x", "sh", "-c", 'echo "$multi_instance_name ${MAIL_CONFIG##*/}"') == (
        "postfix-d config\npostfix-b config\n"
    )
    assert house.postmulti("-x", "sh", "-c", 'test "$multi_instance_name" != postfix-c')[0] == 1
    house.does("-e", "assign", "-i", "postfix-d", "-I", "postfix-e", "-G", "-")
    assert house.does("-l", "-i", "postfix-e").split()[:3] == ["postfix-e", "-", "n"]
    assert "already" in house.refuses(
        "-e", "import", "-I", "postfix-x", f"config_directory={house.primary.directory}/postfix-a/config"
    )
    house.does("-e", "deport", "-i", "postfix-a")
    assert names(house) == ["-", "postfix-c", "postfix-e", "postfix-b"]
    house.does("-e", "import", f"config_directory={house.primary.directory}/postfix-a/config")
    assert names(house)[-1] == "postfix-a"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-l", "-p", "status"], "specify one of -l, -p, -x, -e"),
        (["-R", "-p", "status"], "-R does not go with -p"),
        (["-e", "grow"], "-e grow: there are assign, create"),
        (["-e", "create", "-I", "mine"], 'names begin with "postfix-"'),
        (["-e", "create", "-I", "postfix-x", "relayhost=[x]"], "relayhost cannot be set here"),
        (["-e", "import", "-I", "postfix-x", "config_directory=/nowhere/x"], "/nowhere/x lacks main.cf"),
        (["-e", "destroy", "-i", "-"], "cannot destroy the primary instance"),
        (["-e", "enable", "-i", "postfix-x"], "no instance is called postfix-x"),
        (["-x"], "-x: which command?"),
    ],
)
def test_what_cannot_be_done_is_explained(house: House, words: list[str], says: str) -> None:
    """One line that says why, and nothing is changed."""
    house.does("-e", "init")
    before = Path(house.primary.config_directory, "main.cf").read_bytes()
    assert says in house.refuses(*words)
    assert Path(house.primary.config_directory, "main.cf").read_bytes() == before


@pytest.mark.parametrize("name", ["queue_directory", "data_directory"])
def test_what_is_the_primary_one_s_is_not_destroyed(house: House, name: str) -> None:
    """A copied main.cf names its directories: they would go, with the queue in them, while nobody runs."""
    house.does("-e", "init")
    create(house, "postfix-copy")
    config = house.primary.directory / "postfix-copy/config"
    own = subprocess.run(
        [OURS / "postconf", "-c", house.primary.config_directory, "-hx", name],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    subprocess.run([OURS / "postconf", "-c", config, "-e", f"{name}={own}/."], check=True)
    before = sorted(Path(own).rglob("*"))
    assert f"is the {name} of the primary instance, too" in house.refuses("-e", "destroy", "-i", "postfix-copy")
    assert sorted(Path(own).rglob("*")) == before
    assert (config / "main.cf").is_file()
