"""The operator's image reconciles against a real control plane with no more rights than its ServiceAccount."""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import yaml
from tests.cluster_fixture import ControlPlane, eventually, running_cluster, short_folder
from tests.images import commands, containers
from tests.images.errors import ImageError
from tests.images.storage import Storage

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_OVERLAY = _ROOT / "manifests/overlays/local"
_NAMESPACE = "farthing-system"
_ACCOUNT = "farthing-operator"
_KUBECONFIG = "/etc/farthing/kubeconfig"
_READY_LIMIT_S = 60.0
_RECONCILED_LIMIT_S = 60.0
_STOP_LIMIT_S = 15.0
_SERVICE: Mapping[str, Any] = {
    "apiVersion": "farthing.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"name": "echo", "namespace": "default"},
    "spec": {
        "model": {"uri": "image:///models/echo"},
        "runtimeRef": {"name": "emulated"},
        "slo": {"latencyMilliseconds": 300},
        "budget": {"amount": "100.00", "period": "Day"},
    },
}


def check_operator(storage: Storage, image: str) -> dict[str, str]:
    """Figures of the operator. Raises ImageError where it does not keep a promise."""
    usage = containers.run_once(storage, image, "--help")
    if "usage: python -m farthing.kube.main" not in usage:
        raise ImageError(f"{image} --help says {usage!r}.", next_step="Mend its image.")
    with short_folder() as folder, running_cluster(folder / "home", agent=True) as plane:
        _install(plane)
        kubeconfig = folder / "kubeconfig"
        _write_kubeconfig(plane, kubeconfig)
        flags = (
            *("--volume", f"{kubeconfig}:{_KUBECONFIG}:ro", "--env", f"KUBECONFIG={_KUBECONFIG}"),
            *("--env", f"FARTHING_POD_NAMESPACE={_NAMESPACE}", "--memory", "512m"),
            # The one place that the manifest lets it write to.
            *("--tmpfs", "/tmp:size=16m,mode=1777"),
        )
        with containers.running(storage, image, flags=flags) as container:
            ready_s = container.ready_after_s("/readyz", limit_s=_READY_LIMIT_S)
            containers.require_strict(container)
            deployed_s, serving_s = _reconciled_after_s(plane, container)
            at_s = time.monotonic()
            container.terminate()
            code = container.exit_code(limit_s=_STOP_LIMIT_S)
            stopped_s = time.monotonic() - at_s
            if code:
                raise container.failed(f"ended with {code} after SIGTERM, not with 0")
        if not _deployments(plane):
            raise ImageError(
                "The Deployment went away with the operator.", next_step="See farthing.kube.main."
            )
    return {
        "start to ready": f"{ready_s:.2f} s",
        "InferenceService to Deployment": f"{deployed_s:.2f} s",
        "to Ready": f"{serving_s:.2f} s",
        "SIGTERM to exit 0": f"{stopped_s:.2f} s",
    }


def _install(plane: ControlPlane) -> None:
    """What `kubectl apply -k` installs, except the operator's own pod: the container stands for it."""
    rendered = _kubectl(plane, "kustomize", str(_OVERLAY))
    objects = [one for one in yaml.safe_load_all(rendered) if one]
    definitions = [one for one in objects if one["kind"] == "CustomResourceDefinition"]
    _apply(plane, *definitions, *(one for one in objects if one["kind"] == "Namespace"))
    for one in definitions:
        name = one["metadata"]["name"]
        _kubectl(plane, "wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
    left_out = ("CustomResourceDefinition", "Namespace", "Deployment", "Service")
    _apply(plane, *(one for one in objects if one["kind"] not in left_out))


def _apply(plane: ControlPlane, *documents: Any) -> None:
    bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    _kubectl(plane, "apply", "--server-side", "-f", "-", stdin=bundle)


def _kubectl(plane: ControlPlane, *arguments: str, stdin: str | None = None) -> str:
    result = plane.kubectl(*arguments, stdin=stdin, check=False)
    if result.returncode:
        raise ImageError(
            f"kubectl {arguments[0]} failed: {commands.last_line(result.stderr)}.",
            next_step="Mend what manifests/overlays/local installs.",
        )
    return result.stdout


def _write_kubeconfig(plane: ControlPlane, file: pathlib.Path) -> None:
    """Access with the rights of the operator's ServiceAccount, readable by the container's user alone."""
    account = (_ACCOUNT, f"--namespace={_NAMESPACE}", "--duration=1h")
    token = _kubectl(plane, "create", "token", *account).strip()
    admin = yaml.safe_load(plane.kubeconfig.read_text())
    document = {**admin, "users": [{**admin["users"][0], "user": {"token": token}}]}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as opened:
        opened.write(json.dumps(document))
    os.chown(file, containers.USER, containers.USER)


def _reconciled_after_s(
    plane: ControlPlane, container: containers.Container
) -> tuple[float, float]:
    """Seconds until an InferenceService has its Deployment, and until it says that it serves."""
    at_s = time.monotonic()
    _apply(plane, _SERVICE)
    found = eventually(lambda: _deployments(plane), bool, limit_s=_RECONCILED_LIMIT_S)
    deployed_s = time.monotonic() - at_s
    if not found:
        raise container.failed("made no Deployment of an InferenceService")
    owners = [(one["kind"], one["name"]) for one in found[0]["metadata"].get("ownerReferences", [])]
    if owners != [("InferenceService", "echo")]:
        raise container.failed(f"made a Deployment that is owned by {owners}")
    ready = eventually(lambda: _is_ready(plane), bool, limit_s=_RECONCILED_LIMIT_S)
    if not ready:
        raise container.failed("never said Ready of an InferenceService")
    return deployed_s, time.monotonic() - at_s


def _is_ready(plane: ControlPlane) -> bool:
    found = _kubectl(plane, "get", "inferenceservice/echo", "--namespace=default", "-o", "json")
    conditions = json.loads(found).get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _deployments(plane: ControlPlane) -> list[Any]:
    selector = "--selector=farthing.dev/service=echo"
    answer = _kubectl(plane, "get", "deployments", "--namespace=default", selector, "-o", "json")
    found: list[Any] = json.loads(answer)["items"]
    return found
