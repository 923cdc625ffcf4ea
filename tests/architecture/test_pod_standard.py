"""packaging/container/kubernetes.yaml keeps the "restricted" pod security standard, rule by rule.

Source: Kubernetes documentation, "Pod Security Standards", the baseline policy and what restricted adds; and beside it
the few things that a mail server needs there. Each rule is shown to find its violation.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import pytest

from tests.support.container import objects, pod

Spec = dict[str, Any]

VOLUME_TYPES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SAFE_SYSCTLS: Final = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX_TYPES: Final = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
PROFILES: Final = {"RuntimeDefault", "Localhost"}


def containers(spec: Spec) -> list[Spec]:
    """Give containers of every kind."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind, [])]


def contexts(spec: Spec) -> list[Mapping[str, Any]]:
    """Give the security contexts: of the pod, and of each container."""
    return [each.get("securityContext", {}) for each in (spec, *containers(spec))]


def effective(spec: Spec, name: str) -> list[object]:
    """Give a setting for each container: its own, or else the pod's."""
    of_pod = spec.get("securityContext", {}).get(name)
    return [each.get("securityContext", {}).get(name, of_pod) for each in containers(spec)]


def hooks(spec: Spec) -> Iterator[Mapping[str, Any]]:
    """Give every probe and life-cycle hook."""
    for each in containers(spec):
        probes = [each.get(name, {}) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        yield from [*probes, *each.get("lifecycle", {}).values()]


def added(spec: Spec) -> set[str]:
    """Give the capabilities that any container adds."""
    return {name for each in contexts(spec) for name in each.get("capabilities", {}).get("add", [])}


def profile(value: object) -> object:
    """Give the type of a seccomp or AppArmor profile."""
    return value.get("type") if isinstance(value, dict) else None


class Rule(NamedTuple):
    """Whether a pod keeps it, and what in the first container or the pod would break it."""

    keeps: Callable[[Spec], bool]
    of_pod: Mapping[str, Any] = {}
    of_container: Mapping[str, Any] = {}


RULES: Final[dict[str, Rule]] = {
    # Baseline.
    "no HostProcess": Rule(
        lambda spec: not any(each.get("windowsOptions", {}).get("hostProcess") for each in contexts(spec)),
        of_container={"securityContext": {"windowsOptions": {"hostProcess": True}}},
    ),
    "no host network": Rule(lambda spec: not spec.get("hostNetwork"), {"hostNetwork": True}),
    "no host PID": Rule(lambda spec: not spec.get("hostPID"), {"hostPID": True}),
    "no host IPC": Rule(lambda spec: not spec.get("hostIPC"), {"hostIPC": True}),
    "not privileged": Rule(
        lambda spec: not any(each.get("privileged") for each in contexts(spec)),
        of_container={"securityContext": {"privileged": True}},
    ),
    "no host ports": Rule(
        lambda spec: not any(port.get("hostPort") for each in containers(spec) for port in each.get("ports", [])),
        of_container={"ports": [{"containerPort": 25, "hostPort": 25}]},
    ),
    "no host in probes and hooks": Rule(
        lambda spec: (
            not any("host" in action for hook in hooks(spec) for action in hook.values() if isinstance(action, dict))
        ),
        of_container={"livenessProbe": {"tcpSocket": {"port": 25, "host": "192.0.2.1"}}},
    ),
    "AppArmor on": Rule(
        lambda spec: all(profile(each.get("appArmorProfile")) in {None, *PROFILES} for each in contexts(spec)),
        of_container={"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
    ),
    "SELinux types of containers": Rule(
        lambda spec: all(each.get("seLinuxOptions", {}).get("type", "") in SELINUX_TYPES for each in contexts(spec)),
        of_container={"securityContext": {"seLinuxOptions": {"type": "unconfined_t"}}},
    ),
    "SELinux user and role not set": Rule(
        lambda spec: not any({"user", "role"} & each.get("seLinuxOptions", {}).keys() for each in contexts(spec)),
        {"securityContext": {"seLinuxOptions": {"user": "system_u"}}},
    ),
    "default proc mount": Rule(
        lambda spec: all(each.get("procMount", "Default") == "Default" for each in contexts(spec)),
        of_container={"securityContext": {"procMount": "Unmasked"}},
    ),
    "safe sysctls": Rule(
        lambda spec: all(each["name"] in SAFE_SYSCTLS for each in contexts(spec)[0].get("sysctls", [])),
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    ),
    # Restricted.
    "volume types": Rule(
        lambda spec: all(set(volume) - {"name"} <= VOLUME_TYPES for volume in spec.get("volumes", [])),
        {"volumes": [{"name": "mail", "hostPath": {"path": "/var/mail"}}]},
    ),
    "no privilege escalation": Rule(
        lambda spec: all(
            each.get("securityContext", {}).get("allowPrivilegeEscalation") is False for each in containers(spec)
        ),
        of_container={"securityContext": {"allowPrivilegeEscalation": True}},
    ),
    "runs as non-root": Rule(
        lambda spec: all(value is True for value in effective(spec, "runAsNonRoot")),
        {"securityContext": {"runAsNonRoot": False}},
    ),
    "user is not root": Rule(
        lambda spec: not any(each.get("runAsUser") == 0 for each in contexts(spec)),
        of_container={"securityContext": {"runAsUser": 0}},
    ),
    "seccomp on": Rule(
        lambda spec: all(profile(value) in PROFILES for value in effective(spec, "seccompProfile")),
        of_container={"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    ),
    "all capabilities dropped": Rule(
        lambda spec: all(
            "ALL" in each.get("securityContext", {}).get("capabilities", {}).get("drop", [])
            for each in containers(spec)
        ),
        of_container={"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}},
    ),
    "no capability added but for low ports": Rule(
        lambda spec: added(spec) <= {"NET_BIND_SERVICE"},
        of_container={"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
    ),
    # Ours.
    "no capability added at all": Rule(
        lambda spec: not added(spec),
        of_container={"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}},
    ),
    "read-only root file system": Rule(
        lambda spec: all(
            each.get("securityContext", {}).get("readOnlyRootFilesystem") is True for each in containers(spec)
        ),
        of_container={"securityContext": {"readOnlyRootFilesystem": False}},
    ),
    "no token of the cluster": Rule(
        lambda spec: spec.get("automountServiceAccountToken") is False, {"automountServiceAccountToken": True}
    ),
    "the volume's group": Rule(
        lambda spec: spec["securityContext"].get("fsGroup") == spec["securityContext"]["runAsGroup"],
        {"securityContext": {"fsGroup": 1}},
    ),
    "memory has a limit": Rule(
        lambda spec: all("memory" in each.get("resources", {}).get("limits", {}) for each in containers(spec)),
        of_container={"resources": {"limits": {"memory": None}}},
    ),
    "every probe": Rule(
        lambda spec: all(
            {"startupProbe", "readinessProbe", "livenessProbe"} <= each.keys() for each in containers(spec)
        ),
        of_container={"readinessProbe": None},
    ),
    "more time to end than daemons take": Rule(
        lambda spec: spec["terminationGracePeriodSeconds"] > 30, {"terminationGracePeriodSeconds": 30}
    ),
}


def changed(value: Spec, by: Mapping[str, Any]) -> Spec:
    """Put one mapping over another, in depth; None takes out."""
    merged = {**value}
    for name, new in by.items():
        if new is None:
            merged.pop(name, None)
        else:
            old = merged.get(name)
            merged[name] = changed(old if isinstance(old, dict) else {}, new) if isinstance(new, dict) else new
    return merged


@pytest.mark.parametrize("name", RULES)
def test_the_pod_keeps_the_rule(name: str) -> None:
    """As the file says it, for every container."""
    assert RULES[name].keeps(pod())


@pytest.mark.parametrize("name", RULES)
def test_the_rule_finds_its_violation(name: str) -> None:
    """A second container, or the pod, that breaks it is found."""
    rule, spec = RULES[name], pod()
    assert rule.of_pod or rule.of_container
    if rule.of_container:
        spec["containers"].append(changed(copy.deepcopy(spec["containers"][0]), rule.of_container))
    assert not rule.keeps(changed(spec, rule.of_pod))


def test_the_namespace_enforces_the_standard() -> None:
    """Not a word in a document, but a label that the cluster acts on."""
    labels = objects()["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_objects_find_each_other() -> None:
    """Names and selectors that one object has of another; mail for port 25 comes to the container's port."""
    found = objects()
    template = found["StatefulSet"]["spec"]["template"]
    assert found["Service"]["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert found["StatefulSet"]["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]
    [port] = found["Service"]["spec"]["ports"]
    [container] = template["spec"]["containers"]
    assert (port["port"], port["targetPort"]) == (25, container["ports"][0]["name"])
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["configuration"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    namespaces = {each["metadata"].get("namespace") for kind, each in found.items() if kind != "Namespace"}
    assert namespaces == {found["Namespace"]["metadata"]["name"]}
    assert found["StatefulSet"]["spec"]["replicas"] == 1
