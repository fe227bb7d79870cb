"""The engine in one process: a batch that fails, a batch that does not end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from farthing_server import profile
from farthing_server.batch_time import BatchTime, Line
from farthing_server.emulated import EmulatedModel, embedded
from farthing_server.engine import Engine
from farthing_server.errors import ComputeError, RequestError
from farthing_server.metrics import Metrics
from farthing_server.scheduling import Limits, Scheduler


class FragileModel(EmulatedModel):
    """Fails on a batch that has the item `poison`, and never ends one that has `forever`."""

    def __init__(self) -> None:
        self.computing = asyncio.Event()
        super().__init__(profile.Profile(maximum_batch_size=2, points=((1, 0.001),), startup_s=0.0))

    async def compute(self, items: Sequence[bytes]) -> list[bytes]:
        self.computing.set()
        if b"poison" in items:
            raise ComputeError("out of memory")
        if b"forever" in items:
            await asyncio.Event().wait()
        return await super().compute(items)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@contextlib.asynccontextmanager
async def serving(clock: Clock) -> AsyncIterator[tuple[Engine, Metrics, FragileModel]]:
    metrics = Metrics(model="m", variant="v", precision="p", vllm_names=False)
    limits = Limits(maximum_batch_size=2, maximum_queued_items=100, slo_s=1.0)
    scheduler = Scheduler(limits, BatchTime(Line(fixed_s=0.001, per_item_s=0.0)))
    model = FragileModel()
    engine = Engine(model, scheduler, metrics, clock)
    working = asyncio.create_task(engine.serve())
    try:
        yield engine, metrics, model
    finally:
        working.cancel()
        await asyncio.wait([working])


async def test_a_batch_that_fails_is_answered_and_the_next_one_is_computed() -> None:
    clock = Clock()
    async with serving(clock) as (engine, metrics, _):
        long = [b"a", b"poison", b"b", b"c"]  # split: its first batch fails, its rest is forgotten
        failed = asyncio.create_task(engine.infer(long, clock.now_s, clock.now_s + 1))
        good = asyncio.create_task(engine.infer([b"good"], clock.now_s, clock.now_s + 1))
        with pytest.raises(RequestError) as error:
            await failed
        assert (error.value.status, error.value.message) == (500, "the model failed: out of memory")
        assert await good == [embedded(b"good")]
        assert (metrics.queued, metrics.in_flight) == (0, 0)


async def test_a_batch_that_does_not_end_is_noticed_after_thirty_seconds() -> None:
    clock = Clock()
    async with serving(clock) as (engine, _, model):
        hanging = asyncio.create_task(engine.infer([b"forever"], clock.now_s, clock.now_s + 1))
        await model.computing.wait()
        clock.now_s += 29.0
        assert not engine.stuck()
        clock.now_s += 2.0
        assert engine.stuck()
        hanging.cancel()


async def test_a_client_that_gave_up_does_not_disturb_the_others() -> None:
    clock = Clock()
    async with serving(clock) as (engine, metrics, model):
        gone = asyncio.create_task(engine.infer([b"a"], clock.now_s, clock.now_s + 1))
        kept = asyncio.create_task(engine.infer([b"b"], clock.now_s, clock.now_s + 1))
        await model.computing.wait()
        gone.cancel()
        assert await kept == [embedded(b"b")]
        assert metrics.batches == {2: 1}
