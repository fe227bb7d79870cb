"""From the plan to the objects that should exist, and what stands in the way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from farthing import api
from farthing.api.inference_service import Variant
from farthing.core.domain import Observation, Plan, ReplicaPhase, Target, WorkloadId
from farthing.kube import children, documents, translate
from farthing.kube.documents import Json
from farthing.kube.translate import Resources

# A replica under notice is asked to leave this long before its node does, to finish its queue.
_LEAVE_BEFORE_S = 10.0
# What a provider gives where the pool does not say.
_ASSUMED_NOTICE_S = 30.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a service cannot be brought to its plan: a reason for programs, a message for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChildren:
    """What should exist for one service."""

    service: api.InferenceService
    wanted: tuple[Json, ...] = ()
    unwanted: tuple[Json, ...] = ()
    """Deployments that exist and have no place in the plan any more."""
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> WorkloadId:
        return translate.workload_id(self.service)

    @property
    def uid(self) -> str:
        return self.service.metadata.uid or ""


def children_of(
    plan: Plan, found: Resources, deployments: Mapping[str, Json]
) -> tuple[ServiceChildren, ...]:
    """The children of every service that is not paused."""
    targets: dict[WorkloadId, list[Target]] = {}
    for target in plan.targets:
        targets.setdefault(target.workload, []).append(target)
    existing: dict[WorkloadId, list[Json]] = {}
    for document in deployments.values():
        place = translate.placement_of(document)
        if place is not None:
            existing.setdefault(place[0], []).append(document)
    runtimes = {one.metadata.name: one for one in found.runtimes}
    pools = {one.metadata.name: one for one in found.pools}
    return tuple(
        _of_service(
            service,
            targets.get(translate.workload_id(service), []),
            existing.get(translate.workload_id(service), []),
            runtimes,
            pools,
            found,
        )
        for service in found.services
        if not service.spec.paused
    )


def leaving(observation: Observation) -> tuple[str, ...]:
    """Names of replicas whose notice is almost over: they are asked to leave, replaced or not."""
    notice_s = {pool.name: pool.notice_s for pool in observation.pools}
    found = []
    for replica in observation.replicas:
        if replica.interrupted_at is None or replica.phase is ReplicaPhase.DRAINING:
            continue
        given_s = notice_s.get(replica.pool) or _ASSUMED_NOTICE_S
        last_s = max(given_s / 2, given_s - _LEAVE_BEFORE_S)
        if observation.at >= replica.interrupted_at + timedelta(seconds=last_s):
            found.append(replica.name)
    return tuple(found)


def _of_service(
    service: api.InferenceService,
    targets: list[Target],
    existing: list[Json],
    runtimes: Mapping[str, api.InferenceRuntime],
    pools: Mapping[str, api.CapacityPool],
    found: Resources,
) -> ServiceChildren:
    runtime = runtimes.get(service.spec.runtime_ref.name)
    if runtime is None:
        # What exists goes on serving: a runtime that was removed by mistake must not end it.
        problem = _missing_runtime(service, runtimes)
        return ServiceChildren(service=service, problems=(problem,))
    variants = {variant.name: variant for variant in service.spec.effective_variants()}
    profiles = translate.profile_entries(service, found)
    wanted: list[Json] = [children.service(service)]
    problems: list[Problem] = []
    for target in targets:
        variant, pool = variants.get(str(target.variant)), pools.get(str(target.pool))
        if variant is None or pool is None:
            continue
        if variant.precision not in runtime.spec.precisions:
            problems.append(_unserved_precision(variant, runtime))
            continue
        entry = profiles.get((variant.name, pool.spec.slot.hardware))
        place = children.Placement(
            service=service,
            runtime=runtime,
            pool=pool,
            variant=variant,
            profile=None if entry is None else entry[0],
            replicas=target.replicas,
        )
        wanted.append(children.deployment(place))
    if sum(target.replicas for target in targets) > 1:
        wanted.append(children.disruption_budget(service))
    kept, unwanted = _sorted_out(wanted, existing)
    return ServiceChildren(
        service=service, wanted=kept, unwanted=unwanted, problems=tuple(dict.fromkeys(problems))
    )


def _sorted_out(
    wanted: list[Json], existing: list[Json]
) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    """Deployments of no replicas are kept only until theirs are gone; others are not made."""
    known = {documents.key(one): one for one in existing}
    planned = {documents.key(one) for one in wanted if one["kind"] == "Deployment"}
    kept, unwanted = [], [one for key, one in known.items() if key not in planned]
    for document in wanted:
        if document["kind"] != "Deployment" or document["spec"]["replicas"] > 0:
            kept.append(document)
            continue
        there = known.get(documents.key(document))
        if there is None:
            continue
        if _is_empty(there):
            unwanted.append(there)
        else:
            kept.append(document)
    return tuple(kept), tuple(unwanted)


def _is_empty(deployment: Json) -> bool:
    status = documents.part(deployment, "status")
    return not documents.part(deployment, "spec").get("replicas") and not status.get("replicas")


def _missing_runtime(
    service: api.InferenceService, runtimes: Mapping[str, api.InferenceRuntime]
) -> Problem:
    known = ", ".join(sorted(runtimes)) or "none, the platform team has to apply one"
    name = service.spec.runtime_ref.name
    return Problem(
        "RuntimeNotFound", f'spec.runtimeRef.name: "{name}" does not exist; allowed: {known}'
    )


def _unserved_precision(variant: Variant, runtime: api.InferenceRuntime) -> Problem:
    return Problem(
        "PrecisionNotServed",
        f"spec.variants[{variant.name}].precision: {variant.precision} is not served by "
        f"InferenceRuntime {runtime.metadata.name}; allowed: {', '.join(runtime.spec.precisions)}",
    )
