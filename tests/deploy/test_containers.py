"""The image, compose and Kubernetes files: tests start no engine, so what matters is read."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from tests.deploy.test_systemd import UNITS

ROOT = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((ROOT / "deploy/container/compose.yaml").read_text())
CLUSTER = [
    one
    for one in yaml.safe_load_all((ROOT / "deploy/kubernetes/tcmpay.yaml").read_text())
    if one is not None
]
DOCKERFILE = (ROOT / "deploy/container/Dockerfile").read_text()
OURS = ("migrate", "web-1", "web-2", "worker", "beat")


def pods() -> list[Any]:
    """What every pod is made of, whatever starts it."""
    found = []
    for one in CLUSTER:
        spec = one.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append(pytest.param(spec["template"]["spec"], id=one["metadata"]["name"]))
    return found


def unit_command(name: str) -> list[str]:
    text = (UNITS / name).read_text()
    words = shlex.split(re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)[1])
    return [words[0].rpartition("/")[2], *words[1:]]


def without_numbers(words: list[str]) -> list[str]:
    """How many processes there are differs from place to place, and where it listens."""
    kept = [re.sub(r"^(?:\d+|\$\{\w+\})$", "N", word) for word in words]
    if "--bind" in kept:
        del kept[kept.index("--bind") : kept.index("--bind") + 2]
    return kept


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_writes_nothing_but_its_volume_and_is_nobody(name: str):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["volumes"] == [
        "state:/var/lib/tcmpay",
        "/etc/tcmpay-compose/secrets:/run/secrets:ro",
    ], "the whole folder: whatever secret the settings know"


@pytest.mark.parametrize("name", sorted(set(COMPOSE["services"]) - {"migrate"}))
def test_every_service_is_asked_whether_it_is_well(name: str):
    assert COMPOSE["services"][name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_all_places_run_the_same_commands():
    command = re.search(r"^CMD (\[.*?\])$", DOCKERFILE, re.DOTALL | re.MULTILINE)[1]
    image = without_numbers(yaml.safe_load(command.replace("\\\n", "")))
    assert image == without_numbers(unit_command("tcmpay-web@.service"))
    worker = without_numbers(unit_command("tcmpay-worker.service"))
    beat = unit_command("tcmpay-beat.service")
    assert without_numbers(COMPOSE["services"]["worker"]["command"]) == worker
    assert COMPOSE["services"]["beat"]["command"] == beat
    commands = {one.id: one.values[0]["containers"][0].get("command") for one in pods()}
    assert without_numbers(commands["tcmpay-worker"]) == worker
    assert commands["tcmpay-beat"][:4] == beat[:4]
    assert commands["tcmpay-web"] is None, "the image's own"


def test_nothing_serves_before_the_tables_are_there():
    for name in set(OURS) - {"migrate"}:
        waits_for = COMPOSE["services"][name]["depends_on"]["migrate"]
        assert waits_for == {"condition": "service_completed_successfully"}


def test_the_image_runs_as_nobody_and_holds_no_secret():
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    ignored = (ROOT / "deploy/container/Dockerfile.dockerignore").read_text().split()
    assert {".env", ".env.*", ".git", ".dev-secrets.json", ".venv"} <= set(ignored)
    assert not re.search(r"^(?:ENV|ARG).*(?:SECRET_KEY|PASSWORD|ENCRYPTION)", DOCKERFILE, re.M)


def test_no_secret_lies_in_what_is_built_installed_or_committed():
    places = {f"deploy/container/{name}" for name in ("secrets", "tls", "tcmpay.env")}
    for name in (".gitignore", "deploy/container/Dockerfile.dockerignore"):
        assert places <= set((ROOT / name).read_text().split()), name
    left_out = re.findall(r"--exclude=\./(\S+)", (ROOT / "deploy/install.sh").read_text())
    assert places <= set(left_out)
    files = [one["file"] for one in COMPOSE["secrets"].values()]
    files += [COMPOSE["services"][name]["env_file"] for name in OURS]
    assert all(path.startswith("/etc/tcmpay-compose/") for path in files)


@pytest.mark.parametrize("pod", pods())
def test_a_pod_writes_nothing_but_its_volumes_and_is_nobody(pod: Any):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        locked = container["securityContext"]
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert "memory" in container["resources"]["limits"]


def test_the_probes_ask_for_what_answers_to_addresses():
    web = next(one.values[0] for one in pods() if one.id == "tcmpay-web")["containers"][0]
    asked = {
        web[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    assert asked == {"/health/live", "/health/ready"}
    assert "preStop" in web["lifecycle"]


def test_what_is_public_leads_nowhere_into_the_back_office():
    public = next(
        one for one in CLUSTER if one["metadata"]["name"] == "tcmpay" and one["kind"] == "Ingress"
    )
    paths = {path["path"] for path in public["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {"/api", "/payment", "/pay", "/static"}
