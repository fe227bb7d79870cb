"""From files and assumptions to decisions: the same planner as in the cluster, on an observation that was made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from farthing.cli.assumptions import Assumptions, RunningReplicas
from farthing.cli.manifests import Manifests
from farthing.core import planner
from farthing.core.domain import (
    LoadReading,
    Observation,
    PoolName,
    Replica,
    ReplicaPhase,
    Target,
    VariantName,
    Workload,
    WorkloadId,
)
from farthing.core.planner import Step
from farthing.core.policy import Policy
from farthing.core.state import PlannerState
from farthing.kube import translate
from farthing.kube.documents import Json
from farthing.kube.translate import Facts

_BUCKETS = 120
_TICK_S = 60.0
_MOST_TICKS = 240


class MismatchError(Exception):
    """The assumptions speak of something that the files do not hold. One line per problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Steady requests of one service. `source` is file, option or assumed."""

    requests_per_second: float
    queued: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The decisions, what they rest on, and whether what runs was given or left to settle."""

    observation: Observation
    step: Step
    traffic: Mapping[WorkloadId, Traffic]
    has_settled: bool
    replicas_given: bool


def decide(
    files: Manifests, assumed: Assumptions, at: datetime, requests_per_second: float | None
) -> Decided:
    """One decision on the replicas that the assumptions give, else the plan that steady traffic settles at."""
    facts = Facts(pods={}, notices={}, deployments={}, namespaces=_namespaces(files, assumed))
    bare = translate.observation(files.resources, facts, at)
    traffic = _traffic(bare, assumed, requests_per_second)
    readings = tuple(_reading(owner, one, at) for owner, one in traffic.items())
    observation = replace(bare, readings=readings)
    policy = Policy()
    if assumed.replicas is None:
        observation, step, has_settled = _settle(observation, policy)
    else:
        observation = _with_replicas(observation, _running(bare, assumed.replicas))
        step, has_settled = planner.step(observation, policy, PlannerState()), True
    return Decided(
        observation=observation,
        step=step,
        traffic=traffic,
        has_settled=has_settled,
        replicas_given=assumed.replicas is not None,
    )


def _settle(observation: Observation, policy: Policy) -> tuple[Observation, Step, bool]:
    """Gives the planner what it asked for, minute after minute up to `at`, until it asks for nothing else.

    The planner starts carefully and removes slowly, so its first answer is not what a service costs in the long run.
    """
    at, state = observation.at, PlannerState()
    targets: tuple[Target, ...] = ()
    has_settled = False
    for tick in range(_MOST_TICKS, 0, -1):
        instant = at - timedelta(seconds=tick * _TICK_S)
        step = planner.step(_at(_granted(observation, targets), instant), policy, state)
        state, wanted = step.state, tuple(t for t in step.plan.targets if t.replicas)
        has_settled = wanted == targets and not state.lowering
        targets = wanted
        if has_settled:
            break
    # The record shall be of this instant, and nothing was spent before the plan exists.
    state = replace(state, decided=(), workload_spends=(), budget_spends=(), running=())
    last = _granted(observation, targets)
    return last, planner.step(last, policy, state), has_settled


def _at(observation: Observation, instant: datetime) -> Observation:
    readings = tuple(replace(reading, ends_at=instant) for reading in observation.readings)
    return replace(observation, at=instant, readings=readings)


def _granted(observation: Observation, targets: tuple[Target, ...]) -> Observation:
    """The observation in which every replica of the targets is ready."""
    return _with_replicas(observation, [(target, target.replicas) for target in targets])


def _with_replicas(observation: Observation, found: list[tuple[Target, int]]) -> Observation:
    """Without the instant they started at, replicas cost nothing before the plan."""
    return replace(
        observation,
        targets=tuple(target for target, _ in found),
        replicas=tuple(
            Replica(
                name=f"{target.workload}-{target.variant}-{target.pool}-{index}",
                workload=target.workload,
                variant=target.variant,
                pool=target.pool,
                phase=ReplicaPhase.READY if index < ready else ReplicaPhase.STARTING,
                created_at=observation.at,
                ready_at=observation.at if index < ready else None,
            )
            for target, ready in found
            for index in range(target.replicas)
        ),
    )


def _reading(owner: WorkloadId, traffic: Traffic, at: datetime) -> LoadReading:
    return LoadReading(
        workload=owner,
        ends_at=at,
        bucket_s=1.0,
        arrivals=(traffic.requests_per_second,) * _BUCKETS,
        refused=(0.0,) * _BUCKETS,
        queued=traffic.queued,
        in_flight=0.0,
        answered_total=0.0,
        source=traffic.source,
    )


def _traffic(
    observation: Observation, assumed: Assumptions, requests_per_second: float | None
) -> dict[WorkloadId, Traffic]:
    known = {str(workload.id): workload.id for workload in observation.workloads}
    _refuse_strangers("load", assumed.load, known)
    found = {}
    for name, owner in sorted(known.items()):
        load = assumed.load.get(name)
        if load is not None:
            found[owner] = Traffic(
                requests_per_second=load.requests_per_second,
                queued=load.queued,
                source="file",
            )
        else:
            found[owner] = Traffic(
                requests_per_second=requests_per_second or 0.0,
                queued=0.0,
                source="assumed" if requests_per_second is None else "option",
            )
    return found


def _running(
    observation: Observation, replicas: Mapping[str, tuple[RunningReplicas, ...]]
) -> list[tuple[Target, int]]:
    known = {str(workload.id): workload for workload in observation.workloads}
    _refuse_strangers("replicas", replicas, known)
    found = [
        (_target(known[name], one, f"replicas.{name}[{index}]"), _ready(one, name, index))
        for name in sorted(replicas)
        for index, one in enumerate(replicas[name])
    ]
    places = [(target.workload, target.variant, target.pool) for target, _ in found]
    for place in places:
        if places.count(place) > 1:
            owner, variant, pool = place
            raise MismatchError(
                f"replicas.{owner}: variant {variant!r} in pool {pool!r} is refused; "
                "allowed: each variant once in a pool"
            )
    return found


def _target(workload: Workload, given: RunningReplicas, path: str) -> Target:
    variants = [variant.name for variant in workload.variants]
    variant = given.variant or variants[0]
    for field, value, allowed in (
        ("variant", variant, variants),
        ("pool", given.pool, workload.pools),
    ):
        if value not in allowed:
            raise MismatchError(
                f"{path}.{field}: {value!r} is refused; allowed: {', '.join(allowed) or 'nothing'}"
            )
    return Target(
        workload=workload.id,
        variant=VariantName(variant),
        pool=PoolName(given.pool),
        replicas=given.count,
    )


def _ready(given: RunningReplicas, name: str, index: int) -> int:
    if given.ready is not None and given.ready > given.count:
        raise MismatchError(
            f"replicas.{name}[{index}].ready: {given.ready} is refused; allowed: at most count, "
            f"which is {given.count}"
        )
    return given.count if given.ready is None else given.ready


def _refuse_strangers(field: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    strangers = [name for name in given if name not in known]
    if strangers:
        raise MismatchError(
            *(
                f"{field}.{name}: is refused; allowed: the services of the files: "
                f"{', '.join(sorted(known))}"
                for name in strangers
            )
        )


def _namespaces(files: Manifests, assumed: Assumptions) -> dict[str, Json]:
    """Every namespace of a service, with the labels of its own document and those of the assumptions."""
    names = {service.metadata.namespace or "default" for service in files.resources.services}
    found: dict[str, Json] = {}
    for name in sorted(names | set(assumed.namespaces)):
        labels = {"kubernetes.io/metadata.name": name}
        declared = files.namespaces.get(name, {}).get("metadata", {}).get("labels")
        labels |= declared if isinstance(declared, dict) else {}
        given = assumed.namespaces.get(name)
        labels |= given.labels if given else {}
        found[name] = {"metadata": {"name": name, "labels": labels}}
    return found
