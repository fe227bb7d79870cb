"""From what the API server holds to what the planner looks at. Pure.

Nothing in here raises on bad input: an object that cannot be read becomes a gap, which makes the
planner hold, and its problem is shown on the object itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from farthing import api
from farthing.api.decoding import KINDS
from farthing.api.model_profile import ProfileEntry
from farthing.core import domain, profiles
from farthing.core.domain import PoolName, Provenance, VariantName, WorkloadId
from farthing.kube import documents
from farthing.kube.documents import Json
from farthing.kube.store import Entry, Store

_HUNDRED = Decimal(100)
# Where several profiles speak of the same variant and hardware, what was measured counts most.
_TRUST = {"Learned": 0, "Declared": 1, "Measured": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The custom resources that can be used, and what is wrong with the others."""

    services: tuple[api.InferenceService, ...] = ()
    pools: tuple[api.CapacityPool, ...] = ()
    runtimes: tuple[api.InferenceRuntime, ...] = ()
    profiles: tuple[api.ModelProfile, ...] = ()
    budgets: tuple[api.ClusterBudget, ...] = ()
    invalid: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen of the cluster's own objects; trimmed documents by name."""

    pods: Mapping[str, Json]
    notices: Mapping[str, datetime]
    deployments: Mapping[str, Json]
    namespaces: Mapping[str, Json]


def resources(store: Store) -> Resources:
    """What the store holds, by type. Objects being deleted do not count any more."""
    entries = [entry for kind in KINDS for entry in store.entries(kind)]
    usable = [
        entry.resource
        for entry in entries
        if entry.resource is not None and entry.resource.metadata.deletion_timestamp is None
    ]
    return Resources(
        services=tuple(one for one in usable if isinstance(one, api.InferenceService)),
        pools=tuple(one for one in usable if isinstance(one, api.CapacityPool)),
        runtimes=tuple(one for one in usable if isinstance(one, api.InferenceRuntime)),
        profiles=tuple(one for one in usable if isinstance(one, api.ModelProfile)),
        budgets=tuple(one for one in usable if isinstance(one, api.ClusterBudget)),
        invalid=tuple(entry for entry in entries if entry.problem is not None),
    )


def observation(
    found: Resources,
    facts: Facts,
    at: datetime,
    readings: tuple[domain.LoadReading, ...] = (),
    gaps: tuple[domain.Gap, ...] = (),
) -> domain.Observation:
    """Everything that one tick may look at."""
    return domain.Observation(
        at=at,
        workloads=tuple(workload(service, found) for service in found.services),
        pools=tuple(pool(one) for one in found.pools),
        replicas=replicas(facts),
        targets=targets(facts.deployments.values()),
        readings=readings,
        profiles=tuple(
            profile for service in found.services for profile in service_profiles(service, found)
        ),
        cluster_budgets=tuple(cluster_budget(one, facts.namespaces) for one in found.budgets),
        gaps=gaps + tuple(_gap(entry, at) for entry in found.invalid),
    )


def workload_id(service: api.InferenceService) -> WorkloadId:
    return WorkloadId(namespace=service.metadata.namespace or "default", name=service.metadata.name)


def workload(service: api.InferenceService, found: Resources) -> domain.Workload:
    """What the service asks for; its pools are those that its selector selects."""
    spec = service.spec
    limit = spec.budget.maximum_cost_per_thousand_requests
    floor = spec.minimum_accuracy_percent
    return domain.Workload(
        id=workload_id(service),
        slo=domain.Slo(
            latency_s=spec.slo.latency_milliseconds / 1000,
            quantile_fraction=spec.slo.percentile / 100,
            attainment_fraction=float(spec.slo.attainment_percent / _HUNDRED),
        ),
        budget=domain.Budget(
            amount=spec.budget.amount,
            period=domain.BudgetPeriod(spec.budget.period),
            when_exceeded=domain.WhenExceeded(spec.budget.when_exceeded),
            maximum_cost_per_thousand_requests=limit,
        ),
        variants=_variants(service, found),
        pools=tuple(
            PoolName(one.metadata.name)
            for one in found.pools
            if spec.placement.pool_selector.selects(one.metadata.labels)
        ),
        minimum_accuracy_fraction=None if floor is None else float(floor / _HUNDRED),
        min_replicas=spec.scaling.min_replicas,
        max_replicas=spec.scaling.max_replicas,
        target_queue_length=spec.scaling.target_queue_length,
        spot_allowed=spec.placement.spot == "Allow",
        minimum_non_spot_replicas=spec.placement.minimum_non_spot_replicas,
        priority=spec.priority,
        paused=spec.paused,
        external_replicas=spec.replicas,
    )


def pool(resource: api.CapacityPool) -> domain.Pool:
    """The pool with its slots, price and priors."""
    spec = resource.spec
    return domain.Pool(
        name=PoolName(resource.metadata.name),
        capacity_type=domain.CapacityType(spec.capacity_type),
        hardware=spec.slot.hardware,
        price_per_slot_hour=spec.price.per_slot_hour,
        maximum_slots=spec.capacity.maximum_slots,
        committed_slots=spec.capacity.committed_slots or 0,
        interruptions_per_hour=(
            float(spec.interruption.prior_per_hour) if spec.interruption else 0.0
        ),
        notice_s=float(spec.interruption.notice_seconds) if spec.interruption else 0.0,
        startup_prior_s=float(spec.startup.prior_seconds),
        patience_s=float(spec.startup.patience_seconds),
    )


def profile_entries(
    service: api.InferenceService, found: Resources
) -> dict[tuple[str, str], tuple[ProfileEntry, Provenance]]:
    """What people declared or benchmarks measured, by variant and hardware; the most trusted."""
    declared = {variant.name for variant in service.spec.effective_variants()}
    ordered = sorted(
        _profiles_of(service, found),
        key=lambda one: (_TRUST[one.spec.provenance], one.metadata.name),
    )
    return {
        (entry.variant, entry.hardware): (entry, domain.Provenance(source.spec.provenance))
        for source in ordered
        for entry in source.spec.entries
        if entry.variant in declared
    }


def service_profiles(
    service: api.InferenceService, found: Resources
) -> tuple[domain.ServiceProfile, ...]:
    """The service times of those entries, fitted to a straight line."""
    return tuple(
        _service_profile(workload_id(service), entry, provenance)
        for entry, provenance in profile_entries(service, found).values()
    )


def _service_profile(
    owner: WorkloadId, entry: ProfileEntry, provenance: Provenance
) -> domain.ServiceProfile:
    base_s, per_item_s = profiles.fit(
        (float(batch.size), float(batch.milliseconds) / 1000, 1.0) for batch in entry.batches
    )
    return domain.ServiceProfile(
        workload=owner,
        variant=VariantName(entry.variant),
        hardware=entry.hardware,
        base_s=base_s,
        per_item_s=per_item_s,
        maximum_batch_size=entry.maximum_batch_size,
        startup_s=None if entry.startup_seconds is None else float(entry.startup_seconds),
        provenance=provenance,
    )


def cluster_budget(
    resource: api.ClusterBudget, namespaces: Mapping[str, Json]
) -> domain.ClusterBudget:
    """The budget with the namespaces that pay from it."""
    spec = resource.spec
    cap = spec.when_exceeded == "CapByPriority"
    return domain.ClusterBudget(
        name=resource.metadata.name,
        namespaces=frozenset(
            name
            for name, document in namespaces.items()
            if spec.namespace_selector.selects(documents.labels(document))
        ),
        amount=spec.amount,
        period=domain.BudgetPeriod(spec.period),
        when_exceeded=domain.WhenExceeded.CAP if cap else domain.WhenExceeded.ALERT_ONLY,
    )


def replicas(facts: Facts) -> tuple[domain.Replica, ...]:
    """The pods that serve, start or drain. Pods that ended cost nothing and are left out."""
    found = (_replica(facts.pods[key], facts) for key in sorted(facts.pods))
    return tuple(replica for replica in found if replica is not None)


def targets(deployments: Iterable[Json]) -> tuple[domain.Target, ...]:
    """What we asked the cluster for: the replica counts of the Deployments."""
    found = []
    for document in deployments:
        place = placement_of(document)
        if place is not None:
            owner, variant, pool_name = place
            found.append(
                domain.Target(
                    workload=owner,
                    variant=variant,
                    pool=pool_name,
                    replicas=_asked(document),
                )
            )
    return tuple(sorted(found))


def _asked(deployment: Json) -> int:
    """The count that we wrote last; what somebody else made of it since is put right, not followed."""
    target = documents.annotations_of(deployment).get(documents.TARGET)
    if isinstance(target, str) and target.isdigit():
        return int(target)
    return int(documents.part(deployment, "spec").get("replicas") or 0)


def placement_of(document: Json) -> tuple[WorkloadId, VariantName, PoolName] | None:
    """Whose replicas a Deployment or pod holds, by its labels; None where they are incomplete."""
    labels, metadata = documents.labels(document), documents.part(document, "metadata")
    named = [labels.get(name) for name in (documents.SERVICE, documents.VARIANT, documents.POOL)]
    if not all(isinstance(value, str) for value in (*named, metadata.get("namespace"))):
        return None
    service, variant, pool_name = map(str, named)
    owner = WorkloadId(namespace=str(metadata["namespace"]), name=service)
    return owner, VariantName(variant), PoolName(pool_name)


def _variants(service: api.InferenceService, found: Resources) -> tuple[domain.Variant, ...]:
    measured = {
        entry.variant: entry.accuracy_percent
        for one in _profiles_of(service, found)
        for entry in one.spec.entries
        if entry.accuracy_percent is not None
    }
    return tuple(
        domain.Variant(
            name=VariantName(variant.name),
            slots=variant.slots,
            accuracy_fraction=_fraction(variant.accuracy_percent or measured.get(variant.name)),
        )
        for variant in service.spec.effective_variants()
    )


def _fraction(percent: Decimal | None) -> float | None:
    return None if percent is None else float(percent / _HUNDRED)


def _profiles_of(service: api.InferenceService, found: Resources) -> list[api.ModelProfile]:
    return [
        one
        for one in found.profiles
        if one.metadata.namespace == service.metadata.namespace
        and one.spec.model_uri == service.spec.model.uri
    ]


def _replica(pod: Json, facts: Facts) -> domain.Replica | None:
    place = placement_of(pod)
    status, metadata = documents.part(pod, "status"), documents.part(pod, "metadata")
    created = documents.instant(metadata.get("creationTimestamp"))
    if place is None or created is None or status.get("phase") in ("Succeeded", "Failed"):
        return None
    node = documents.part(pod, "spec").get("nodeName")
    owner, variant, pool_name = place
    interrupted_at = facts.notices.get(str(node)) if node else None
    ready = documents.condition(pod, "Ready")
    is_ready = ready.get("status") == "True"
    scheduled = documents.instant(
        documents.condition(pod, "PodScheduled").get("lastTransitionTime")
    )
    return domain.Replica(
        name=documents.key(pod),
        workload=owner,
        variant=variant,
        pool=pool_name,
        phase=_phase(pod, is_ready=is_ready),
        created_at=created,
        started_at=(scheduled or created) if node else None,
        ready_at=documents.instant(ready.get("lastTransitionTime")) if is_ready else None,
        interrupted_at=interrupted_at,
    )


def _phase(pod: Json, *, is_ready: bool) -> domain.ReplicaPhase:
    if documents.part(pod, "metadata").get("deletionTimestamp"):
        return domain.ReplicaPhase.DRAINING
    if not documents.part(pod, "spec").get("nodeName"):
        return domain.ReplicaPhase.PENDING
    return domain.ReplicaPhase.READY if is_ready else domain.ReplicaPhase.STARTING


def _gap(entry: Entry, at: datetime) -> domain.Gap:
    kind = entry.document.get("kind")
    return domain.Gap(
        subject=f"{kind} {documents.key(entry.document)}",
        missing="spec",
        since=at,
        because=entry.problem or "unreadable",
    )
