"""From one request to a place in a batch and back: the scheduler's decisions carried out.

One batch is computed at a time. Everything here runs on the event loop; the model computes
elsewhere (a thread of its own, or a timer), so `/metrics` and the health checks answer while it is
busy.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence

from farthing_server.errors import ComputeError, RefusedError, RequestError
from farthing_server.metrics import Metrics
from farthing_server.model import Model
from farthing_server.scheduling import Batch, Refusal, Request, Scheduler

STUCK_AFTER_S = 30.0
STUCK_AFTER_BATCHES = 10.0
WARM_UP_ROUNDS = 3


@dataclasses.dataclass(slots=True)
class _Waiting:
    """A request between its arrival and its answer."""

    items: Sequence[bytes]
    rows: list[bytes]
    answer: asyncio.Future[list[bytes]]


class Engine:
    def __init__(
        self,
        model: Model,
        scheduler: Scheduler,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._scheduler = scheduler
        self._metrics = metrics
        self._clock = clock
        self._waiting: dict[int, _Waiting] = {}
        self._next_number = 0
        self._wake = asyncio.Event()

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    def stuck(self) -> bool:
        """Whether the running batch takes so long that only a restart can help."""
        running_s = self._scheduler.running_for_s(self._clock())
        expected_s = self._scheduler.batch_time.expected_s(self._scheduler.running_size)
        return running_s > STUCK_AFTER_S + STUCK_AFTER_BATCHES * expected_s

    async def infer(
        self, items: Sequence[bytes], arrived_s: float, deadline_s: float
    ) -> list[bytes]:
        """One row per item, in order; raises RefusedError when the deadline cannot be met."""
        if not items:
            return []
        number = self._next_number
        self._next_number += 1
        request = Request(
            number=number, items=len(items), arrived_s=arrived_s, deadline_s=deadline_s
        )
        refusal = self._scheduler.offer(request, self._clock())
        if refusal is not None:
            raise self._refused(refusal)
        answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = _Waiting(items, [], answer)
        self._metrics.queued = self._scheduler.queued_requests
        self._wake.set()
        return await answer

    async def warm_up(self) -> None:
        """Run a few batches of the smallest, a middle and the largest size: their times are
        learned."""
        largest = self._scheduler.limits.maximum_batch_size
        for size in sorted({1, max(1, largest // 2), largest}):
            known_s = self._model.known_batch_s(size)
            for _ in range(WARM_UP_ROUNDS):
                duration_s = await self._timed(size) if known_s is None else known_s
                self._scheduler.batch_time.observe(size, duration_s)

    async def _timed(self, size: int) -> float:
        items = self._model.samples(size)
        started_s = self._clock()
        await self._model.compute(items)
        return self._clock() - started_s

    async def serve(self) -> None:
        """Compute batches until cancelled."""
        while True:
            batch = self._scheduler.next_batch(self._clock())
            for refusal in batch.dropped:
                self._reject(refusal.number, self._refused(refusal))
            self._metrics.queued = self._scheduler.queued_requests
            if batch.pieces:
                await self._run(batch)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _run(self, batch: Batch) -> None:
        items: list[bytes] = []
        for piece in batch.pieces:
            items += self._waiting[piece.number].items[piece.start : piece.start + piece.count]
        self._metrics.in_flight = len(batch.pieces)
        try:
            rows = await self._model.compute(items)
        except ComputeError as error:
            self._scheduler.failed(self._clock())
            for piece in batch.pieces:
                self._scheduler.forget(piece.number)
                self._reject(piece.number, RequestError(500, f"the model failed: {error}"))
        else:
            duration_s = self._scheduler.finished(self._clock())
            self._metrics.batch_done(batch.size, duration_s)
            self._hand_out(batch, rows)
        self._metrics.in_flight = 0

    def _hand_out(self, batch: Batch, rows: list[bytes]) -> None:
        at = 0
        for piece in batch.pieces:
            waiting = self._waiting[piece.number]
            waiting.rows += rows[at : at + piece.count]
            at += piece.count
            if len(waiting.rows) == len(waiting.items):
                del self._waiting[piece.number]
                if not waiting.answer.done():  # the client's task may have been cancelled
                    waiting.answer.set_result(waiting.rows)

    def _reject(self, number: int, error: RequestError) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.answer.done():
            waiting.answer.set_exception(error)

    def _refused(self, refusal: Refusal) -> RequestError:
        limits = self._scheduler.limits
        most = limits.maximum_queued_items
        if refusal.reason == "queue_full" and refusal.items > most:
            problem = f"{refusal.items} items in one request, at most {most} are taken"
            return RequestError(413, problem)
        if refusal.reason == "queue_full":
            words = f"{self._scheduler.queued_items} items are waiting, at most {most} may"
        elif refusal.alone_s > limits.slo_s and refusal.alone_s > refusal.available_s:
            return RequestError(
                413,
                f"the request alone takes about {_ms(refusal.alone_s)} of its {_ms(limits.slo_s)}: "
                "send fewer items at once",
            )
        else:
            words = (
                f"an answer takes about {_ms(refusal.needed_s)}, "
                f"{_ms(max(0.0, refusal.available_s))} of the request's time are left"
            )
        return RefusedError(refusal.reason, f"overloaded: {words}", refusal.backlog_s)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"
