"""What `farthing plan` answers, as a document and as text. Pure.

The record of each service is the one that the operator would write into its status, with its amounts unrounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from farthing import api
from farthing.cli import explain_view, money, tables, wording
from farthing.cli.manifests import Manifests
from farthing.cli.money import HOURS_PER_MONTH
from farthing.cli.settling import Decided
from farthing.core.domain import BudgetStanding, CapacityType, Decision, WorkloadId
from farthing.kube import documents, status, translate
from farthing.kube.documents import Json

_MOST_NAMES = 5
_PARTS = ("TRAFFIC/S", "REPLICAS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One service of the plan."""

    service: Json
    traffic: Json
    replicas: int
    cost_per_hour: Decimal
    budget: BudgetStanding
    has_profile: bool

    @property
    def cost_per_month(self) -> Decimal:
        return self.cost_per_hour * HOURS_PER_MONTH

    @property
    def key(self) -> str:
        return documents.key(self.service)

    @property
    def decision(self) -> Json:
        return documents.part(self.service, "status", "decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The whole plan, ready to be shown."""

    at: str
    currency: str
    services: tuple[Planned, ...]
    budgets: tuple[BudgetStanding, ...]
    idle: tuple[Json, ...]
    assumptions: tuple[str, ...]
    breaches: tuple[str, ...]

    @property
    def cost_per_hour(self) -> Decimal:
        return sum((one.cost_per_hour for one in self.services), Decimal(0))


def answer(files: Manifests, decided: Decided, currency: str) -> Answer:
    """What was decided, by service, with what it rests on and which limits it breaks."""
    tick = status.Tick(observation=decided.observation, step=decided.step, problems={})
    services = tuple(
        _planned(one, decided, tick)
        for one in sorted(files.resources.services, key=translate.workload_id)
    )
    budgets = decided.step.plan.cluster_budgets
    return Answer(
        at=documents.timestamp(decided.observation.at),
        currency=currency,
        services=services,
        budgets=budgets,
        idle=_idle(decided),
        assumptions=_assumptions(decided, services),
        breaches=_breaches(services, budgets, currency),
    )


def document(plan: Answer) -> Json:
    """The plan for programs."""
    return {
        "at": plan.at,
        "currency": plan.currency,
        "hoursPerMonth": int(HOURS_PER_MONTH),
        "assumptions": list(plan.assumptions),
        "breaches": list(plan.breaches),
        "costPerHour": money.plain(plan.cost_per_hour),
        "costPerMonth": money.plain(plan.cost_per_hour * HOURS_PER_MONTH),
        "services": [_service_document(one) for one in plan.services],
        "clusterBudgets": [_standing(one) for one in plan.budgets],
        "idleCommitments": list(plan.idle),
    }


def text(plan: Answer, *, wide: bool) -> str:
    """The plan for people: all services in one table, then the record of each."""
    lines = [tables.heading(_title(plan)), *_table(plan, wide=wide)]
    lines += [_budget_line(one, plan.currency) for one in plan.budgets]
    lines += [_idle_line(one, plan.currency) for one in plan.idle]
    lines += [f"Assumes {one}" for one in plan.assumptions]
    lines += [tables.doubtful(f"! {one}") for one in plan.breaches]
    for one in plan.services:
        lines += ["", *explain_view.text(one.service, plan.currency, wide=wide)]
    return "\n".join(lines)


def _planned(service: api.InferenceService, decided: Decided, tick: status.Tick) -> Planned:
    owner = translate.workload_id(service)
    plan = decided.step.plan
    decision = next(one for one in plan.decisions if one.workload == owner)
    written = status.of_service(service, {}, tick)
    written["decision"] = _unrounded(written["decision"], decision)
    traffic = decided.traffic[owner]
    return Planned(
        service={**service.to_document(), "status": written},
        traffic={
            "requestsPerSecond": traffic.requests_per_second,
            "queued": traffic.queued,
            "source": traffic.source,
        },
        replicas=sum(one.replicas for one in plan.targets if one.workload == owner),
        cost_per_hour=decision.cost_per_hour,
        budget=next(one for one in plan.service_budgets if one.payer == str(owner)),
        has_profile=_has_profile(owner, decided),
    )


def _unrounded(written: Json, decision: Decision) -> Json:
    """The record with its amounts as they were decided on."""
    options = [
        option
        if exact.cost_per_hour is None
        else {**option, "costPerHour": money.plain(exact.cost_per_hour)}
        for option, exact in zip(written.get("options", []), decision.options, strict=False)
    ]
    return {**written, "costPerHour": money.plain(decision.cost_per_hour), "options": options}


def _has_profile(owner: WorkloadId, decided: Decided) -> bool:
    return any(
        one.rate_rps is not None for one in decided.step.beliefs.service if one.workload == owner
    )


def _idle(decided: Decided) -> tuple[Json, ...]:
    """Committed slots that the plan leaves unused: they are paid all the same."""
    slots = {(w.id, v.name): v.slots for w in decided.observation.workloads for v in w.variants}
    found = []
    for pool in sorted(decided.observation.pools, key=lambda one: one.name):
        used = sum(
            slots.get((one.workload, one.variant), 1) * one.replicas
            for one in decided.step.plan.targets
            if one.pool == pool.name
        )
        unused = max(0, pool.committed_slots - used)
        if pool.capacity_type is CapacityType.RESERVED and unused:
            cost = (pool.price_per_slot_hour or Decimal(0)) * unused
            found.append(
                {
                    "pool": pool.name,
                    "committedSlots": pool.committed_slots,
                    "unusedSlots": unused,
                    "costPerHour": money.plain(cost),
                }
            )
    return tuple(found)


def _assumptions(decided: Decided, services: tuple[Planned, ...]) -> tuple[str, ...]:
    found = [f"{HOURS_PER_MONTH} hours in a month, and list prices as the CapacityPools state them"]
    unstated = [one.key for one in services if one.traffic["source"] == "assumed"]
    if unstated:
        found.append(
            f"0 requests/s for {_named(unstated)}, since no load was given "
            "(--requests-per-second or --observation gives one)"
        )
    if decided.replicas_given:
        found.append("the replicas of the observation file, and decides once on them")
    elif decided.has_settled:
        found.append("steady traffic that lasts, so that replicas have been added and removed")
    else:
        found.append("steady traffic, and shows the last of plans that kept changing for 4 hours")
    unpaying = [one.name for one in decided.observation.cluster_budgets if not one.namespaces]
    if unpaying:
        found.append(
            f"that ClusterBudget {_named(unpaying)} selects no namespace of the files (labels come "
            "from Namespace documents or --observation)"
        )
    unprofiled = [one.key for one in services if not one.has_profile]
    if unprofiled:
        found.append(
            f"nothing of the speed of {_named(unprofiled)}: there is no ModelProfile for its "
            "model and these pools, so the count is the careful start and not a size for the traffic"
        )
    return tuple(found)


def _named(names: list[str]) -> str:
    """The first few of them; hundreds would bury what the sentence says."""
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _breaches(
    services: tuple[Planned, ...], budgets: tuple[BudgetStanding, ...], currency: str
) -> tuple[str, ...]:
    found = []
    for one in services:
        short = documents.part(one.service, "status", "shortfall")
        if short:
            missing = money.exact(money.number(short.get("missingPerHour")))
            found.append(
                f"{one.key}: short of {currency} {missing}/h, limited by {short.get('reason')}"
            )
    standings = [*(one.budget for one in services), *budgets]
    found += [
        f"{one.payer}: forecast {currency} {money.exact(one.forecast)} is above the budget of "
        f"{money.exact(one.amount)}"
        for one in standings
        if one.forecast > one.amount
    ]
    return tuple(found)


def _title(plan: Answer) -> str:
    count = len(plan.services)
    month = plan.cost_per_hour * HOURS_PER_MONTH
    return (
        f"plan at {plan.at}  {count} {'service' if count == 1 else 'services'}  {plan.currency} "
        f"{money.exact(plan.cost_per_hour)}/h  {plan.currency} {money.exact(month)}/month"
    )


def _table(plan: Answer, *, wide: bool) -> list[str]:
    amounts = (f"{plan.currency}/H", f"{plan.currency}/MONTH")
    heading = ["NAMESPACE", "NAME", *_PARTS, "POOLS", *amounts, "BUDGET", "REASON"]
    heading += ["SLO MS", "MODEL"] if wide else []
    rows = [_row(one, wide=wide) for one in plan.services]
    return tables.columns(heading, rows, right=(*_PARTS, *amounts, "SLO MS"))


def _row(one: Planned, *, wide: bool) -> list[str]:
    metadata, spec = (documents.part(one.service, name) for name in ("metadata", "spec"))
    budget = documents.part(spec, "budget")
    row = [
        str(metadata.get("namespace")),
        str(metadata.get("name")),
        f"{one.traffic['requestsPerSecond']:g}",
        str(one.replicas),
        wording.word(one.decision.get("chosen")),
        money.exact(one.cost_per_hour),
        money.exact(one.cost_per_month),
        f"{wording.percent(one.budget.forecast, one.budget.amount)} of "
        f"{money.exact(one.budget.amount)} {budget.get('period')}",
        wording.word(one.decision.get("reasonCode")),
    ]
    if wide:
        row.append(wording.word(documents.part(spec, "slo").get("latencyMilliseconds")))
        row.append(wording.word(documents.part(spec, "model").get("uri")))
    return row


def _budget_line(one: BudgetStanding, currency: str) -> str:
    return (
        f"budget {one.payer}  {currency} {money.exact(one.cost_per_hour)}/h  forecast "
        f"{money.exact(one.forecast)} of {money.exact(one.amount)} "
        f"({wording.percent(one.forecast, one.amount)})"
    )


def _idle_line(one: Json, currency: str) -> str:
    cost = money.exact(money.number(one["costPerHour"]))
    return (
        f"idle {one['pool']}  {one['unusedSlots']} of {one['committedSlots']} committed slots, "
        f"{currency} {cost}/h paid whether used or not, not in the sum above"
    )


def _service_document(one: Planned) -> Json:
    metadata = documents.part(one.service, "metadata")
    written = documents.part(one.service, "status")
    found: Json = {
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "traffic": one.traffic,
        "replicas": one.replicas,
        "placements": [
            {name: place[name] for name in ("variant", "pool", "capacityType", "target")}
            for place in documents.items(written, "placements")
        ],
        "costPerHour": money.plain(one.cost_per_hour),
        "costPerMonth": money.plain(one.cost_per_month),
        "profileKnown": one.has_profile,
        "budget": _standing(one.budget),
        "decision": one.decision,
    }
    if written.get("shortfall"):
        found["shortfall"] = written["shortfall"]
    return found


def _standing(one: BudgetStanding) -> Json:
    found: Json = {
        "payer": one.payer,
        "periodStart": documents.timestamp(one.period_start),
        "periodEnd": documents.timestamp(one.period_end),
        "amount": money.plain(one.amount),
        "costPerHour": money.plain(one.cost_per_hour),
        "forecast": money.plain(one.forecast),
    }
    if one.allowed_per_hour is not None:
        found["allowedPerHour"] = money.plain(one.allowed_per_hour)
    return found
