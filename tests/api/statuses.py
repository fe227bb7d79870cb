"""Complete statuses, as the operator builds them."""

from __future__ import annotations

from decimal import Decimal

from farthing import api
from farthing.api import cluster_budget
from farthing.api import inference_service_status as service

NOON = "2026-11-25T12:00:00Z"
CONDITION = api.Condition(
    type="SLOAttained",
    status="True",
    observed_generation=4,
    last_transition_time=NOON,
    reason="WithinSLO",
    message="99.4 % of the requests were answered within 300 ms.",
)
SERVICE = api.InferenceServiceStatus(
    observed_generation=4,
    conditions=(CONDITION,),
    replicas=3,
    selector="farthing.dev/service=sentiment",
    placements=(
        service.PlacementStatus(
            variant="int8", pool="l4-spot", capacity_type="Spot", target=3, ready=2
        ),
    ),
    pools="l4-spot 3",
    cost_per_hour="0.852",
    cost_per_thousand_requests="0.004",
    latency_milliseconds="212.5",
    queue_length="2",
    profiles=(
        service.ProfileStatus(
            variant="int8",
            hardware="NVIDIA-L4",
            provenance="Learned",
            base_milliseconds=Decimal("6.5"),
            per_item_milliseconds=Decimal("0.75"),
            maximum_batch_size=16,
            requests_per_second_within_slo="410",
        ),
    ),
    spend=service.Spend(
        period_start="2026-11-25T00:00:00Z",
        charged_until=NOON,
        amount=Decimal("5.123456789"),
        budget=Decimal("12.00"),
        budget_used_percent="42.7",
        forecast="11.2",
        answered_requests=1_234_567,
        by_pool=(
            service.PoolSpend(pool="l4-spot", capacity_type="Spot", amount=Decimal("5.123456789")),
        ),
    ),
    shortfall=service.Shortfall(missing_per_hour=Decimal("0.284"), reason="PoolFull"),
    address=service.Address(url="http://sentiment.shop.svc.cluster.local"),
    decision=service.Decision(
        id="d-20481",
        at=NOON,
        chosen="l4-spot 3",
        cost_per_hour="0.852",
        options=(
            service.Option(
                plan="l4-spot 3",
                cost_per_hour="0.852",
                latency_milliseconds="212",
                verdict="Chosen",
                reason="CheapestWithinSLO",
                message="cheapest that keeps the SLO",
            ),
            service.Option(plan="cpu 40", verdict="Rejected", reason="MissesSLO"),
        ),
        binding_constraint="SLO",
        reason_code="ScaleUp",
        message="14 requests wait, 8 are aimed at",
        reverses_when="the queue stays below 6 for 5 minutes",
        inputs=(
            service.DecisionInput(name="queue", age_seconds=4),
            service.DecisionInput(name="latency", gap="no pod answered"),
        ),
    ),
)
POOL = api.CapacityPoolStatus(
    observed_generation=1,
    conditions=(CONDITION,),
    used_slots=3,
    ready_slots=4,
    idle_cost_per_hour="0.451",
)
BUDGET = api.ClusterBudgetStatus(
    observed_generation=2,
    conditions=(CONDITION,),
    spend=cluster_budget.ClusterSpend(
        period_start="2026-11-25T00:00:00Z",
        charged_until=NOON,
        amount=Decimal("5.123456789"),
        budget=Decimal("400.00"),
        forecast="unknown",
        by_namespace=(
            cluster_budget.NamespaceSpend(namespace="shop", amount=Decimal("5.123456789")),
        ),
    ),
    allowed_per_hour="16.6",
    cost_per_hour="0.852",
    shortfalls=(
        cluster_budget.ServiceShortfall(
            namespace="shop", name="sentiment", missing_per_hour=Decimal("0.284"), priority=100
        ),
    ),
)
BY_SAMPLE = {
    "inference-service-full": SERVICE,
    "capacity-pool-full": POOL,
    "cluster-budget-full": BUDGET,
}
