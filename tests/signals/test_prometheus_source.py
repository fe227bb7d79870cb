"""The second source against a server that answers as Prometheus does, or as it should not."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from tests.signals import pages
from tests.signals.prometheus_stand_in import PrometheusStandIn, Values, row, standing_in
from tests.signals.stand_ins import ShiftedClock

from farthing.core.domain import Gap, LatencyCounts, LoadReading, WorkloadId
from farthing.signals.prometheus import Asked, PrometheusSource
from farthing.signals.prometheus_queries import OPEN_S, PrometheusQueries
from farthing.signals.promql import SeriesLabels, questions
from farthing.signals.roles import MetricNames

AT = pages.instant(1_000)
OTHER = WorkloadId(namespace="search", name="rank")
VLLM = MetricNames(
    path="/metrics",
    port=8000,
    completed="vllm:request_success_total",
    queued="vllm:num_requests_waiting",
    in_flight="vllm:num_requests_running",
    latency="vllm:e2e_request_latency_seconds",
)


def values(**changes: object) -> Values:
    """What Prometheus knows of a workload with one arrival a second and an idle queue."""
    known: dict[str, object] = {
        "completed": 60,
        "arrived": 60,
        "refused": 0,
        "queued": 0,
        "in_flight": 0,
        "latency:0.1": 50,
        "latency:0.5": 60,
        "latency:+Inf": 60,
        "oldest": (AT - timedelta(seconds=7)).timestamp(),
        "replicas": 2,
    }
    return {role: value for role, value in (known | changes).items() if value is not None}


def asked(
    workload: WorkloadId = pages.WORKLOAD, *, ready: int = 2, names: MetricNames | None = None
) -> Asked:
    return Asked(workload=workload, names=names or pages.names(), ready_replicas=ready)


@dataclasses.dataclass
class Scene:
    stand_in: PrometheusStandIn
    clock: ShiftedClock
    source: PrometheusSource

    async def read(
        self, *workloads: Asked, at: datetime = AT
    ) -> tuple[tuple[LoadReading, ...], tuple[Gap, ...]]:
        return await self.source.read(workloads or (asked(),), at)

    async def because(self, *workloads: Asked) -> str:
        """The reason of the one gap, when there is no reading."""
        readings, gaps = await self.read(*workloads)
        assert readings == ()
        (only,) = gaps
        assert (only.subject, only.missing) == ("search/embed", "metrics")
        return only.because


@contextlib.asynccontextmanager
async def scene(deadline_s: float = 2.0) -> AsyncIterator[Scene]:
    stand_in, clock = PrometheusStandIn(), ShiftedClock()
    stand_in.fast["search/embed"] = values()
    stand_in.slow["search/embed"] = values(arrived=90, completed=90)
    async with standing_in(stand_in) as url:
        queries = PrometheusQueries(url, clock, deadline_s=deadline_s)
        try:
            yield Scene(stand_in, clock, PrometheusSource(queries, SeriesLabels()))
        finally:
            queries.close()


async def test_prometheus_makes_the_same_kind_of_reading() -> None:
    async with scene() as scene_:
        scene_.stand_in.fast["search/embed"] = values(refused=6, queued=3, in_flight=2)
        readings, gaps = await scene_.read()
    assert gaps == ()
    assert readings == (
        LoadReading(
            workload=pages.WORKLOAD,
            ends_at=AT - timedelta(seconds=7),
            bucket_s=1.0,
            arrivals=(0.5,) * 60 + (1.0,) * 60,
            refused=(0.0,) * 60 + (0.1,) * 60,
            queued=3.0,
            in_flight=2.0,
            answered_total=0.0,
            latency=LatencyCounts(bounds_s=(0.1, 0.5), counts=(50.0, 10.0, 0.0)),
            source="prometheus",
        ),
    )


async def test_answers_add_up_over_the_ticks_and_only_for_the_time_that_was_seen() -> None:
    totals: list[float] = []
    async with scene() as scene_:
        for age_s in (7, 2, 2, -600):
            oldest = (AT - timedelta(seconds=age_s)).timestamp()
            scene_.stand_in.fast["search/embed"] = values(oldest=oldest)
            at = AT if age_s > 0 else AT + timedelta(seconds=600)
            readings, _ = await scene_.read(at=at)
            totals.append(readings[0].answered_total)
    assert totals == pytest.approx([0.0, 5.0, 5.0, 65.0])


async def test_without_an_arrival_counter_arrivals_are_what_left_and_what_grew() -> None:
    growing = values(arrived=None, queued_growth=30, in_flight_growth=-6)
    async with scene() as scene_:
        scene_.stand_in.fast["search/embed"] = growing
        scene_.stand_in.slow["search/embed"] = growing
        readings, gaps = await scene_.read(asked(names=VLLM))
    assert gaps == ()
    assert readings[0].arrivals[-1] == pytest.approx(84 / 60)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"completed": "NaN"}, "Prometheus: completed is not a finite number"),
        ({"queued": "+Inf"}, "Prometheus: queued is not a finite number"),
        ({"queued": "many"}, "Prometheus: queued is not a finite number"),
        ({"in_flight": -1}, "Prometheus: in_flight is -1; it cannot be negative"),
        ({"queued": None}, "Prometheus: no series of queued"),
        ({"arrived": None}, "Prometheus: no series of arrived"),
        ({"oldest": AT.timestamp() - 61}, "Prometheus: oldest sample is 61 s old"),
        ({"oldest": AT.timestamp() + 90}, "Prometheus: sample is 90 s in the future"),
    ],
)
async def test_a_bad_series_is_a_gap_of_its_workload_and_of_no_other(
    change: dict[str, object], because: str
) -> None:
    async with scene() as scene_:
        scene_.stand_in.fast["search/embed"] = values(**change)
        scene_.stand_in.fast["search/rank"] = values()
        readings, gaps = await scene_.read(asked(), asked(OTHER))
    assert [reading.workload for reading in readings] == [OTHER]
    assert gaps == (Gap(subject="search/embed", missing="metrics", since=AT, because=because),)


async def test_no_series_at_all_is_a_gap_and_never_zero() -> None:
    async with scene() as scene_:
        scene_.stand_in.fast.clear()
        assert await scene_.because() == "Prometheus: no series of completed"


async def test_a_duplicate_series_is_a_gap() -> None:
    async with scene() as scene_:
        scene_.stand_in.extra = [row("search/embed", "completed", 1e9)]
        assert await scene_.because() == "Prometheus: duplicate series of completed"


async def test_series_of_some_replicas_only_are_a_reading_with_a_gap() -> None:
    async with scene() as scene_:
        readings, gaps = await scene_.read(asked(ready=3))
    assert len(readings) == 1
    assert [(gap.missing, gap.because) for gap in gaps] == [
        ("metrics of some pods", "Prometheus: 2 of 3 ready replicas have series")
    ]


async def test_series_of_workloads_that_nobody_asked_for_change_nothing() -> None:
    async with scene() as scene_:
        expected = await scene_.read()
        scene_.stand_in.extra = [
            row("other/embed", "completed", 1e9),
            row('search/em"} or vector(1e9) #', "completed", 1e9),
            {"metric": {"farthing_role": "completed", "namespace": 7}, "value": [0, "1"]},
            {"metric": {"farthing_role": "completed"}, "value": [0, "1"]},
        ]
        assert await scene_.read() == expected


@pytest.mark.parametrize(
    ("status", "body", "because"),
    [
        (200, b'{"status":"error","error":"x"}', "Prometheus: status 200 without a result"),
        (200, b"<html>", "Prometheus: status 200 without a result"),
        (200, b"[]", "Prometheus: status 200 without a result"),
        (200, b'{"data":{"result":{}}}', "Prometheus: status 200 with a result that is no vector"),
        (422, b"no\x1b[31m", "Prometheus: HTTP Status Code 422 (b'no\\\\x1b[31m')"),
        (503, b"", "Prometheus: HTTP Status Code 503 (b'')"),
    ],
)
async def test_an_answer_that_is_none_is_a_gap_with_its_reason(
    status: int, body: bytes, because: str
) -> None:
    async with scene() as scene_:
        scene_.stand_in.status, scene_.stand_in.body = status, body
        assert await scene_.because() == because
        assert len(scene_.stand_in.queries) == 1


async def test_a_redirect_is_not_followed() -> None:
    async with scene() as scene_:
        scene_.stand_in.status = 302
        scene_.stand_in.headers = {"Location": "http://127.77.9.2:1/secret"}
        assert (await scene_.because()).startswith("Prometheus: TooManyRedirects: ")


async def test_a_slow_answer_is_a_gap_in_time() -> None:
    async with scene(deadline_s=0.2) as scene_:
        scene_.stand_in.hangs = True
        started_s = scene_.clock.monotonic()
        because = await scene_.because()
        assert scene_.clock.monotonic() - started_s < 1.0
    assert because == "Prometheus: no answer within 0.2 s" or "Timeout" in because


async def test_an_answer_that_drips_is_a_gap_in_time() -> None:
    async with scene(deadline_s=0.3) as scene_:
        scene_.stand_in.drips = True
        started_s = scene_.clock.monotonic()
        because = await scene_.because()
        assert scene_.clock.monotonic() - started_s < 1.0
    assert because in (
        "Prometheus: no answer within 0.3 s",
        "Prometheus: answer did not end in time",
    )


async def test_after_three_failures_it_is_left_alone_for_half_a_minute() -> None:
    async with scene() as scene_:
        scene_.stand_in.status = 503
        for _ in range(3):
            await scene_.because()
        assert await scene_.because() == "Prometheus: failed 3 times, next try in 30 s"
        assert len(scene_.stand_in.queries) == 3
        scene_.stand_in.status = 200
        scene_.clock.ahead_s += OPEN_S + 1.0
        readings, gaps = await scene_.read()
    assert (len(readings), gaps) == (1, ())


async def test_a_server_that_is_not_there_is_a_gap_since_it_went() -> None:
    clock = ShiftedClock()
    source = PrometheusSource(PrometheusQueries("http://127.77.9.1:9", clock), SeriesLabels())
    await source.read((asked(),), AT)
    readings, gaps = await source.read((asked(),), AT + timedelta(seconds=5))
    assert readings == ()
    assert [(gap.since, gap.because.split(":")[:2]) for gap in gaps] == [
        (AT, ["Prometheus", " ConnectionError"])
    ]


async def test_the_number_of_queries_does_not_depend_on_the_number_of_workloads() -> None:
    async with scene() as scene_:
        many = [asked(WorkloadId(namespace="n", name=f"w{i}")) for i in range(500)]
        await scene_.read(*many, *[asked(names=VLLM)])
        assert len(scene_.stand_in.queries) == 5


def test_queries_hold_no_regular_expression_and_no_word_of_a_tenant() -> None:
    labels = SeriesLabels(matchers={"cluster": "west"})
    built = questions([pages.names(), VLLM], labels, 60)
    text = " ".join(dataclasses.astuple(built))
    assert not re.search(r"=~|!~|!=", text)
    assert built.gauges.startswith(
        "label_replace(label_replace(sum by (namespace, farthing_dev_service) "
        '(farthing_requests_queued{cluster="west"}), "farthing_runtime", "0", "", ""), '
        '"farthing_role", "queued", "", "") or '
    )


@pytest.mark.parametrize(
    "value", ['x"', "x\\", "x\n", "} or vector(1e9) #", ".*", "", "A", "x" * 64, "٣"]
)
def test_a_matcher_that_is_no_dns_label_is_refused(value: str) -> None:
    with pytest.raises(ValueError) as caught:
        SeriesLabels(matchers={"cluster": value})
    assert str(caught.value) == f"matcher cluster is {value!r}; it must be a DNS label"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://u:p@host", "host:9090"])
def test_a_url_that_is_no_plain_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="it must be http:// or https://"):
        PrometheusQueries(url, ShiftedClock())
