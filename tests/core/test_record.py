from __future__ import annotations

from decimal import Decimal

from tests.builders import (
    AT,
    FP32,
    ON_DEMAND,
    RESERVED,
    SENTIMENT,
    SPOT,
    after,
    capped,
    decide,
    observation,
    on_demand,
    reading,
    running,
    spot,
    target,
    workload,
)

from farthing.core.domain import Decision, InputAge, Option, ReasonCode
from farthing.core.record import plan_text


def seen(second: float = 0, rate_rps: float = 250.0, **changes):
    at = after(second)
    facts = {"at": at, "readings": (reading(rate_rps, ends_at=at),)}
    return observation(**facts | running(reserved=2, spot=2) | changes)


def test_the_record_says_what_was_chosen_and_why_the_others_lost() -> None:
    (decision,) = decide(seen()).plan.decisions
    assert decision == Decision(
        id=decision.id,
        at=AT,
        workload=SENTIMENT,
        chosen="reserved 2, spot 2",
        wanted_replicas=4,
        cost_per_hour=Decimal("1.468"),  # 2 × 0.45 + 2 × 0.284
        options=decision.options,
        binding=ReasonCode.DEMAND,
        reason=ReasonCode.WITHIN_SLO,
        message=decision.message,
        reverses_when="adds one above 300.1 requests/s; removes one below 225.1 requests/s",
        inputs=(InputAge(name="load (direct)", age_s=0.0),),
        shortfall=decision.shortfall,
    )
    assert [(o.plan, o.cost_per_hour, o.chosen, o.reason) for o in decision.options] == [
        ("reserved 2, spot 2", Decimal("1.468"), True, ReasonCode.WITHIN_SLO),
        ("on-demand 4", Decimal("2.80"), False, ReasonCode.DEARER),
        ("reserved 4", Decimal("1.80"), False, ReasonCode.POOL_FULL),
        ("spot 4", Decimal("1.136"), False, ReasonCode.DEARER),
    ]


def test_an_unchanged_decision_keeps_its_id_and_its_instant() -> None:
    first = decide(seen())
    second = decide(seen(1, rate_rps=251.0), first.state)
    (before,), (now,) = first.plan.decisions, second.plan.decisions
    assert (now.id, now.at) == (before.id, AT)


def test_a_changed_decision_gets_another_id() -> None:
    first = decide(seen())
    second = decide(seen(1, rate_rps=600.0), first.state)
    third = decide(seen(2), second.state)
    ids = [s.plan.decisions[0].id for s in (first, second, third)]
    assert len(set(ids)) == 3
    assert all(one.startswith("d-") for one in ids)


def test_a_plan_names_the_variant_where_there_are_several() -> None:
    other = FP32.__class__("int8")
    mix = {(FP32, SPOT): 1, (other, SPOT): 2, (FP32, RESERVED): 0}
    assert plan_text(mix) == "spot (fp32) 1, spot (int8) 2"
    assert plan_text({(FP32, SPOT): 1}) == "spot 1"
    assert plan_text({(FP32, RESERVED): 0}) == plan_text({}) == "nothing"


def test_a_shortage_is_put_into_words() -> None:
    short = workload(budget=capped("4.45"), pools=(SPOT, ON_DEMAND))
    (decision,) = decide(
        observation(workloads=(short,), readings=(reading(400),), **running(spot=1))
    ).plan.decisions
    assert decision.message.endswith(
        "; short by 3 replicas, 0.852 per hour, limited by spec.budget"
    )


def test_what_a_place_would_take_beyond_the_limits_is_said() -> None:
    one = workload(pools=(SPOT, ON_DEMAND), max_replicas=2, minimum_non_spot_replicas=1)
    (decision,) = decide(
        observation(
            workloads=(one,),
            pools=(spot(), on_demand(maximum_slots=1)),
            readings=(reading(100),),
            **running(spot=1),
        )
    ).plan.decisions
    assert [(o.plan, o.reason, o.message) for o in decision.options[1:]] == [
        ("on-demand 2", ReasonCode.POOL_FULL, "needs 2 slots of 1"),
        ("spot 2", ReasonCode.NON_SPOT_FLOOR, "1 replicas must not be on spot"),
    ]
    (decision,) = decide(
        observation(
            workloads=(workload(pools=(SPOT, ON_DEMAND), max_replicas=2),),
            readings=(reading(400),),
            **running(spot=1),
        )
    ).plan.decisions
    assert ("on-demand 6", "needs 6 replicas, maxReplicas is 2") in [
        (o.plan, o.message) for o in decision.options
    ]


def test_a_fixed_count_is_reversed_by_its_limits_only() -> None:
    fixed = workload(min_replicas=1, max_replicas=1)
    (decision,) = decide(
        observation(workloads=(fixed,), readings=(reading(10),), **running(reserved=1))
    ).plan.decisions
    assert decision.reverses_when == "minReplicas or maxReplicas change"


def test_an_option_is_a_whole_value() -> None:
    (decision,) = decide(observation(profiles=())).plan.decisions
    assert decision.options == (
        Option(
            plan="reserved 1",
            cost_per_hour=Decimal("0.45"),
            latency_s=None,
            chosen=True,
            reason=ReasonCode.CHEAPEST,
            message="cheapest mix that meets the SLO within the limits",
        ),
    )


def test_what_is_asked_for_by_services_that_are_not_seen_is_left_alone() -> None:
    stranger = target(3, workload=SENTIMENT.__class__(namespace="x", name="y"))
    plan = decide(observation(targets=(stranger,))).plan
    assert [t.workload for t in plan.targets] == [SENTIMENT]


def test_options_are_weighed_again_once_the_speed_is_known() -> None:
    blind = decide(seen(rate_rps=20.0, profiles=(), **running(reserved=1)))
    known = decide(seen(1, rate_rps=20.0, **running(reserved=1)), state=blind.state)
    (before,), (after_it,) = blind.plan.decisions, known.plan.decisions
    assert (before.id, before.options[0].latency_s) == (after_it.id, None)
    assert after_it.options[0].latency_s is not None
