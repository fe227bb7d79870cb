"""The objects that serve an InferenceService: Deployments, a Service, a PodDisruptionBudget. Pure.

Each document holds exactly the fields that Farthing owns; whatever else the cluster or its people
put on these objects is theirs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal

from farthing import api
from farthing.api.inference_service import Variant
from farthing.api.model_profile import ProfileEntry
from farthing.kube import documents
from farthing.kube.documents import Json

SERVED_PORT = 80
_LONGEST_NAME = 63
_DIGEST_LENGTH = 8
_CLAIM_MOUNT = "/mnt/model"
_UNITS = ("m", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T")
# A large model may take this long to load before its container counts as broken.
_STARTUP_LIMIT_S = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Some replicas of one variant of a service in one pool."""

    service: api.InferenceService
    runtime: api.InferenceRuntime
    pool: api.CapacityPool
    variant: Variant
    profile: ProfileEntry | None
    replicas: int


def deployment_name(service: str, variant: str, pool: str) -> str:
    """`<service>-<variant>-<pool>`, its end replaced by a digest where that is too long."""
    name = f"{service}-{variant}-{pool}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: _LONGEST_NAME - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


def deployment(place: Placement) -> Json:
    """The Deployment of one placement."""
    service, labels = place.service, _replica_labels(place)
    selected = {
        name: labels[name] for name in (documents.SERVICE, documents.VARIANT, documents.POOL)
    }
    metadata = _metadata(
        service,
        deployment_name(service.metadata.name, place.variant.name, place.pool.metadata.name),
        labels,
    )
    # Kept beside spec.replicas, so that a count edited by hand is told from one that we asked for.
    metadata["annotations"] = {documents.TARGET: str(place.replicas)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": place.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selected},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(place)},
        },
    }


def service(resource: api.InferenceService) -> Json:
    """The Service in front of all replicas, whatever their pool."""
    name = resource.metadata.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(resource, name, _common_labels(resource)),
        "spec": {
            "selector": {documents.SERVICE: name},
            "ports": [
                {"name": "http", "port": SERVED_PORT, "protocol": "TCP", "targetPort": "http"}
            ],
        },
    }


def disruption_budget(resource: api.InferenceService) -> Json:
    """One replica at a time may be drained. Only for services of several replicas: a single
    replica must not block the drain of its node."""
    name = resource.metadata.name
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(resource, name, _common_labels(resource)),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {documents.SERVICE: name}}},
    }


def digest(document: Json) -> str:
    """A short name of what a document says."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def marked(document: Json) -> Json:
    """The document with its own digest in an annotation, by which it is recognized later."""
    metadata = document["metadata"]
    annotations = {**metadata.get("annotations", {}), documents.APPLIED: digest(document)}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


def _metadata(resource: api.InferenceService, name: str, labels: Json) -> Json:
    owner = resource.metadata
    return {
        "name": name,
        "namespace": owner.namespace or "default",
        "labels": labels,
        "ownerReferences": [
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": owner.name,
                "uid": owner.uid or "",
                "controller": True,
            }
        ],
    }


def _common_labels(resource: api.InferenceService) -> Json:
    return {
        documents.NAME: resource.metadata.name,
        documents.MANAGED_BY: documents.FARTHING,
        documents.SERVICE: resource.metadata.name,
    }


def _replica_labels(place: Placement) -> Json:
    return {
        **_common_labels(place.service),
        documents.POOL: place.pool.metadata.name,
        documents.VARIANT: place.variant.name,
    }


def _pod(place: Placement) -> Json:
    pool = place.pool.spec
    claim = _claim(place.service.spec.model.uri)
    pod: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s(place),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(place)],
    }
    if pool.node_selector:
        pod["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        pod["tolerations"] = [one.to_document() for one in pool.tolerations]
    if claim is not None:
        source = {"claimName": claim[0], "readOnly": True}
        pod["volumes"] = [{"name": "model", "persistentVolumeClaim": source}]
    return pod


def grace_s(place: Placement) -> int:
    """Time to finish what is queued: what the server wants, within the notice that spot gives."""
    wanted = place.runtime.spec.termination_grace_period_seconds
    interruption = place.pool.spec.interruption
    return wanted if interruption is None else max(1, min(wanted, interruption.notice_seconds))


def _container(place: Placement) -> Json:
    runtime = place.runtime.spec
    ports = [{"name": "http", "containerPort": runtime.port, "protocol": "TCP"}]
    metrics_port = runtime.metrics.port
    if metrics_port is not None and metrics_port != runtime.port:
        ports.append({"name": "metrics", "containerPort": metrics_port, "protocol": "TCP"})
    container: Json = {
        "name": "server",
        "image": runtime.image,
        "args": list(runtime.arguments(place.variant.precision)),
        "env": _environment(place),
        "ports": ports,
        "resources": _resources(place),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": {
            **_probe(runtime.health.ready_path),
            "periodSeconds": 1,
            "failureThreshold": _STARTUP_LIMIT_S,
        },
        "readinessProbe": {
            **_probe(runtime.health.ready_path),
            "periodSeconds": 2,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            **_probe(runtime.health.live_path),
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
    }
    if _claim(place.service.spec.model.uri) is not None:
        container["volumeMounts"] = [{"name": "model", "mountPath": _CLAIM_MOUNT, "readOnly": True}]
    return container


def _probe(path: str) -> Json:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 2}


def _environment(place: Placement) -> list[Json]:
    spec = place.service.spec
    claim = _claim(spec.model.uri)
    values = {
        "FARTHING_MODEL_NAME": spec.model.name or place.service.metadata.name,
        "FARTHING_MODEL_URI": spec.model.uri if claim is None else f"{_CLAIM_MOUNT}/{claim[1]}",
        "FARTHING_PRECISION": place.variant.precision,
        "FARTHING_SLO_MILLISECONDS": str(spec.slo.latency_milliseconds),
        "FARTHING_VARIANT": place.variant.name,
        "FARTHING_PROFILE": _profile_text(place.profile),
    }
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    own = [{"name": name, "value": value} for name, value in values.items()]
    given = [{"name": one.name, "value": one.value} for one in place.runtime.spec.env]
    return [{"name": "POD_IP", "valueFrom": address}, *own, *given]


def _profile_text(entry: ProfileEntry | None) -> str:
    if entry is None:
        return ""
    profile = {
        "maximumBatchSize": entry.maximum_batch_size,
        "batches": [
            {"size": batch.size, "milliseconds": format(batch.milliseconds, "f")}
            for batch in entry.batches
        ],
    }
    if entry.startup_seconds is not None:
        profile["startupSeconds"] = entry.startup_seconds
    return json.dumps(profile, separators=(",", ":"))


def _resources(place: Placement) -> Json:
    slot, slots = place.pool.spec.slot, place.variant.slots
    memory = multiplied(slot.memory, slots)
    requests: Json = {"cpu": multiplied(slot.cpu, slots), "memory": memory}
    limits: Json = {"memory": memory}
    if slot.accelerator is not None:
        count = str(slot.accelerator.count * slots)
        requests[slot.accelerator.resource_name] = count
        limits[slot.accelerator.resource_name] = count
    return {"requests": requests, "limits": limits}


def multiplied(quantity: str, factor: int) -> str:
    """A Kubernetes quantity times a whole number: 500m three times is 1500m."""
    unit = next((unit for unit in _UNITS if quantity.endswith(unit)), "")
    number = Decimal(quantity.removesuffix(unit)) * factor
    return f"{format(number, 'f')}{unit}"


def _claim(uri: str) -> tuple[str, str] | None:
    """The claim and the path in it, where the model lies on a PersistentVolumeClaim."""
    if not uri.startswith("pvc://"):
        return None
    name, _, path = uri.removeprefix("pvc://").partition("/")
    return name, path
