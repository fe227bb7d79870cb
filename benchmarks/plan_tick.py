"""What one tick of the planner costs: many services with profiles of their own, in three pools.

The first tick asks the queueing model for every profile, the next ones reuse its answers.

    OPENBLAS_NUM_THREADS=1 python benchmarks/plan_tick.py [--services 200] [--replicas 5] [--ticks 10]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from farthing.core import domain
from farthing.core.domain import PoolName, VariantName, WorkloadId
from farthing.core.planner import step
from farthing.core.policy import Policy
from farthing.core.state import PlannerState

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
VARIANT = VariantName("fp32")
KINDS = (
    ("reserved", domain.CapacityType.RESERVED, "0.45"),
    ("spot", domain.CapacityType.SPOT, "0.284"),
    ("on-demand", domain.CapacityType.ON_DEMAND, "0.70"),
)


def observation(services: int, replicas: int) -> domain.Observation:
    """Services at a load that needs about the replicas they have."""
    ids = [WorkloadId(namespace=f"team-{n % 10}", name=f"service-{n}") for n in range(services)]
    return domain.Observation(
        at=AT,
        workloads=tuple(_workload(one) for one in ids),
        pools=tuple(
            domain.Pool(
                name=PoolName(name),
                capacity_type=kind,
                hardware="NVIDIA-L4",
                price_per_slot_hour=Decimal(price),
                committed_slots=services,
                interruptions_per_hour=0.1 if kind is domain.CapacityType.SPOT else 0.0,
            )
            for name, kind, price in KINDS
        ),
        replicas=tuple(_replica(one, number) for one in ids for number in range(replicas)),
        targets=tuple(
            domain.Target(workload=one, variant=VARIANT, pool=PoolName("spot"), replicas=replicas)
            for one in ids
        ),
        readings=tuple(_reading(one, 60.0 * replicas) for one in ids),
        profiles=tuple(
            domain.ServiceProfile(
                workload=one,
                variant=VARIANT,
                hardware="NVIDIA-L4",
                base_s=0.01 + 0.0001 * number,
                per_item_s=0.01,
                maximum_batch_size=32,
            )
            for number, one in enumerate(ids)
        ),
        cluster_budgets=(
            domain.ClusterBudget(
                name="inference",
                namespaces=frozenset(one.namespace for one in ids),
                amount=Decimal(services * replicas * 24),
                period=domain.BudgetPeriod.DAY,
            ),
        ),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one line for each kind of tick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=10)
    chosen = parser.parse_args(arguments)
    seen = observation(chosen.services, chosen.replicas)
    state, took_s = PlannerState(), []
    for number in range(chosen.ticks + 1):
        at = AT + timedelta(seconds=number)
        now = replace(seen, at=at, readings=tuple(replace(r, ends_at=at) for r in seen.readings))
        started = time.process_time()
        state = step(now, Policy(), state).state
        took_s.append(time.process_time() - started)
    warm = sorted(took_s[1:])
    print(f"{chosen.services} services, {chosen.replicas} replicas each, CPU seconds of one tick")
    print(f"first (every profile modelled): {took_s[0]:.2f}")
    print(f"warm: median {warm[len(warm) // 2]:.3f}, worst of {len(warm)} {warm[-1]:.3f}")


def _workload(one: WorkloadId) -> domain.Workload:
    return domain.Workload(
        id=one,
        slo=domain.Slo(latency_s=0.25),
        budget=domain.Budget(amount=Decimal(100), period=domain.BudgetPeriod.DAY),
        variants=(domain.Variant(name=VARIANT),),
        pools=tuple(PoolName(name) for name, _, _ in KINDS),
    )


def _replica(one: WorkloadId, number: int) -> domain.Replica:
    return domain.Replica(
        name=f"{one.name}-{number}",
        workload=one,
        variant=VARIANT,
        pool=PoolName("spot"),
        phase=domain.ReplicaPhase.READY,
        created_at=AT - timedelta(hours=1),
        started_at=AT - timedelta(hours=1),
        ready_at=AT - timedelta(minutes=59),
    )


def _reading(one: WorkloadId, rate_rps: float) -> domain.LoadReading:
    return domain.LoadReading(
        workload=one,
        ends_at=AT,
        bucket_s=1.0,
        arrivals=(rate_rps,) * 120,
        refused=(0.0,) * 120,
        queued=0.0,
        in_flight=0.0,
        answered_total=0.0,
        latency=domain.LatencyCounts(bounds_s=(0.1, 0.25), counts=(rate_rps * 30, 0.0, 0.0)),
    )


if __name__ == "__main__":
    main()
