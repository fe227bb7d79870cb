"""Two operators, one lease: never two writers, and no long wait for a successor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from tests.cluster_fixture import ControlPlane

from farthing.kube.connection import Connection
from farthing.kube.lease import DURATION_S, RENEW_DEADLINE_S, Lease

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60)]


class Clock:
    """A monotonic clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def connection(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connection]:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    async with Connection() as opened:
        yield opened


@pytest.fixture
def lease(connection: Connection, request: pytest.FixtureRequest) -> Callable[[str, Clock], Lease]:
    name = f"lease-{abs(hash(request.node.name)) % 100_000}"

    def make(identity: str, clock: Clock) -> Lease:
        return Lease(connection, "default", name=name, identity=identity, clock=clock)

    return make


@contextlib.asynccontextmanager
async def running(lease: Lease) -> AsyncIterator[None]:
    task = asyncio.create_task(lease.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def held(lease: Lease) -> None:
    async with asyncio.timeout(20):
        while not lease.is_held:  # noqa: ASYNC110 - the lease has no need to tell of it
            await asyncio.sleep(0.02)


async def test_only_one_of_two_holds_it_until_it_is_released(
    lease: Callable[[str, Clock], Lease],
) -> None:
    clock = Clock()
    first, second = lease("first", clock), lease("second", clock)
    async with running(first):
        await held(first)
        async with running(second):
            while not second.known:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            assert (first.is_held, second.is_held) == (True, False)
    await first.release()
    assert not first.is_held
    async with running(second):
        await held(second)
        assert (first.tenure, second.tenure) == (1, 1)


async def test_a_leader_that_was_frozen_may_not_write_when_it_wakes(
    lease: Callable[[str, Clock], Lease],
) -> None:
    clock = Clock()
    frozen = lease("frozen", clock)
    async with running(frozen):
        await held(frozen)
    clock.now_s += RENEW_DEADLINE_S
    assert not frozen.is_held


async def test_a_silent_holder_is_replaced_after_the_lease_s_own_time(
    lease: Callable[[str, Clock], Lease],
) -> None:
    clock = Clock()
    silent, heir = lease("silent", clock), lease("heir", clock)
    async with running(silent):
        await held(silent)
    assert not await heir._take()
    clock.now_s += DURATION_S
    assert not await heir._take()
    clock.now_s += 1
    assert await heir._take()


async def test_the_same_holder_keeps_its_memory_when_it_renews_late(
    lease: Callable[[str, Clock], Lease],
) -> None:
    clock = Clock()
    only = lease("only", clock)
    async with running(only):
        await held(only)
    clock.now_s += 100
    async with running(only):
        await held(only)
        assert only.tenure == 1
