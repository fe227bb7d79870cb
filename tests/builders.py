"""Complete defaults, so that a test states only what matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from farthing.core import planner
from farthing.core.domain import (
    Budget,
    BudgetPeriod,
    CapacityType,
    LatencyCounts,
    LoadReading,
    Observation,
    Pool,
    PoolName,
    Replica,
    ReplicaPhase,
    ServiceProfile,
    Slo,
    Target,
    Variant,
    VariantName,
    WhenExceeded,
    Workload,
    WorkloadId,
)
from farthing.core.policy import Policy
from farthing.core.state import PlannerState

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
FP32 = VariantName("fp32")
SENTIMENT = WorkloadId(namespace="shop", name="sentiment")
RESERVED, SPOT, ON_DEMAND = PoolName("reserved"), PoolName("spot"), PoolName("on-demand")


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def budget(**changes: Any) -> Budget:
    return Budget(**{"amount": Decimal("1000.00"), "period": BudgetPeriod.DAY} | changes)


def capped(amount: str, period: BudgetPeriod = BudgetPeriod.DAY) -> Budget:
    return budget(amount=Decimal(amount), period=period, when_exceeded=WhenExceeded.CAP)


def workload(**changes: Any) -> Workload:
    defaults = {
        "id": SENTIMENT,
        "slo": Slo(latency_s=0.25),
        "budget": budget(),
        "variants": (Variant(name=FP32),),
        "pools": (RESERVED, SPOT, ON_DEMAND),
    }
    return Workload(**defaults | changes)


def reserved(**changes: Any) -> Pool:
    return pool(
        **{
            "name": RESERVED,
            "capacity_type": CapacityType.RESERVED,
            "price": "0.45",
            "committed_slots": 2,
            "maximum_slots": None,
        }
        | changes
    )


def spot(**changes: Any) -> Pool:
    return pool(
        **{
            "name": SPOT,
            "capacity_type": CapacityType.SPOT,
            "price": "0.284",
            "interruptions_per_hour": 0.12,
            "notice_s": 30.0,
        }
        | changes
    )


def on_demand(**changes: Any) -> Pool:
    return pool(
        **{"name": ON_DEMAND, "capacity_type": CapacityType.ON_DEMAND, "price": "0.70"} | changes
    )


def pool(price: str | None, **changes: Any) -> Pool:
    defaults = {"hardware": "NVIDIA-L4", "maximum_slots": 20}
    return Pool(
        **defaults | {"price_per_slot_hour": None if price is None else Decimal(price)} | changes
    )


def profile(**changes: Any) -> ServiceProfile:
    """10 ms and 10 ms per item, at most 32: 97 requests per second at the most, 74.8 within 250 ms at p99."""
    defaults = {
        "workload": SENTIMENT,
        "variant": FP32,
        "hardware": "NVIDIA-L4",
        "base_s": 0.01,
        "per_item_s": 0.01,
        "maximum_batch_size": 32,
    }
    return ServiceProfile(**defaults | changes)


def replicas(count: int, at_pool: PoolName = SPOT, **changes: Any) -> tuple[Replica, ...]:
    defaults = {
        "workload": SENTIMENT,
        "variant": FP32,
        "pool": at_pool,
        "phase": ReplicaPhase.READY,
        "created_at": after(-3600),
        "started_at": after(-3600),
        "ready_at": after(-3500),
    }
    return tuple(Replica(name=f"{at_pool}-{i}", **defaults | changes) for i in range(count))


def running(**counts: int) -> dict[str, Any]:
    """Ready replicas, asked for and there: `running(spot=2, on_demand=1)`."""
    places = {PoolName(name.replace("_", "-")): count for name, count in counts.items()}
    return {
        "replicas": tuple(r for name, count in places.items() for r in replicas(count, name)),
        "targets": tuple(target(count, name) for name, count in places.items()),
    }


def targets(**counts: int) -> tuple[Target, ...]:
    """Whole targets of a plan for the one workload, as a plan orders them."""
    return tuple(
        target(count, PoolName(name))
        for name, count in sorted((k.replace("_", "-"), v) for k, v in counts.items())
    )


def decide(
    seen: Observation, state: PlannerState | None = None, policy: Policy | None = None
) -> planner.Step:
    """One tick with defaults for what a test does not care about."""
    return planner.step(seen, policy or Policy(), state or PlannerState())


def target(count: int, at_pool: PoolName = SPOT, **changes: Any) -> Target:
    return Target(
        **{"workload": SENTIMENT, "variant": FP32, "pool": at_pool, "replicas": count} | changes
    )


def reading(rate_rps: float, **changes: Any) -> LoadReading:
    """A steady rate for two minutes, with everything answered in 100 ms."""
    defaults = {
        "workload": SENTIMENT,
        "ends_at": AT,
        "bucket_s": 1.0,
        "arrivals": (rate_rps,) * 120,
        "refused": (0.0,) * 120,
        "queued": 0.0,
        "in_flight": 0.0,
        "answered_total": 0.0,
        "latency": LatencyCounts(bounds_s=(0.1, 0.25, 1.0), counts=(rate_rps * 30, 0.0, 0.0, 0.0)),
    }
    return LoadReading(**defaults | changes)


def observation(**changes: Any) -> Observation:
    defaults = {
        "at": AT,
        "workloads": (workload(),),
        "pools": (reserved(), spot(), on_demand()),
        "replicas": (),
        "profiles": (profile(),),
    }
    return Observation(**defaults | changes)
