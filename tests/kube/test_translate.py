"""What the API server holds, as the planner sees it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.kube import objects
from tests.kube.objects import AT, SENTIMENT

from farthing.core import domain
from farthing.core.domain import PoolName, ReplicaPhase, VariantName
from farthing.kube import translate
from farthing.kube.interruptions import NOTICES, Notices


def test_the_smallest_service_becomes_a_workload_with_every_default() -> None:
    found = objects.found(objects.service(), objects.pool())
    assert translate.workload(found.services[0], found) == domain.Workload(
        id=SENTIMENT,
        slo=domain.Slo(latency_s=0.3, quantile_fraction=0.99, attainment_fraction=0.99),
        budget=domain.Budget(amount=Decimal("12.00"), period=domain.BudgetPeriod.DAY),
        variants=(domain.Variant(name=VariantName("default")),),
        pools=(PoolName("spot"),),
    )


def test_only_pools_with_the_selected_labels_may_be_used() -> None:
    selector = {"poolSelector": {"matchLabels": {"farthing.dev/region": "us"}}}
    found = objects.found(objects.service(placement=selector), objects.pool())
    assert translate.workload(found.services[0], found).pools == ()


def test_a_pool_keeps_its_price_its_notice_and_its_hardware() -> None:
    found = objects.found(objects.pool())
    assert translate.pool(found.pools[0]) == domain.Pool(
        name=PoolName("spot"),
        capacity_type=domain.CapacityType.SPOT,
        hardware="NVIDIA-L4",
        price_per_slot_hour=Decimal("0.284"),
        interruptions_per_hour=0.12,
        notice_s=20.0,
    )


def test_a_pool_without_accelerators_computes_on_cpus() -> None:
    document = objects.pool(slot={"cpu": "2", "memory": "4Gi"})
    assert translate.pool(objects.decoded(document)).hardware == "cpu"


def test_batches_of_a_profile_are_fitted_to_a_line() -> None:
    found = objects.found(objects.service(), objects.profile(startupSeconds=7))
    (profile,) = translate.service_profiles(found.services[0], found)
    # 20 ms for one and 120 ms for eleven: 10 ms for the batch and 10 ms for each item.
    assert (round(profile.base_s, 9), round(profile.per_item_s, 9)) == (0.01, 0.01)
    assert dataclasses.replace(profile, base_s=0.01, per_item_s=0.01) == domain.ServiceProfile(
        workload=SENTIMENT,
        variant=VariantName("default"),
        hardware="NVIDIA-L4",
        base_s=0.01,
        per_item_s=0.01,
        maximum_batch_size=11,
        startup_s=7.0,
        provenance=domain.Provenance.DECLARED,
    )


def test_what_was_measured_counts_more_than_what_was_declared() -> None:
    slower = {"batches": [{"size": 1, "milliseconds": "50"}]}
    found = objects.found(
        objects.service(),
        objects.profile("declared"),
        objects.profile("a-benchmark", "Measured", **slower),
    )
    (profile,) = translate.service_profiles(found.services[0], found)
    assert profile.provenance is domain.Provenance.MEASURED


def test_accuracy_that_was_measured_is_used_where_none_is_declared() -> None:
    found = objects.found(objects.service(), objects.profile(accuracyPercent="98.5"))
    (variant,) = translate.workload(found.services[0], found).variants
    assert variant.accuracy_fraction == 0.985


def test_a_budget_is_paid_by_the_namespaces_that_it_selects() -> None:
    selected = {
        "namespaceSelector": {"matchLabels": {"team": "research"}},
        "whenExceeded": "CapByPriority",
    }
    namespaces = {
        "lab": {"metadata": {"name": "lab", "labels": {"team": "research"}}},
        "shop": {"metadata": {"name": "shop", "labels": {"team": "sales"}}},
    }
    budget = translate.cluster_budget(objects.decoded(objects.budget(**selected)), namespaces)
    assert budget == domain.ClusterBudget(
        name="research",
        namespaces=frozenset({"lab"}),
        amount=Decimal("400.00"),
        period=domain.BudgetPeriod.DAY,
        when_exceeded=domain.WhenExceeded.CAP,
    )


@pytest.mark.parametrize(
    ("pod", "phase"),
    [
        (objects.pod(node=None), ReplicaPhase.PENDING),
        (objects.pod(ready=False), ReplicaPhase.STARTING),
        (objects.pod(), ReplicaPhase.READY),
        (objects.pod(deletionTimestamp="2026-11-25T12:00:30Z"), ReplicaPhase.DRAINING),
    ],
)
def test_a_pod_is_in_one_phase(pod: objects.Document, phase: ReplicaPhase) -> None:
    (replica,) = translate.replicas(objects.facts(pods={"shop/sentiment-1": pod}))
    assert replica.phase is phase


def test_a_replica_costs_from_the_moment_it_got_its_node() -> None:
    notices = {"spot-0": AT}
    facts = objects.facts(pods={"shop/sentiment-1": objects.pod()}, notices=notices)
    assert translate.replicas(facts) == (
        domain.Replica(
            name="shop/sentiment-1",
            workload=SENTIMENT,
            variant=VariantName("default"),
            pool=PoolName("spot"),
            phase=ReplicaPhase.READY,
            created_at=AT - timedelta(minutes=2),
            started_at=AT - timedelta(seconds=110),
            ready_at=AT - timedelta(minutes=1),
            interrupted_at=AT,
        ),
    )


def test_pods_that_ended_and_pods_of_others_are_no_replicas() -> None:
    ended = objects.pod("ended")
    ended["status"]["phase"] = "Failed"
    foreign = objects.pod("foreign")
    del foreign["metadata"]["labels"]["farthing.dev/pool"]
    assert translate.replicas(objects.facts(pods={"a": ended, "b": foreign})) == ()


@pytest.mark.parametrize("key", sorted(NOTICES))
def test_every_platform_s_notice_is_recognized_and_dated(key: str) -> None:
    taint = {"key": key, "effect": "NoSchedule", "timeAdded": "2026-11-25T11:59:58Z"}
    nodes = {"spot-0": objects.node(taints=(taint,)), "spot-1": objects.node("spot-1")}
    assert Notices().read(nodes, AT) == {"spot-0": AT - timedelta(seconds=2)}


def test_a_notice_without_a_time_counts_from_when_it_was_first_seen() -> None:
    nodes = {"spot-0": objects.node(taints=({"key": "karpenter.sh/disrupted"},))}
    notices = Notices()
    notices.read(nodes, AT)
    assert notices.read(nodes, AT + timedelta(seconds=5)) == {"spot-0": AT}


def test_the_count_that_we_asked_for_stands_above_one_edited_by_hand() -> None:
    deployment = objects.pod("sentiment-default-spot")
    deployment["metadata"]["annotations"] = {"farthing.dev/target": "2"}
    deployment["spec"] = {"replicas": 9}
    (target,) = translate.targets([deployment])
    assert target.replicas == 2


def test_what_cannot_be_read_becomes_a_gap_and_not_an_exception() -> None:
    broken = objects.service(slo={"latencyMilliseconds": -1})
    observation = translate.observation(objects.found(broken), objects.facts(), AT)
    assert observation.workloads == ()
    (gap,) = observation.gaps
    assert (gap.subject, gap.missing) == ("InferenceService shop/sentiment", "spec")
    assert "spec.slo.latencyMilliseconds: -1 is refused" in gap.because
