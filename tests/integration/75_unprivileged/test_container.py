"""The image and the Kubernetes example, without a container runtime: the same files, user, mounts and commands."""

import os
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import maildir, net
from tests.support.container import CONTAINER, INSTALLED_IN, instructions, last_stage, objects, pod
from tests.support.sandbox import Sandbox, Who, need_sandbox
from tests.support.unprivileged import System, send

STATE = Path("/var/lib/posthouse")
ETC = "/etc/posthouse"
# /etc as the image has it: no account for the user's number (a cluster may choose another), no /etc/services; the
# ConfigMap over the image's configuration. /var/lib with the directory for the volume.
MOUNTS = """\
mount -t tmpfs etc /mnt
cp -a /etc/. /mnt
sed -i '/^[^:]*:[^:]*:{uid}:/d' /mnt/passwd /mnt/group
: >/mnt/services
mkdir /mnt/posthouse
cp -r {config}/. /mnt/posthouse
mount --move /mnt /etc
mount -t tmpfs lib /var/lib
mkdir {state}
"""


@pytest.fixture
def system(tmp_path: Path, installed: Path) -> Iterator[System]:
    """Make what a pod of kubernetes.yaml is: user, read-only root, ConfigMap, and a volume as the kubelet gives it."""
    need_sandbox()
    context = pod()["securityContext"]
    who = Who(context["runAsUser"], context["runAsGroup"])
    port = net.free_port()
    config = tmp_path / "config"
    config.mkdir()
    for name, text in objects()["ConfigMap"]["data"].items():
        assert text.count("\n2525 ") == (name == "master.cf")
        (config / name).write_text(text.replace("\n2525 ", f"\n{port} "), encoding="utf-8")
    mounts = MOUNTS.format(uid=who.uid, config=config, state=STATE)
    volume = f"mode=2775,uid=0,gid={context['fsGroup']}"  # root's, with fsGroup and its set-gid bit
    with Sandbox(STATE, who=who, mode=volume, mounts=mounts) as place:
        yield System(place, installed, port, ETC, f"{STATE}/log/maillog")


def in_image(system: System, words: list[str]) -> list[str]:
    """Give a command of the image or the pod as it is here: another place, and its PATH."""
    here = [word.replace(INSTALLED_IN, str(system.installed)) for word in words]
    return [here[0] if "/" in here[0] else str(system.installed / "bin" / here[0]), *here[1:]]


def test_the_pod_takes_and_delivers_mail(system: System, tmp_path: Path) -> None:
    """It starts on an empty volume, answers EHLO, delivers, passes its probes, and ends with exit status 0."""
    place = system.place
    assert place.writable_mounts() == [str(STATE)]
    start = in_image(system, [*last_stage("ENTRYPOINT")[0].words(), *last_stage("CMD")[0].words()])
    assert start == system.argv("postfix", "start-fg")
    [container] = pod()["containers"]
    probes = [container[name]["exec"]["command"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    checks = [in_image(system, words) for words in [last_stage("HEALTHCHECK")[0].words(), *probes]]
    environment = {"MAIL_CONFIG": ETC}
    for check in checks:
        assert place.run(*check, environment=environment).returncode != 0
    with system.started(tmp_path / "stdout"):
        system.wait_greeting()
        with smtplib.SMTP(net.LOOPBACK, system.port, timeout=60) as client:
            code, said = client.ehlo("client.test")
            assert (code, b"mail.example.com" in said) == (250, True)
        send(system.port, "abuse@example.com", subject="alias")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(system.port, "nobody@example.com")
        [message] = maildir.wait_messages(place.path(STATE / "mail" / "postmaster"), 1)
        assert maildir.field(message, "subject") == b"alias"
        for check in checks:
            done = place.run(*check, environment=environment)
            assert done.returncode == 0, done.stdout + done.stderr
        assert system.stop() == 0
    for check in checks:
        assert place.run(*check, environment=environment).returncode != 0
    assert "fatal:" not in system.printed()
    assert "status=sent (delivered to maildir)" in system.printed()


def test_a_volume_that_the_kubelet_went_through_still_serves(system: System, tmp_path: Path) -> None:
    """fsGroup without OnRootMismatch changes group and modes of every file at each start; all stays usable."""
    place = system.place
    for number in (1, 2):
        with system.started(tmp_path / "stdout"):
            system.wait_greeting()
            send(system.port, "postmaster@example.com")
            maildir.wait_messages(place.path(STATE / "mail"), number)
            assert system.stop() == 0
        for directory, _, files in os.walk(place.path(STATE)):
            for name in (".", *files):
                path = Path(directory, name)
                os.chown(path, -1, place.who.gid, follow_symlinks=False)
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o2770 if name == "." else 0o660))
    assert "fatal:" not in system.printed()


def test_the_image_has_one_user_one_volume_and_one_port() -> None:
    """What the Dockerfile declares is what its configuration uses."""
    assert {each.text.split()[0] for each in instructions() if each.word == "FROM"} == {"debian:12-slim"}
    user, group = last_stage("USER")[-1].text.split(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert [each.words() for each in last_stage("VOLUME")] == [[str(STATE)]]
    assert [each.text for each in last_stage("EXPOSE")] == ["2525"]
    assert "\n2525       inet " in (CONTAINER / "etc" / "master.cf").read_text()
    main = (CONTAINER / "etc" / "main.cf").read_text()
    assert f"virtual_uid_maps = static:{user}\n" in main
    assert f"virtual_gid_maps = static:{group}\n" in main
    settings = pod()["securityContext"]
    assert [settings[name] for name in ("runAsUser", "runAsGroup", "fsGroup")] == [int(user), int(group), int(group)]


def test_the_config_map_is_the_configuration_of_the_image() -> None:
    """Two places, one text."""
    files = {path.name: path.read_text(encoding="utf-8") for path in (CONTAINER / "etc").iterdir()}
    assert objects()["ConfigMap"]["data"] == files


def test_what_the_image_copies_and_runs_is_here() -> None:
    """Sources of COPY exist, and the build runs the script that made the environment of these tests."""
    repository = CONTAINER.parent.parent
    for each in instructions():
        if each.word == "COPY" and not each.text.startswith("--from="):
            assert (repository / each.text.split()[0]).exists(), each
    assert [each for each in instructions() if each.text == f"packaging/install.sh {INSTALLED_IN}"]
    assert f"--from=build {INSTALLED_IN} {INSTALLED_IN}" in [each.text for each in last_stage("COPY")]


def test_the_image_takes_every_set_uid_bit_away(tmp_path: Path) -> None:
    """The command of the Dockerfile, on a directory with such files."""
    for name, mode in (("su", 0o4755), ("write", 0o2755), ("plain", 0o755)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail").chmod(0o2775)
    [command] = [part for part in last_stage("RUN")[0].text.split(" && ") if part.startswith("find ")]
    assert command.startswith("find / -xdev ")
    subprocess.run(["sh", "-c", command.replace("find / ", 'find "$1" ', 1), "sh", str(tmp_path)], check=True)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()}
    assert modes == {"su": 0o755, "write": 0o755, "plain": 0o755, "mail": 0o775}
