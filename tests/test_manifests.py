"""The Kubernetes manifests: valid by published schemas, hardened, and of one mind with ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from benchmarks.ramp import WAIT_S
from serve_app import __version__
from serve_app.settings import ROOT, load_settings, parse_settings

FOLDER = ROOT / "configs" / "kuberay"
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "rayservice.schema.json").read_text())
NAME = "app.kubernetes.io/name"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text("utf-8")))


def ray_service() -> dict[str, Any]:
    (service,) = documents("rayservice.yaml")
    return service


def cluster() -> dict[str, Any]:
    return ray_service()["spec"]["rayClusterConfig"]


def groups() -> dict[str, dict[str, Any]]:
    """Head and worker groups by name."""
    named = {group["groupName"]: group for group in cluster()["workerGroupSpecs"]}
    return {"head": cluster()["headGroupSpec"], **named}


def pods() -> dict[str, dict[str, Any]]:
    """Every pod template of the manifests, by its group's name."""
    redis = next(found for found in documents("redis.yaml") if found["kind"] == "Deployment")
    found = {name: group["template"] for name, group in groups().items()}
    return {**found, "redis": redis["spec"]["template"]}


def serve_config(text: str) -> dict[str, Any]:
    """A Serve configuration, with its one application in the list's place."""
    config = yaml.safe_load(text)
    (config["applications"],) = config["applications"]
    return config


def validate_pod(template: dict[str, Any]) -> None:
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "it"}}
    kubernetes_validate.validate(
        {**pod, "template": template}, kubernetes_validate.latest_version(), strict=True
    )


def test_the_ray_service_is_valid() -> None:
    assert not list(Draft202012Validator(SCHEMA).iter_errors(ray_service()))


@pytest.mark.parametrize("section", ["spec", "rayClusterConfig", "headGroupSpec"])
def test_the_schema_refuses_what_it_does_not_know(section: str) -> None:
    service = ray_service()
    part = service["spec"]
    for key in {"spec": [], "headGroupSpec": ["rayClusterConfig", section]}.get(section, [section]):
        part = part[key]
    part["typo"] = 1
    (error,) = Draft202012Validator(SCHEMA).iter_errors(service)
    assert "'typo' was unexpected" in error.message


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_are_valid(name: str) -> None:
    validate_pod(pods()[name])


def test_a_misspelt_pod_is_not_valid() -> None:
    pod = pods()["cpu"]
    pod["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessprobe"):
        validate_pod(pod)


@pytest.mark.parametrize("name", ["access.yaml", "redis.yaml"])
def test_everything_else_is_valid(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_can_do_little(name: str) -> None:
    spec = pods()[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # The head's account is the autoscaler's; KubeRay makes it.
    assert name == "head" or spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert {"readinessProbe", "livenessProbe"} <= set(container)
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_images_are_pinned() -> None:
    for name, pod in pods().items():
        for container in pod["spec"]["containers"]:
            tag = container["image"].rpartition(":")[2]
            assert tag != "latest"
            assert name == "redis" or tag.split("-")[0] == __version__


def test_ray_is_the_one_that_the_tests_run_with() -> None:
    assert f"ray=={cluster()['rayVersion']}\n" in (ROOT / "constraints.txt").read_text("utf-8")


def test_ray_asks_for_a_token() -> None:
    assert cluster()["authOptions"] == {"mode": "token", "secretName": "cvunet-ray-token"}


def test_no_secret_stands_in_a_file() -> None:
    for name in ("rayservice.yaml", "access.yaml", "redis.yaml", "podmonitor.yaml"):
        assert all(document["kind"] != "Secret" for document in documents(name))


def secrets(node: Any) -> Iterator[str]:
    """The name of each Secret that a tree refers to."""
    if isinstance(node, dict):
        if "secretKeyRef" in node:
            yield node["secretKeyRef"]["name"]
        yield from node.get("authOptions", {}).get("secretName", "").split()
        for value in node.values():
            yield from secrets(value)
    elif isinstance(node, list):
        for value in node:
            yield from secrets(value)


def test_the_guide_makes_every_secret() -> None:
    guide = (ROOT / "docs" / "kuberay.md").read_text("utf-8")
    wanted = set(secrets(ray_service())) | set(secrets(documents("redis.yaml")))
    assert wanted == {"cvunet-ray-token", "cvunet-api-keys", "cvunet-redis"}
    for name in wanted:
        assert f"kubectl create secret generic {name} " in guide


def test_policies_and_budgets_select_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods().values()]
    for document in documents("access.yaml"):
        spec = document["spec"]
        wanted = (spec.get("podSelector") or spec["selector"])["matchLabels"].items()
        assert any(wanted <= found.items() for found in labels), document["metadata"]["name"]


def test_every_pod_has_a_policy_for_both_directions() -> None:
    policies = [found["spec"] for found in documents("access.yaml") if "Policy" in found["kind"]]
    for name, pod in pods().items():
        labels = pod["metadata"]["labels"].items()
        mine = [p for p in policies if p["podSelector"]["matchLabels"].items() <= labels]
        assert {kind for policy in mine for kind in policy["policyTypes"]} == {"Ingress", "Egress"}
        assert any("ingress" in policy for policy in mine), name


def test_prometheus_finds_the_figures() -> None:
    (monitor,) = documents("podmonitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for group in groups().values():
        assert (
            monitor["spec"]["selector"]["matchLabels"].items()
            <= group["template"]["metadata"]["labels"].items()
        )
        (container,) = group["template"]["spec"]["containers"]
        assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert {"targetLabel": "job", "replacement": "ray"} in endpoint["relabelings"]
    assert 'job="ray"' in (ROOT / "configs" / "monitoring" / "alerts.yml").read_text("utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Serve's own, while it is imported
def test_serve_takes_its_configuration() -> None:
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(yaml.safe_load(ray_service()["spec"]["serveConfigV2"]))


def test_its_settings_are_the_shipped_ones_for_a_gpu() -> None:
    ours = serve_config(ray_service()["spec"]["serveConfigV2"])["applications"]["args"]
    shipped = load_settings(ROOT / "configs" / "serve.gpu.yaml", environ={})
    waits = shipped.limits.model_copy(update={"max_wait_s": WAIT_S})  # for new replicas
    assert parse_settings(ours, environ={}) == shipped.model_copy(update={"limits": waits})


def test_the_rest_differs_in_address_and_replicas_alone() -> None:
    ours = serve_config(ray_service()["spec"]["serveConfigV2"])
    shipped = serve_config((ROOT / "configs" / "serve.gpu.yaml").read_text("utf-8"))
    for config in (ours, shipped):
        del config["applications"]["args"], config["proxy_location"], config["http_options"]["host"]
        for stage in config["applications"]["deployments"]:
            del stage["autoscaling_config"]["min_replicas"]
            del stage["autoscaling_config"]["max_replicas"]
    assert ours == shipped


def limit(group: dict[str, Any], resource: str) -> float:
    (container,) = group["template"]["spec"]["containers"]
    return float(container["resources"]["limits"].get(resource, 0))


@pytest.mark.parametrize("bound", ["min", "max"])
@pytest.mark.parametrize(("asked", "given"), [("num_cpus", "cpu"), ("num_gpus", "nvidia.com/gpu")])
def test_the_least_and_the_most_replicas_fit_the_worker_groups(
    bound: str, asked: str, given: str
) -> None:
    stages = serve_config(ray_service()["spec"]["serveConfigV2"])["applications"]["deployments"]
    needed = sum(
        stage["ray_actor_options"].get(asked, 0) * stage["autoscaling_config"][f"{bound}_replicas"]
        for stage in stages
    )
    workers = cluster()["workerGroupSpecs"]
    there = sum(group[f"{bound}Replicas"] * limit(group, given) for group in workers)
    assert 0 < needed <= there
