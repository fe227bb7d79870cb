"""Which requests form the next batch, and which are refused: decided on values and an instant.

Earliest deadline first; a batch starts whenever the model is idle. Two refusals keep an overload
from turning every answer late: a request whose deadline cannot be met is refused on arrival
(admission), and a request at the head of the queue that would force a small batch, so small that
those behind it become late, is dropped when the batch is formed (the windowed early drop of Nexus,
SOSP 2019).

Nothing here knows a clock, a thread or a socket. A request is `items` pieces of work; a batch takes
items in order and may split a request, which is answered when its last item is computed.
"""

from __future__ import annotations

import bisect
import dataclasses
import math

from farthing_server.batch_time import BatchTime

STALE_BELIEF_S = 5.0
"""Idle for this long, the learned batch time may be out of date: one request tries it again."""

CROWDED_SLOS = 10.0
"""For this many SLOs after a drop, admission expects every batch to be full."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    maximum_batch_size: int
    maximum_queued_items: int
    slo_s: float


@dataclasses.dataclass(slots=True, kw_only=True)
class Request:
    """A request that waits. `deadline_s` is an instant on the caller's clock."""

    number: int
    items: int
    arrived_s: float
    deadline_s: float
    started: int = 0
    must_run: bool = False

    @property
    def left(self) -> int:
        return self.items - self.started

    @property
    def order(self) -> tuple[float, int]:
        return (self.deadline_s, self.number)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not served, in numbers; the words are made where they are sent."""

    number: int
    reason: str  # "deadline" on arrival, "late" at the head of the queue, "queue_full"
    items: int
    needed_s: float
    available_s: float
    alone_s: float
    backlog_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Items `start` up to `start + count` of one request."""

    number: int
    start: int
    count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    pieces: tuple[Piece, ...]
    dropped: tuple[Refusal, ...]

    @property
    def size(self) -> int:
        return sum(piece.count for piece in self.pieces)


class Scheduler:
    """The queue of one model. Call `offer` on arrival, `next_batch` when idle, `finished` after
    it."""

    def __init__(self, limits: Limits, batch_time: BatchTime) -> None:
        self.limits = limits
        self.batch_time = batch_time
        self._queue: list[Request] = []
        self._queued_items = 0
        self._running_size = 0
        self._running_since_s = 0.0
        self._idle_since_s = -math.inf
        self._crowded_until_s = -math.inf

    @property
    def queued_requests(self) -> int:
        return len(self._queue)

    @property
    def queued_items(self) -> int:
        return self._queued_items

    @property
    def waiting(self) -> tuple[Request, ...]:
        """Who waits, in the order in which they will be served."""
        return tuple(self._queue)

    @property
    def window(self) -> int:
        """The batch size to keep under load: the largest of which two fit into the SLO.

        A request that arrives just after a batch started waits for it and then for its own. With
        10 + 10 · size ms and an SLO of 250 ms that is 11 (2 · 120 ms), though 32 were allowed.
        """
        line = self.batch_time.line
        if line.per_item_s <= 0:
            return self.limits.maximum_batch_size
        fits = (self.limits.slo_s / 2 - line.fixed_s) / line.per_item_s
        return max(1, min(self.limits.maximum_batch_size, math.floor(fits + 1e-9)))

    def offer(self, request: Request, now_s: float) -> Refusal | None:
        """Take the request into the queue, or say why not."""
        if self._queued_items + request.items > self.limits.maximum_queued_items and (
            self._queue or request.items > self.limits.maximum_queued_items
        ):
            return self._refusal(request, "queue_full", now_s, self._work_s(self._queued_items))
        needed_s = self._remaining_s(now_s) + self._work_s(self._items_until_answer(request, now_s))
        if now_s + needed_s > request.deadline_s:
            if not self._worth_trying(request, now_s):
                return self._refusal(request, "deadline", now_s, needed_s)
            request.must_run = True
        bisect.insort(self._queue, request, key=lambda waiting: waiting.order)
        self._queued_items += request.items
        return None

    def next_batch(self, now_s: float) -> Batch:
        """Drop what has become hopeless, then take the batch that the head's deadline allows."""
        dropped: list[Refusal] = []
        while self._queue and (late_by := self._lateness(now_s)) is not None:
            head = self._queue.pop(0)
            self._queued_items -= head.left
            dropped.append(self._refusal(head, "late", now_s, head.deadline_s - now_s + late_by))
        if dropped:
            self._crowded_until_s = now_s + CROWDED_SLOS * self.limits.slo_s
        pieces = self._take(self._size(now_s)) if self._queue else ()
        batch = Batch(pieces=pieces, dropped=tuple(dropped))
        self._running_size = batch.size
        self._running_since_s = now_s
        return batch

    def finished(self, now_s: float) -> float:
        """The running batch is done: learn from it and return how long it took."""
        duration_s = now_s - self._running_since_s
        self.batch_time.observe(self._running_size, duration_s)
        self._running_size = 0
        self._idle_since_s = now_s
        return duration_s

    def failed(self, now_s: float) -> None:
        """The running batch failed: its duration teaches nothing."""
        self._running_size = 0
        self._idle_since_s = now_s

    def forget(self, number: int) -> None:
        """Remove what is left of a request whose earlier part failed."""
        for place, waiting in enumerate(self._queue):
            if waiting.number == number:
                self._queued_items -= waiting.left
                del self._queue[place]
                return

    def backlog_s(self, now_s: float) -> float:
        """When a request that arrives now would find the model free."""
        return self._remaining_s(now_s) + self._work_s(self._queued_items)

    def running_for_s(self, now_s: float) -> float:
        return now_s - self._running_since_s if self._running_size else 0.0

    @property
    def running_size(self) -> int:
        return self._running_size

    def _remaining_s(self, now_s: float) -> float:
        if not self._running_size:
            return 0.0
        ends_s = self._running_since_s + self.batch_time.expected_s(self._running_size)
        return max(0.0, ends_s - now_s)

    def _work_s(self, items: int) -> float:
        """How long `items` take in batches of the size that is kept under load."""
        if items <= 0:
            return 0.0
        window = self.window
        full, rest = divmod(items, window)
        work_s = full * self.batch_time.cautious_s(window)
        return work_s + (self.batch_time.cautious_s(rest) if rest else 0.0)

    def _items_until_answer(self, request: Request, now_s: float) -> int:
        """Items computed until this request is answered, its companions in the last batch included.

        After a recent drop the last batch is counted as full: those who arrive later will fill it.
        So a request that would only wait to be dropped hears it on arrival instead.
        """
        items = self._items_before(request) + request.items
        if now_s >= self._crowded_until_s:
            return items
        return math.ceil(items / self.window) * self.window

    def _items_before(self, request: Request) -> int:
        if not self._queue or self._queue[-1].order < request.order:
            return self._queued_items
        place = bisect.bisect(self._queue, request.order, key=lambda waiting: waiting.order)
        return sum(waiting.left for waiting in self._queue[:place])

    def _worth_trying(self, request: Request, now_s: float) -> bool:
        """Whether to serve against the belief: an idle server must not refuse for ever on a belief.

        Either even one item is believed to take longer than the SLO (a late answer is then better
        than none, and no client could do better), or nothing has confirmed the belief for a while.
        A client that set a shorter deadline of its own gets its refusal.
        """
        if self._queue or self._running_size:
            return False
        if request.deadline_s - request.arrived_s < self.limits.slo_s * (1 - 1e-9):
            return False
        if request.items > self.limits.maximum_batch_size:
            return False
        hopeless = self.batch_time.expected_s(1) > self.limits.slo_s
        return hopeless or now_s - self._idle_since_s >= STALE_BELIEF_S

    def _lateness(self, now_s: float) -> float | None:
        """By how much the head must be given up, or None when it can be served."""
        head = self._queue[0]
        if head.must_run:
            return None
        slack_s = head.deadline_s - now_s
        wanted = max(head.left, min(self.window, self._queued_items))
        needed_s = self._work_s(wanted)
        if needed_s <= slack_s:
            return None
        alone_s = self._work_s(head.left)
        if alone_s <= slack_s and self._rest_survives(head, alone_s, now_s):
            return None
        return needed_s - slack_s

    def _rest_survives(self, head: Request, alone_s: float, now_s: float) -> bool:
        """Whether serving the head in a small batch leaves the next request in time."""
        if len(self._queue) == 1:
            return True
        behind = self._queue[1]
        left_items = self._queued_items - head.left
        next_s = self._work_s(max(behind.left, min(self.window, left_items)))
        return now_s + alone_s + next_s <= behind.deadline_s

    def _size(self, now_s: float) -> int:
        """As many items as the head's deadline allows, at least the head's own."""
        most = min(self.limits.maximum_batch_size, self._queued_items)
        head = self._queue[0]
        least = min(head.left, most)
        line = self.batch_time.line
        slack_s = (head.deadline_s - now_s) / (1.0 + self.batch_time.margin_fraction)
        if line.per_item_s <= 0 or head.must_run:
            return most
        fits = math.floor((slack_s - line.fixed_s) / line.per_item_s + 1e-9)
        return max(least, min(most, fits))

    def _take(self, size: int) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        while size and self._queue:
            head = self._queue[0]
            count = min(size, head.left)
            pieces.append(Piece(number=head.number, start=head.started, count=count))
            head.started += count
            self._queued_items -= count
            size -= count
            if not head.left:
                self._queue.pop(0)
        return tuple(pieces)

    def _refusal(self, request: Request, reason: str, now_s: float, needed_s: float) -> Refusal:
        return Refusal(
            number=request.number,
            reason=reason,
            items=request.items,
            needed_s=needed_s,
            available_s=request.deadline_s - now_s,
            alone_s=self._work_s(request.items),
            backlog_s=self.backlog_s(now_s),
        )
