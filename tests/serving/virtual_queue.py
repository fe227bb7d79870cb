"""One server in made-up time: arrivals in, what became of every request out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence

from farthing_server.batch_time import BatchTime, Line
from farthing_server.scheduling import Batch, Limits, Request, Scheduler


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrival:
    at_s: float
    items: int = 1
    deadline_s: float


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """What happened, by the request's number."""

    answered_at_s: dict[int, float] = dataclasses.field(default_factory=dict)
    refused: dict[int, str] = dataclasses.field(default_factory=dict)
    refused_after_s: dict[int, float] = dataclasses.field(default_factory=dict)
    must_run: set[int] = dataclasses.field(default_factory=set)
    batches: list[Batch] = dataclasses.field(default_factory=list)
    waiting_at_batch: list[list[tuple[float, int]]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    line: Line
    limits: Limits
    prior: Line | None = None

    @property
    def greatest_rps(self) -> float:
        return self.limits.maximum_batch_size / self.line.at(self.limits.maximum_batch_size)


def run(server: Server, arrivals: Sequence[Arrival]) -> Outcome:
    scheduler = Scheduler(server.limits, BatchTime(server.prior or server.line))
    outcome = Outcome()
    requests = {
        number: Request(
            number=number,
            items=arrival.items,
            arrived_s=arrival.at_s,
            deadline_s=arrival.deadline_s,
        )
        for number, arrival in enumerate(arrivals)
    }
    left = {number: request.items for number, request in requests.items()}
    for now_s, batch, number in _events(server, scheduler, requests, outcome):
        if number is not None:
            refusal = scheduler.offer(requests[number], now_s)
            if refusal is not None:
                outcome.refused[number] = refusal.reason
                outcome.refused_after_s[number] = 0.0
            elif requests[number].must_run:
                outcome.must_run.add(number)
        if batch is not None:
            scheduler.finished(now_s)
            for piece in batch.pieces:
                left[piece.number] -= piece.count
                if not left[piece.number]:
                    outcome.answered_at_s[piece.number] = now_s
    return outcome


def _events(
    server: Server, scheduler: Scheduler, requests: dict[int, Request], outcome: Outcome
) -> Iterator[tuple[float, Batch | None, int | None]]:
    """Arrivals and ends of batches in order of time; a batch starts whenever the model is idle."""
    ends_s: float | None = None
    running: Batch | None = None
    number = 0
    while number < len(requests) or running is not None:
        arrives_s = requests[number].arrived_s if number < len(requests) else None
        if (
            running is not None
            and ends_s is not None
            and (arrives_s is None or ends_s <= arrives_s)
        ):
            now_s = ends_s
            yield now_s, running, None
            running = None
        else:
            assert arrives_s is not None
            now_s = arrives_s
            yield now_s, None, number
            number += 1
        if running is None:
            batch = scheduler.next_batch(now_s)
            for refusal in batch.dropped:
                outcome.refused[refusal.number] = refusal.reason
                waited_s = now_s - requests[refusal.number].arrived_s
                outcome.refused_after_s[refusal.number] = waited_s
            if batch.pieces:
                outcome.batches.append(batch)
                outcome.waiting_at_batch.append([r.order for r in scheduler.waiting])
                running, ends_s = batch, now_s + server.line.at(batch.size)


def poisson(rate_rps: float, slo_s: float, count: int, seed: int) -> list[Arrival]:
    chance = random.Random(seed)
    now_s = 0.0
    arrivals = []
    for _ in range(count):
        now_s += chance.expovariate(rate_rps)
        arrivals.append(Arrival(at_s=now_s, deadline_s=now_s + slo_s))
    return arrivals
