"""Asks every replica for its page once a second, over connections that stay open.

This is the first source: it needs no Prometheus, and a rise of load is seen within a second. The
host says which replicas there are and asks for readings; in between the pages come in.
"""

from __future__ import annotations

import asyncio
import ipaddress
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp
import yarl

from farthing.core.domain import Gap, LoadReading, VariantName, WorkloadId
from farthing.signals.clock import Clock
from farthing.signals.errors import UnusablePageError
from farthing.signals.exposition import MAXIMUM_PAGE_BYTES
from farthing.signals.roles import MetricNames, PodSample, read_sample
from farthing.signals.workload_view import Member, WorkloadView

PERIOD_S = 1.0
TIMEOUT_S = 0.8
CONCURRENT_SCRAPES = 64
CONCURRENT_SILENT_SCRAPES = 16
"""Replicas that did not answer last time wait for each other only, never before the others."""
SLOTS = 20
"""A second has so many starting times, so that a thousand replicas are not asked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeTarget:
    """One replica to ask. `address` is its IP address; names are never looked up."""

    workload: WorkloadId
    replica: str
    variant: VariantName
    hardware: str
    address: str
    names: MetricNames
    ready: bool

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.address)
        except ValueError as error:
            message = f"address of {self.replica} is {self.address!r}; it must be an IP address"
            raise ValueError(message) from error

    def url(self) -> yarl.URL:
        return yarl.URL.build(
            scheme="http", host=self.address, port=self.names.port, path=self.names.path
        )


@dataclass(slots=True, kw_only=True)
class _Asked:
    """A target with what it takes to ask it again."""

    target: ScrapeTarget
    url: yarl.URL
    view: WorkloadView
    member: Member
    answered: bool = True
    asking: bool = False
    body: bytes = b""
    sample: PodSample | None = None

    def read(self, body: bytes) -> PodSample:
        """The page as a sample; that of an idle replica is often the very one of before."""
        if self.sample is None or body != self.body:
            self.sample, self.body = read_sample(self.target.names, body), body
        return self.sample

    def redirect(self, target: ScrapeTarget) -> None:
        """Goes on with what changed about the replica; its page may have other names now."""
        if target != self.target:
            self.target, self.url, self.sample = target, target.url(), None


class DirectScraper:
    """The pages of all replicas; `set_targets` and `readings` may be called at any time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._views: dict[WorkloadId, WorkloadView] = {}
        self._asked: dict[tuple[WorkloadId, str], _Asked] = {}
        self._slots: tuple[dict[tuple[WorkloadId, str], _Asked], ...] = ()
        self._arrange()
        self._healthy = asyncio.Semaphore(CONCURRENT_SCRAPES - CONCURRENT_SILENT_SCRAPES)
        self._silent = asyncio.Semaphore(CONCURRENT_SILENT_SCRAPES)

    def set_targets(
        self, targets: Iterable[ScrapeTarget], workloads: Collection[WorkloadId] = ()
    ) -> None:
        """Replaces what is asked. Workloads named here are kept, and reported, without targets."""
        at_s = self._clock.monotonic()
        by_workload: dict[WorkloadId, dict[str, ScrapeTarget]] = defaultdict(dict)
        for workload in workloads:
            by_workload[workload] = {}
        for target in targets:
            by_workload[target.workload][target.replica] = target
        for gone in self._views.keys() - by_workload.keys():
            del self._views[gone]
        asked: dict[tuple[WorkloadId, str], _Asked] = {}
        for workload, replicas in by_workload.items():
            view = self._views.setdefault(workload, WorkloadView(workload, at_s))
            view.set_members(
                {name: ((t.variant, t.hardware), t.ready) for name, t in replicas.items()}, at_s
            )
            for name, target in replicas.items():
                asked[workload, name] = self._ask(target, view, view.members[name])
        self._asked = asked
        self._arrange()

    def readings(self, at: datetime) -> tuple[tuple[LoadReading, ...], tuple[Gap, ...]]:
        """What the replicas said until `at`, by workload, and what could not be observed."""
        at_s = self._clock.monotonic() - (self._clock.now() - at) / timedelta(seconds=1)
        readings: list[LoadReading] = []
        gaps: list[Gap] = []
        for workload in sorted(self._views):
            reading, missing = self._views[workload].read(at, at_s)
            gaps.extend(missing)
            if reading is not None:
                readings.append(reading)
        return tuple(readings), tuple(gaps)

    async def run(self, stop: asyncio.Event) -> None:
        """Asks until `stop` is set. A fault of ours ends it with the exception."""
        for asked in self._asked.values():
            asked.asking = False  # what an earlier run left behind will never end
        async with _session() as session, asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            loop = asyncio.get_running_loop()
            due_s = loop.time()
            slot = 0
            while not stop.is_set():
                for asked in self._slots[slot].values():
                    if not asked.asking:
                        asked.asking = True
                        task = group.create_task(self._scrape(session, asked))
                        running.add(task)
                        task.add_done_callback(running.discard)
                slot = (slot + 1) % SLOTS
                # After a stall the next round starts now; missed rounds are not caught up.
                due_s = max(due_s + PERIOD_S / SLOTS, loop.time() - PERIOD_S)
                await _wait(stop, due_s - loop.time())
            for task in running:
                task.cancel()

    def _ask(self, target: ScrapeTarget, view: WorkloadView, member: Member) -> _Asked:
        known = self._asked.get((target.workload, target.replica))
        if known is not None and known.member is member:
            # The same record goes on, so that a replica is never asked twice at once.
            known.redirect(target)
            return known
        return _Asked(target=target, url=target.url(), view=view, member=member)

    def _arrange(self) -> None:
        """Spreads the targets over the second by their names, so that each keeps its moment."""
        self._slots = tuple({} for _ in range(SLOTS))
        for key, asked in self._asked.items():
            self._slots[zlib.crc32(f"{key[0]}/{key[1]}".encode()) % SLOTS][key] = asked

    async def _scrape(self, session: aiohttp.ClientSession, asked: _Asked) -> None:
        try:
            async with self._healthy if asked.answered else self._silent:
                # The moment before asking: the page may be older than its arrival, never younger.
                at_s = self._clock.monotonic()
                body = await _page(session, asked.url)
            asked.answered = True
            asked.view.accept(asked.member, asked.read(body), at_s)
        except UnusablePageError as error:
            asked.member.track.refuse(str(error))
        except TimeoutError:
            asked.answered = False
            asked.member.track.refuse(f"no answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError) as error:
            asked.answered = False
            asked.member.track.refuse(f"{type(error).__name__}: {ascii(str(error))[1:121]}")
        finally:
            asked.asking = False


def _session() -> aiohttp.ClientSession:
    """A session that trusts nothing: no proxies or netrc of the environment, no cookies, and no
    decompression, since a small compressed page can unpack to gigabytes."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "text/plain; version=0.0.4", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


async def _page(session: aiohttp.ClientSession, url: yarl.URL) -> bytes:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise UnusablePageError(f"answered with status {response.status}")
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAXIMUM_PAGE_BYTES:
                response.close()
                raise UnusablePageError(f"page of more than {MAXIMUM_PAGE_BYTES} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return
