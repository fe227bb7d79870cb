"""From nothing to two services that are Ready: the cluster, the operator, the examples."""

from __future__ import annotations

import contextlib
import fcntl
import json
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from benchmarks.demo import errors, scenario, settings
from scripts import image_models

from farthing_local import cluster, guard, inspection, paths, pools, progress

OPERATOR_NAMESPACE = "farthing-system"
OPERATOR = "deployment/farthing-operator"
_SERVER_IMAGE = "farthing/server:0.1.0"
_OPERATOR_WITHIN_S = 60.0
_READY_WITHIN_S = 90.0
_POLL_S = 0.5
_KUBECTL_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """The cluster's own kubectl, as its admin."""

    running: cluster.Cluster

    def __call__(self, *arguments: str) -> str:
        """What it prints. Raises DemoError with the last line that it complains with."""
        result = self.result(*arguments)
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip().splitlines() or ["it said nothing"]
            raise errors.DemoError(
                f"kubectl {' '.join(arguments)} failed: {said[-1][:300]}.",
                next_step="Run make demo again; if it fails again, please report it.",
            )
        return result.stdout

    def result(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.running.kubectl), f"--kubeconfig={self.running.kubeconfig}"]
        try:
            return subprocess.run(
                [*command, *arguments],
                capture_output=True,
                text=True,
                timeout=_KUBECTL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise errors.DemoError(
                f"kubectl {' '.join(arguments)} did not end within {_KUBECTL_S:.0f} s.",
                next_step="Run make demo again when this machine is less busy.",
            ) from None

    def get(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))


@contextlib.contextmanager
def alone(chosen: settings.Settings) -> Iterator[None]:
    """One demo at a time in one cache. Raises RefusedError where another one runs."""
    chosen.lock.parent.mkdir(parents=True, exist_ok=True)
    with chosen.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.RefusedError(
                "Another demo is running.",
                next_step="Wait for it, or run one beside it: FARTHING_CACHE=DIR make demo.",
            ) from None
        yield


@contextlib.contextmanager
def owned(chosen: settings.Settings) -> Iterator[None]:
    """Whatever happens inside, nothing is left running; except a whole demo that is to be kept."""
    if chosen.kept.exists() and chosen.home.exists():
        raise errors.RefusedError(
            "A demo that was kept is still there.", next_step=f"End it with: {down_command(chosen)}"
        )
    # What a killed demo may have left.
    cluster.down(chosen.home)
    chosen.kept.unlink(missing_ok=True)
    if not chosen.keep:
        with guard.Guard(chosen.home):
            yield
        return
    try:
        yield
    except BaseException:
        cluster.down(chosen.home)
        raise
    chosen.kept.touch()


def down_command(chosen: settings.Settings) -> str:
    """What ends a kept demo, and forgets that it was kept."""
    return f"FARTHING_LOCAL_HOME={chosen.home} .venv/bin/farthing local down && rm -f {chosen.kept}"


def bring_up(chosen: settings.Settings) -> Kubectl:
    """The cluster, with a model where its serving image would carry it."""
    _lay_out_models(chosen.models)
    images = yaml.safe_load(pools.DEFAULT_IMAGES.read_text())
    images[_SERVER_IMAGE]["env"]["FARTHING_IMAGE_ROOT"] = str(chosen.models)
    chosen.images.write_text(yaml.safe_dump(images))
    return Kubectl(running=cluster.up(cluster.Wanted(home=chosen.home, images=chosen.images)))


def install_operator(kubectl: Kubectl) -> None:
    """As a user would; returns when it is Ready."""
    checkout = paths.checkout()
    # Kinds first: objects of a kind that the API server does not know yet are refused.
    kubectl("apply", "-k", str(checkout / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    kubectl("apply", "-k", str(checkout / "manifests" / "overlays" / "local"))
    with progress.Progress("Operator") as shown:
        deadline = time.monotonic() + _OPERATOR_WITHIN_S
        while not _is_available(kubectl):
            if time.monotonic() > deadline:
                raise errors.DemoError(
                    f"The operator is not ready after {_OPERATOR_WITHIN_S:.0f} s.",
                    next_step=f"Its log is in {keep_logs(kubectl)}.",
                )
            shown.show("waiting until it is ready")
            time.sleep(_POLL_S)


def apply_examples(kubectl: Kubectl) -> None:
    """The two services; returns when both are Ready."""
    kubectl("apply", "-k", str(paths.checkout() / "examples"))
    with progress.Progress("Services") as shown:
        deadline = time.monotonic() + _READY_WITHIN_S
        while waiting := _not_ready(kubectl):
            if time.monotonic() > deadline:
                raise errors.DemoError(
                    f"Not ready after {_READY_WITHIN_S:.0f} s: {'; '.join(waiting)}.",
                    next_step=f"The logs of the pods are in {keep_logs(kubectl)}.",
                )
            shown.show("; ".join(waiting))
            time.sleep(_POLL_S)


def slo_ms(kubectl: Kubectl) -> dict[str, int]:
    """The latency that each service promises."""
    services = kubectl.get("inferenceservices", "-n", scenario.NAMESPACE)["items"]
    return {
        one["metadata"]["name"]: int(one["spec"]["slo"]["latencyMilliseconds"]) for one in services
    }


def interrupt(home: pathlib.Path, node: str) -> str:
    """Give a spot node notice; what happens then, in words."""
    request = {
        "node": node,
        "noticeSeconds": scenario.NOTICE_S,
        "replaceAfterSeconds": scenario.REPLACED_AFTER_S,
    }
    inspection.interrupt(home, request)
    return f"node {node} has a notice: it is taken away in {scenario.NOTICE_S:.0f} s"


def keep_logs(kubectl: Kubectl) -> pathlib.Path:
    """Copy what pods said out of a cluster that is about to be removed; where it is then."""
    kept = paths.cache_directory() / "logs" / "demo-failed"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for pod in kubectl.get("pods", "-A")["items"]:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        result = kubectl.result("logs", "-n", namespace, name, "--all-containers", "--tail=2000")
        (kept / f"{namespace}.{name}.log").write_text(result.stdout + result.stderr)
    return kept


def _is_available(kubectl: Kubectl) -> bool:
    status = kubectl.get(OPERATOR, "-n", OPERATOR_NAMESPACE).get("status", {})
    return bool(status.get("availableReplicas"))


def _not_ready(kubectl: Kubectl) -> list[str]:
    """Each service that is not Ready, with what its condition says."""
    found = []
    for one in kubectl.get("inferenceservices", "-n", scenario.NAMESPACE)["items"]:
        conditions = one.get("status", {}).get("conditions") or []
        ready = next((c for c in conditions if c["type"] == "Ready"), None)
        if ready is None:
            found.append(f"{one['metadata']['name']} (not seen by the operator yet)")
        elif ready["status"] != "True":
            found.append(f"{one['metadata']['name']} ({ready.get('reason', 'unknown')})")
    return found


def _lay_out_models(root: pathlib.Path) -> None:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    python = paths.serving_python()
    if not python.exists():
        raise errors.DemoError(
            f"{python} is missing: the embedder needs it.", next_step="Run: make setup."
        )
    asked = subprocess.run([str(python), "-c", where], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise errors.DemoError(
            f"{python} does not run.", next_step="Run: rm -rf .venv-serving && make setup."
        )
    packages = pathlib.Path(asked.stdout.strip())
    try:
        for model in image_models.MODELS:
            image_models.lay_out(model, packages, root)
    except image_models.LayoutError as error:
        raise errors.DemoError(f"{error}.", next_step="Run: make setup.") from error
    except OSError as error:
        raise errors.DemoError(
            f"The model cannot be copied to {root} ({error.strerror}).",
            next_step="Free some space, or set FARTHING_CACHE to another folder.",
        ) from error
