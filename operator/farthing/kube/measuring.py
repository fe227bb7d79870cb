"""Which replicas are asked for their metrics, and how their runtime calls them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from farthing import api
from farthing.core.domain import WorkloadId
from farthing.kube import documents, translate
from farthing.kube.documents import Json
from farthing.kube.translate import Resources
from farthing.signals.direct import ScrapeTarget
from farthing.signals.roles import MetricNames


def names_of(runtime: api.InferenceRuntime) -> MetricNames:
    """The series of a runtime by the role that they play."""
    metrics = runtime.spec.metrics
    both = metrics.batches_total is not None and metrics.batch_seconds_total is not None
    return MetricNames(
        path=metrics.path,
        port=metrics.port or runtime.spec.port,
        completed=metrics.completed_total,
        queued=metrics.queued,
        in_flight=metrics.in_flight,
        latency=metrics.latency_seconds,
        arrived=metrics.arrived_total,
        refused=metrics.refused_total,
        batches=metrics.batches_total if both else None,
        batch_seconds=metrics.batch_seconds_total if both else None,
    )


def targets(found: Resources, pods: Mapping[str, Json]) -> tuple[ScrapeTarget, ...]:
    """Every pod of a readable service that has an address."""
    names = {one.metadata.name: names_of(one) for one in found.runtimes}
    hardware = {one.metadata.name: one.spec.slot.hardware for one in found.pools}
    runtimes = {
        translate.workload_id(one): one.spec.runtime_ref.name
        for one in found.services
        if one.spec.runtime_ref.name in names
    }
    return tuple(
        target
        for pod in pods.values()
        if (target := _target(pod, runtimes, names, hardware)) is not None
    )


def _target(
    pod: Json,
    runtimes: Mapping[WorkloadId, str],
    names: Mapping[str, MetricNames],
    hardware: Mapping[str, str],
) -> ScrapeTarget | None:
    place = translate.placement_of(pod)
    address = documents.part(pod, "status").get("podIP")
    if place is None or place[0] not in runtimes or place[2] not in hardware:
        return None
    if documents.part(pod, "status").get("phase") != "Running" or not _is_address(address):
        return None
    return ScrapeTarget(
        workload=place[0],
        replica=documents.key(pod),
        variant=place[1],
        hardware=hardware[place[2]],
        address=str(address),
        names=names[runtimes[place[0]]],
        ready=documents.condition(pod, "Ready").get("status") == "True",
    )


def _is_address(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True
