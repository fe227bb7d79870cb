"""The run itself: requests, an interruption, somebody watching, and a picture of it all."""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from benchmarks.demo import attainment, bill, errors, load, scenario, watch
from benchmarks.demo.receipt import Receipt, SpendCheck
from benchmarks.demo.view import Event, PoolView, ServiceView, View

Show = Callable[[View], None]
Interrupt = Callable[[str], Awaitable[str]]
_LOOK_EVERY_S = 1.0
_BLIND_LIMIT_S = 15.0
_RATE_WINDOW_S = 5.0
_LATENCY_WINDOW_S = 10.0
# The operator writes its status a little after what it is about.
_LAST_STATUS_S = 2.0
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the scenario is played: `interrupt` gives a node notice and says when it is gone."""

    api: watch.ClusterApi
    endpoints: tuple[load.Endpoint, ...]
    slo_ms: Mapping[str, int]
    prices: tuple[bill.Price, ...]
    scenario: scenario.Scenario
    interrupt: Interrupt


class Run:
    """What is known so far; everything is told to it, and views and the receipt come from it."""

    def __init__(self, stage: Stage, seen: watch.Seen) -> None:
        self._stage = stage
        self._arrivals_s = {
            one.service: scenario.arrivals_s(stage.scenario, one.service) for one in stage.endpoints
        }
        self._requests: dict[str, list[load.Request]] = {one.service: [] for one in stage.endpoints}
        self._lifetimes = watch.Lifetimes()
        self._events: list[Event] = []
        self._interrupted: str | None = None
        self.seen = seen
        self.look_at(seen, 0.0)

    def arrivals_s(self, service: str) -> tuple[float, ...]:
        return self._arrivals_s[service]

    def ended(self, request: load.Request) -> None:
        self._requests[request.service].append(request)

    def happened(self, at_s: float, what: str) -> None:
        self._events.append(Event(at_s=at_s, what=what))

    def interrupted(self, node: str) -> None:
        self._interrupted = node

    def look_at(self, seen: watch.Seen, at_s: float) -> None:
        """Take in what the cluster says now, and notice what changed."""
        for service, status in seen.statuses.items():
            before = self.seen.statuses.get(service)
            if status.decision and (before is None or before.chosen != status.chosen):
                self.happened(at_s, f"{service}: {status.decision}")
        if self._interrupted is not None and self._interrupted not in seen.nodes:
            self.happened(at_s, f"node {self._interrupted} is gone")
            self._interrupted = None
        self._lifetimes.note(seen.replicas, seen.at)
        self.seen = seen

    def view(self, at_s: float) -> View:
        moment = self._stage.scenario.at(at_s)
        return View(
            at_s=at_s,
            phase=moment.phase.name,
            phase_left_s=moment.left_s,
            left_s=max(0.0, self._stage.scenario.duration_s - at_s),
            services=tuple(self._service(one.service, at_s) for one in self._stage.endpoints),
            events=tuple(self._events),
        )

    def receipt(self) -> Receipt:
        lives = self._lifetimes.all()
        until = self.seen.at
        since = min((life.start for life in lives), default=until)
        return Receipt(
            bill=bill.bill(lives, self._stage.prices, since=since, until=until),
            clients={
                service: attainment.attainment(requests, self._stage.slo_ms[service])
                for service, requests in self._requests.items()
            },
            slo_ms=self._stage.slo_ms,
            spend_checks=tuple(self._spend_check(service) for service in sorted(self._requests)),
        )

    def _spend_check(self, service: str) -> SpendCheck:
        status = self.seen.statuses.get(service)
        spend = status.spend if status is not None else None
        if spend is None:
            return SpendCheck(
                service=service, operator=None, own=self._spent(service, self.seen.at)
            )
        own = self._spent(service, spend.until, spend.since)
        return SpendCheck(service=service, operator=spend.amount, own=own)

    def _spent(self, service: str, until: datetime, since: datetime = _EVER) -> Decimal:
        lives = [life for life in self._lifetimes.all() if life.service == service]
        exact = bill.money_microseconds(lives, self._stage.prices, since=since, until=until)
        return exact / bill.MICROSECONDS_PER_HOUR

    def _service(self, service: str, at_s: float) -> ServiceView:
        replicas = [one for one in self.seen.replicas if one.service == service]
        per_hour = {price.pool: price.per_slot_hour for price in self._stage.prices}
        status = self.seen.statuses.get(service)
        return ServiceView(
            name=service,
            slo_ms=self._stage.slo_ms[service],
            pools=_pools(replicas),
            arrivals_rps=self._rate_rps(service, at_s),
            queued=self.seen.queued.get(service),
            p99_ms=self._p99_ms(service, at_s),
            per_hour=sum(
                (per_hour[one.pool] for one in replicas if one.scheduled_at is not None),
                Decimal(0),
            ),
            spent=self._spent(service, datetime.now(UTC)),
            decision=status.decision if status is not None else None,
        )

    def _rate_rps(self, service: str, at_s: float) -> float:
        arrivals = self._arrivals_s[service]
        since_s = max(0.0, at_s - _RATE_WINDOW_S)
        count = bisect.bisect(arrivals, at_s) - bisect.bisect(arrivals, since_s)
        return count / max(1.0, at_s - since_s)

    def _p99_ms(self, service: str, at_s: float) -> float | None:
        recent = itertools.takewhile(
            lambda one: one.due_s + one.latency_s > at_s - _LATENCY_WINDOW_S,
            reversed(self._requests[service]),
        )
        answered = [one.latency_s * 1e3 for one in recent if one.outcome is load.Outcome.ANSWERED]
        return attainment.quantile(answered, 0.99)


async def play(stage: Stage, show: Show, *, show_every_s: float) -> Receipt:
    """Send everything, show it as it goes, and sum it up. Raises DemoError."""
    run = Run(stage, await stage.api.look())
    clock = asyncio.get_running_loop().time
    began_s = clock()
    async with load.client() as session, asyncio.TaskGroup() as group:
        beside = [
            group.create_task(_watch(stage.api, run, began_s)),
            group.create_task(_show(run, show, began_s, show_every_s)),
            group.create_task(_interrupt(stage, run, began_s)),
        ]
        senders = [
            group.create_task(
                load.send(
                    session,
                    endpoint,
                    run.arrivals_s(endpoint.service),
                    began_s=began_s,
                    ended=run.ended,
                )
            )
            for endpoint in stage.endpoints
        ]
        await asyncio.gather(*senders)
        await asyncio.sleep(max(0.0, began_s + stage.scenario.duration_s - clock()))
        for task in beside:
            task.cancel()
    await asyncio.sleep(_LAST_STATUS_S)
    run.look_at(await stage.api.look(), clock() - began_s)
    show(run.view(clock() - began_s))
    return run.receipt()


async def _watch(api: watch.ClusterApi, run: Run, began_s: float) -> None:
    clock = asyncio.get_running_loop().time
    last_seen_s = clock()
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            run.look_at(await api.look(), clock() - began_s)
            last_seen_s = clock()
        except errors.DemoError:
            if clock() - last_seen_s > _BLIND_LIMIT_S:
                raise


async def _show(run: Run, show: Show, began_s: float, every_s: float) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        show(run.view(clock() - began_s))
        await asyncio.sleep(every_s)


async def _interrupt(stage: Stage, run: Run, began_s: float) -> None:
    clock = asyncio.get_running_loop().time
    for start_s, phase in stage.scenario.starts_s():
        if not phase.interrupts_spot:
            continue
        await asyncio.sleep(max(0.0, began_s + start_s - clock()))
        node = spot_node(run.seen.replicas, stage.prices)
        if node is None:
            run.happened(clock() - began_s, "no replica runs on spot: nothing to interrupt")
            continue
        told = await stage.interrupt(node)
        run.interrupted(node)
        run.happened(clock() - began_s, told)


def spot_node(replicas: Sequence[watch.Replica], prices: Sequence[bill.Price]) -> str | None:
    """The spot node with most ready replicas; none where no replica runs on spot."""
    spot = {price.pool for price in prices if price.capacity_type == "Spot"}
    on_nodes = Counter(
        one.node
        for one in sorted(replicas, key=lambda one: one.node or "")
        if one.pool in spot and one.node is not None and one.phase is watch.Phase.READY
    )
    return on_nodes.most_common(1)[0][0] if on_nodes else None


def _pools(replicas: Sequence[watch.Replica]) -> tuple[PoolView, ...]:
    names = sorted({one.pool for one in replicas})
    return tuple(_pool(name, [one for one in replicas if one.pool == name]) for name in names)


def _pool(name: str, replicas: Sequence[watch.Replica]) -> PoolView:
    states = Counter(_state(one) for one in replicas)
    return PoolView(
        pool=name,
        ready=states["ready"],
        starting=states["starting"],
        on_notice=states["on notice"],
        leaving=states["leaving"],
    )


def _state(replica: watch.Replica) -> str:
    if replica.phase is watch.Phase.LEAVING:
        return "leaving"
    if replica.on_notice:
        return "on notice"
    return "ready" if replica.phase is watch.Phase.READY else "starting"
