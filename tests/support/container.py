"""What packaging/container says, read for its tests: the Dockerfile's instructions and the Kubernetes objects."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

CONTAINER: Final = Path(__file__).resolve().parent.parent.parent / "packaging" / "container"
INSTALLED_IN: Final = "/opt/posthouse"  # in the image


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, its lines joined."""

    word: str
    text: str

    def words(self) -> list[str]:
        """Give the words of the JSON form."""
        found: list[str] = json.loads(self.text[self.text.index("[") :])
        return found


def instructions() -> list[Instruction]:
    """Read the Dockerfile."""
    text = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    parts = [line.split(" ", 1) for line in lines if line.strip()]
    return [Instruction(word, re.sub(" +", " ", rest)) for word, rest in parts]


def last_stage(word: str) -> list[Instruction]:
    """Give the instructions of a kind that make the image itself."""
    found: list[Instruction] = []
    for each in instructions():
        if each.word == "FROM":
            found = []
        elif each.word == word:
            found.append(each)
    return found


def objects() -> dict[str, Any]:
    """Read kubernetes.yaml; by kind, of which there is one each."""
    with (CONTAINER / "kubernetes.yaml").open(encoding="utf-8") as file:
        found = list(yaml.safe_load_all(file))
    by_kind = {each["kind"]: each for each in found}
    assert len(by_kind) == len(found)
    return by_kind


def pod() -> dict[str, Any]:
    """Give the pod's specification."""
    found: dict[str, Any] = objects()["StatefulSet"]["spec"]["template"]["spec"]
    return found
